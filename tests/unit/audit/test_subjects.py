"""`audit.subjects`: the limits that need content, counted again from what a provider shows."""

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from branches import write_store
from click.testing import CliRunner
from recorded import RIGHT
from test_gaps import Book, asked_for, number

from audit.openings import OPENING_BYTES_MAX, Asked, Opening, parse_opening, parse_openings
from audit.subjects import SUBJECT_FAULTS, Recount, recount
from cli.main import main
from contracts import exchanges as forms
from contracts.grants import GrantAmend, GrantApprove
from ledger import store_keys
from ledger.attachments import items_root
from ledger.codec import encode
from ledger.commitments import commitment, subject_tag
from ledger.errors import Malformed
from ledger.types import LeafIndex


def salt(identifier: str) -> bytes:
    return sha256(f"salt of {identifier}".encode()).digest()


def tags_of(people: Iterable[str]) -> list[bytes]:
    return [subject_tag(salt(each), each) for each in people]


class Provider:
    """A provider that receipts what it likes, and keeps what opens its receipts."""

    def __init__(self, **limits: Any) -> None:
        self.book = Book()
        self.ask(**limits)
        self.shown: dict[int, Opening] = {}

    def ask(self, **limits: Any) -> None:
        """A grant with these limits, approved."""
        book = self.book
        book.asked = book.record("housing", "grant.request", asked_for(**limits), ())
        book.branch.block(book.asked)
        book.branch.block(book.record("health", "grant.approve", GrantApprove(book.grant), ()))

    def amend(self, **limits: Any) -> None:
        """A second version of the grant."""
        book = self.book
        body = GrantAmend(book.grant, asked_for(**limits))
        book.branch.block(book.record("housing", "grant.amend", body, ()))
        book.branch.block(book.record("health", "grant.approve", GrantApprove(book.grant, 2), ()))

    def answer(
        self,
        value: int,
        people: Iterable[str],
        *,
        query: str | None = None,
        version: int = 1,
        **changes: Any,
    ) -> None:
        """One exchange about these people; query: as asked, if it does not name just them."""
        people = list(people)
        if query is None:
            query = json.dumps({"where": {"id_number": {"in": people}}})
        ledger_id = self.book.consortium.genesis_file.ledger_id
        blinding = number(value, "blinding")
        content = encode((("id_number", "name"), query.encode()))
        tags = tags_of(people)
        receipt = msgspec.structs.replace(
            self.book.receipt(value),
            rows=max(len(people), 1),
            request=commitment(ledger_id, role="request", blinding=blinding, content=content),
            subjects=len(tags),
            subjects_root=items_root(tags) if tags else bytes(32),
        )
        receipt = msgspec.structs.replace(receipt, **changes)
        items = (encode(receipt),)
        counts = (1, receipt.rows, receipt.size_bytes)
        right = (version, *RIGHT[1:])
        line = forms.ReceiptLine(self.book.grant, *right, *counts, items_root(items))
        record = self.book.record("health", "exchange.receipts", forms.Receipts((line,)), items)
        self.book.branch.block(record)
        self.shown[value] = Opening(
            exchange_id=number(value).hex(),
            grant_id=self.book.grant.hex(),
            tags=[tag.hex() for tag in tags],
            asked=Asked(
                fields=["id_number", "name"],
                query=query,
                request_blinding=blinding.hex(),
                salts={each: salt(each).hex() for each in people},
            ),
        )

    def counted(self) -> Recount:
        """What the auditor finds."""
        return recount(self.book.branch, self.shown.values())


def named(found: Recount) -> list[tuple[str, bytes]]:
    return [(fault.code, fault.exchange_id) for fault in found.faults]


def people(*places: int) -> list[str]:
    return [f"P{place}" for place in places]


def test_distinct_subjects_of_many_exchanges_are_counted_once_each() -> None:
    provider = Provider(subjects_max=5)
    for value in range(20):
        provider.answer(value, people(value % 5, (value + 1) % 5))
    found = provider.counted()
    assert named(found) == []
    (grant,) = found.grants
    assert (grant.receipts, grant.opened, grant.queries, grant.subjects) == (20, 20, 20, 5)
    assert (grant.provider, grant.consumer, grant.subjects_max) == ("health", "housing", 5)


def test_the_first_exchange_beyond_the_limit_is_named_whatever_the_order_shown() -> None:
    """Each of the exchanges is about fewer people than the grant allows: only the tags tell."""
    provider = Provider(subjects_max=5)
    for value in range(7):
        provider.answer(value, people(value))
    for order in (list(provider.shown), list(reversed(provider.shown))):
        found = recount(provider.book.branch, [provider.shown[value] for value in order])
        assert named(found) == [("subjects-over-limit", number(5))]
        assert found.faults[0].detail == "6 by this exchange, 5 allowed by version 1"
        assert found.grants[0].subjects == 7


def test_a_lower_limit_counts_everybody_of_the_grants_life() -> None:
    provider = Provider(subjects_max=5)
    provider.answer(1, people(1, 2, 3))
    provider.amend(subjects_max=2)
    provider.answer(2, people(1), version=2)
    assert named(provider.counted()) == [("subjects-over-limit", number(2))]
    raised = Provider(subjects_max=2)
    raised.answer(1, people(1, 2))
    raised.amend(subjects_max=3)
    raised.answer(2, people(3), version=2)
    assert (named(raised.counted()), raised.counted().grants[0].subjects_max) == ([], 3)


def test_tags_count_only_if_the_receipt_commits_to_them() -> None:
    provider = Provider(subjects_max=2)
    for value in range(4):
        provider.answer(value, people(value))
    for value in (2, 3):
        tags = provider.shown[0].tags
        provider.shown[value] = msgspec.structs.replace(provider.shown[value], tags=tags)
    found = provider.counted()
    assert named(found) == [("other-subjects", number(2)), ("other-subjects", number(3))]
    assert (found.grants[0].subjects, found.grants[0].opened) == (2, 2)


def test_what_is_not_shown_is_named_once_for_a_grant() -> None:
    provider = Provider(subjects_max=9)
    for value in range(6):
        provider.answer(value, people(value))
    provider.answer(6, [], rows=0)
    for value in (2, 4, 6):
        del provider.shown[value]
    found = provider.counted()
    assert named(found) == [("subjects-unopened", number(2))]
    assert found.faults[0].detail == "2 of 7 receipts"


@pytest.mark.parametrize("changes", [{"subjects": 1}, {"subjects": 3}])
def test_a_receipt_that_counts_otherwise_than_its_tags_is_named(changes: dict[str, int]) -> None:
    provider = Provider(subjects_max=9)
    provider.answer(1, people(1, 2), **changes)
    assert named(provider.counted()) == [("subjects-miscounted", number(1))]


def test_a_person_tagged_twice_in_one_receipt_is_a_miscount() -> None:
    provider = Provider(subjects_max=9)
    provider.answer(1, people(1, 1))
    found = provider.counted()
    assert named(found) == [("subjects-miscounted", number(1))]
    assert found.faults[0].detail == "2 said, 1 distinct tags of 2"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('{"where": {"id_number": "P1"}}', "beyond-query"),
        ('{"where": {"id_number": {"in": ["P1", "P3"]}}}', "beyond-query"),
        ('{"where": {"id_number": {">": "P0"}}}', "subjects-unnamed"),
        ('{"where": {"name": "Ada"}}', "subjects-unnamed"),
        ("{}", "subjects-unnamed"),
        ("no JSON", "subjects-unnamed"),
        ('{"where": {"id_number": {"in": ["P2", "P1", "P3"]}}}', None),
    ],
)
def test_an_answer_about_others_than_the_query_names_is_named(query: str, code: str | None) -> None:
    provider = Provider(subjects_named=True)
    provider.answer(1, people(1, 2), query=query)
    assert named(provider.counted()) == ([] if code is None else [(code, number(1))])


def test_a_query_that_names_its_subjects_binds_also_where_it_need_not() -> None:
    provider = Provider(subjects_max=9)
    provider.answer(1, people(1, 2), query='{"where": {"id_number": "P1"}}')
    provider.answer(2, people(1, 2), query="{}")
    assert named(provider.counted()) == [("beyond-query", number(1))]


def test_a_query_counts_only_if_the_receipt_commits_to_it() -> None:
    provider = Provider(subjects_named=True)
    provider.answer(1, people(1), query="{}")
    shown = provider.shown[1]
    assert shown.asked is not None
    for changes in (
        {"query": '{"where": {"id_number": "P1"}}'},
        {"fields": ["id_number"]},
        {"request_blinding": "00" * 32},
    ):
        asked = msgspec.structs.replace(shown.asked, **changes)
        provider.shown[1] = msgspec.structs.replace(shown, asked=asked)
        assert named(provider.counted()) == [("other-query", number(1))]


def test_tags_alone_are_counted_and_their_queries_are_not() -> None:
    provider = Provider(subjects_named=True)
    provider.answer(1, people(1), query="{}")
    provider.shown[1] = msgspec.structs.replace(provider.shown[1], asked=None)
    found = provider.counted()
    assert named(found) == [] and (found.grants[0].opened, found.grants[0].queries) == (1, 0)


def test_grants_without_such_limits_and_openings_of_others_are_left_alone() -> None:
    provider = Provider(rows_max=100)
    provider.answer(1, people(1, 2))
    found = provider.counted()
    assert (found.grants, found.faults, found.aside) == ([], [], 1)
    limited = Provider(subjects_max=3)
    limited.answer(1, people(1))
    twice = [limited.shown[1], limited.shown[1]]
    found = recount(limited.book.branch, twice)
    assert (named(found), found.aside, found.grants[0].opened) == ([], 1, 1)


def test_what_the_ledger_does_not_hold_accuses_nobody() -> None:
    provider = Provider(subjects_max=1, subjects_named=True)
    place = provider.book.branch.checkpoint.tree_size
    provider.answer(1, people(1, 2, 3))
    del provider.book.branch.values[store_keys.attached_key(LeafIndex(place))]
    found = provider.counted()
    assert (named(found), found.unheld, found.grants) == ([], 1, [])


def test_a_query_without_its_datasets_description_is_counted_apart() -> None:
    provider = Provider(subjects_named=True)
    provider.answer(1, people(1), query="{}")
    values = provider.book.branch.values
    del values[store_keys.attached_key(LeafIndex(0))]
    found = provider.counted()
    assert (named(found), found.undescribed) == ([], 1)


def test_every_code_is_provoked_by_some_test() -> None:
    provoked = {"subjects-over-limit", "other-subjects", "subjects-miscounted", "other-query"}
    provoked |= {"subjects-unopened", "subjects-unnamed", "beyond-query"}
    assert set(SUBJECT_FAULTS) == provoked


def test_openings_are_read_back_and_bad_lines_are_named() -> None:
    provider = Provider(subjects_max=1)
    provider.answer(1, people(1))
    line = provider.shown[1].to_line()
    assert list(parse_openings([line, b"\n", line])) == [provider.shown[1]] * 2
    with pytest.raises(Malformed, match="line 2"):
        list(parse_openings([line, line.replace(b'"tags"', b'"tag"')]))
    with pytest.raises(Malformed, match="bytes in a line"):
        parse_opening(b" " * (OPENING_BYTES_MAX + 1))
    with pytest.raises(Malformed):
        parse_opening(b"[" * 100_000)


def test_the_command_counts_and_says_so_by_its_exit_code(tmp_path: Path) -> None:
    provider = Provider(subjects_max=2)
    for value in range(3):
        provider.answer(value, people(value))
    folder = str(tmp_path / "store")
    write_store(provider.book.branch, Path(folder))
    shown = tmp_path / "shown.ndjson"
    call = ["audit", "subjects", folder, str(shown)]
    missing = CliRunner().invoke(main, call)
    assert missing.exit_code == 1 and "cannot read" in missing.output
    shown.write_bytes(b"{}\n")
    bad = CliRunner().invoke(main, call)
    assert bad.exit_code == 1 and "line 1" in bad.output and "audit openings" in bad.output
    shown.write_bytes(b"".join(each.to_line() for each in provider.shown.values()))
    over = CliRunner().invoke(main, [*call, "--json"])
    assert over.exit_code == 1
    assert [each["code"] for each in json.loads(over.output)["faults"]] == ["subjects-over-limit"]
    assert number(2).hex() in CliRunner().invoke(main, call).output
    shown.write_bytes(b"".join(provider.shown[value].to_line() for value in (0, 1)))
    less = CliRunner().invoke(main, call)
    assert less.exit_code == 1 and "subjects-unopened" in less.output
