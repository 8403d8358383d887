"""X-Road monitoring records: each is used or refused for a reason, and the numbers add up."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.xroad import REASONS, Half, Imported, Side, half_of, imported, records

SECRET = bytes(range(32))
LEDGER = bytes(32)
GRANT = "ab" * 32
CLIENT = "ee-dev/COM/11022625/ef-dev-gas"
SERVICE = "ee-dev/COM/11022625/ef-dev-adm/estfeedData"

REAL = (
    Path(__file__).resolve().parents[4]
    / "shared/data/xroad-metrics/integration_tests/ci_anonymizer/data"
)


def record(side: str = "Client", message: str = "m-1", **changes: Any) -> dict[str, Any]:
    """One record of a client's or a producer's security server."""
    made = {
        "securityServerType": side,
        "messageId": message,
        "requestInTs": 1_506_183_487_913,
        "responseInTs": 1_506_183_488_128,
        "clientXRoadInstance": "ee-dev",
        "clientMemberClass": "COM",
        "clientMemberCode": "11022625",
        "clientSubsystemCode": "ef-dev-gas",
        "serviceXRoadInstance": "ee-dev",
        "serviceMemberClass": "COM",
        "serviceMemberCode": "11022625",
        "serviceSubsystemCode": "ef-dev-adm",
        "serviceCode": "estfeedData",
        "requestMimeSize": 1_864,
        "responseMimeSize": 2_013,
        "succeeded": True,
        "messageIssue": None,
    }
    return made | changes


def read(values: list[Any], side: Side = "producer", secret: bytes = SECRET) -> Imported:
    grants = {(CLIENT, SERVICE): GRANT}
    return imported(values, side=side, grants=grants, secret=secret, ledger_id=LEDGER)


def test_both_halves_make_the_same_commitments_and_nobody_else_can() -> None:
    values = [record("Client"), record("Producer")]
    receipts, acknowledgements = read(values, "producer"), read(values, "client")
    assert (receipts.read, receipts.used, receipts.paired) == (2, 1, 1)
    [receipt], [acknowledgement] = receipts.entries, acknowledgements.entries
    for part in ("exchange_id", "grant_id", "request", "response"):
        assert receipt[part] == acknowledgement[part]
    assert (receipt["rows"], receipt["size_bytes"]) == (0, 2_013)
    [other] = read(values, secret=bytes(32)).entries
    for part in ("exchange_id", "request", "response", "case"):
        assert receipt[part] != other[part]


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("no-record", "words"),
        ("no-record", None),
        ("no-side", record(securityServerType="Proxy")),
        ("no-side", {}),
        ("no-message-id", record(messageId=None)),
        ("no-message-id", record(messageId="None")),
        ("no-parties", record(clientMemberCode="None")),
        ("no-parties", record(serviceCode="")),
        ("no-time", record(requestInTs="soon")),
        ("failed", record(succeeded=False)),
        ("failed", record(succeeded="FALSE")),
        ("failed", record(responseInTs=None)),
        ("failed", record(soapFaultCode="Server.ClientProxy.NetworkError")),
    ],
)
def test_a_record_that_says_nothing_of_use_is_refused_for_its_reason(
    reason: str, value: Any
) -> None:
    assert half_of(value) == reason
    found = read([record("Producer"), value])
    assert (found.read, found.used, dict(found.refused)) == (2, 1, {reason: 1})


def test_odd_spellings_say_the_same() -> None:
    odd = {key.upper(): value for key, value in record(" PRODUCER ").items()}
    odd |= {"REQUESTINTS": "1506183487913", "SUCCEEDED": "True", "MESSAGEISSUE": "None"}
    assert half_of(odd) == half_of(record("Producer"))


def test_duplicates_contradictions_and_missing_halves_are_told_apart() -> None:
    values = [
        record("Producer"),
        record("Producer"),
        record("Producer", responseMimeSize=9),
        record("Client"),
        record("Client", "m-2"),
        record("Producer", "m-3"),
        record("Client", "m-3", requestMimeSize=1),
        record("Producer", "m-4", serviceCode="another"),
        record("Producer", "m-5"),
    ]
    found = read(values)
    assert (found.read, found.used, found.paired) == (9, 2, 1)
    assert dict(found.refused) == {
        "duplicate": 1,
        "contradiction": 1,
        "other-side": 3,
        "halves-differ": 1,
        "no-grant": 1,
    }


def test_a_file_is_a_list_an_answer_or_one_object_after_another() -> None:
    pair = {"client": record("Client"), "producer": record("Producer"), "messageId": "m-1"}
    one = [record("Client"), record("Producer")]
    for text in (
        json.dumps(one),
        json.dumps({"records": one}),
        "\n".join(map(json.dumps, one)),
        json.dumps(pair) + "\n",
        json.dumps({"columns": list(one[0]), "data": [list(each.values()) for each in one]}),
    ):
        assert list(records(text)) == one
    assert list(records('{"columns": ["a"], "data": [["x", "y"], 3]}')) == [["x", "y"], 3]
    orphan = {"client": record("Client"), "producer": None}
    assert list(records(json.dumps(orphan))) == one[:1]
    with pytest.raises(ValueError):
        list(records("{"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.dictionaries(st.sampled_from([*record(), "x"]), inner, max_size=17),
    max_leaves=20,
)


@given(st.lists(VALUES | st.sampled_from([record("Client"), record("Producer")]), max_size=8))
def test_whatever_is_read_is_used_or_refused_for_a_known_reason(values: list[Any]) -> None:
    for side in ("client", "producer"):
        found = read(values, side)  # type: ignore[arg-type]
        assert found.read == len(values) == found.used + found.refused.total()
        assert set(found.refused) <= set(REASONS)


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared is not here")
def test_real_records_of_an_x_road_instance_are_paired_and_the_rest_explained() -> None:
    values = [
        value
        for name in ("clean_documents", "more_clean_documents", "clean_processing_documents")
        for value in records((REAL / f"{name}.json").read_text(encoding="utf-8"))
    ]
    halves = [half for half in map(half_of, values) if isinstance(half, Half)]
    grants = {(half.client, half.service): GRANT for half in halves}
    found = imported(values, side="producer", grants=grants, secret=SECRET, ledger_id=LEDGER)
    assert (found.read, found.used, found.paired) == (23, 7, 6)
    assert dict(found.refused) == {"failed": 10, "other-side": 6}
