"""`contracts.queries`: what a query names, and what is no query."""

import pytest

from contracts.queries import Field, QueryRefused, named_subjects, parse_query

FIELDS = [Field("id_number", "text"), Field("age", "integer"), Field("born", "date")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b'{"where": {"id_number": "A"}}', {"A"}),
        (b'{"where": {"id_number": {"in": ["A", "B"]}}}', {"A", "B"}),
        (b'{"where": {"id_number": {"=": "A", "<": "B"}}}', {"A"}),
        (b'{"where": {"id_number": {">=": "A"}}}', None),
        (b'{"where": {"age": 7}}', None),
        (b"{}", None),
    ],
)
def test_a_query_names_its_subjects_by_equality_alone(text: bytes, named: set[str] | None) -> None:
    query = parse_query(text, FIELDS)
    assert named_subjects(query, "id_number") == named
    assert named_subjects(query, None) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"where": {}}'.encode("utf-16"), "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"wher": {}}', "unknown part"),
        (b'{"where": [1]}', "where is not"),
        (b'{"where": {"aeg": 1}}', "did you mean age"),
        (b'{"where": {"age": {}}}', "needs an operator"),
        (b'{"where": {"age": {"~": 1}}}', "unknown operator"),
        (b'{"where": {"age": {"in": []}}}', "a list of 1 to"),
        (b'{"where": {"age": true}}', "age is integer"),
        (b'{"where": {"age": 9223372036854775808}}', "more than 64 bits"),
        (b'{"where": {"born": "2026-13-01"}}', "no date"),
        (b'{"where": {"id_number": "a\\u0000"}}', "NUL"),
        (b'{"limit": 0}', "limit is not"),
        (b'{"limit": true}', "limit is not"),
        (b'{"offset": -1}', "offset is not"),
        (
            b'{"where": {"age": {"=": 1, "<": 1, "<=": 1, ">": 1, ">=": 1},'
            b' "id_number": {"=": "1", "<": "1", "<=": "1", ">": "1", ">=": "1", "in": ["1"]},'
            b' "born": {"=": "2026-01-01", "<": "2026-01-01", "<=": "2026-01-01",'
            b' ">": "2026-01-01", ">=": "2026-01-01", "in": ["2026-01-01"]}}}',
            "17 conditions",
        ),
    ],
)
def test_what_is_no_query_is_refused_with_the_reason(text: bytes, why: str) -> None:
    with pytest.raises(QueryRefused, match=why):
        parse_query(text, FIELDS)
