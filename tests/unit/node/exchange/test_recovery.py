"""`node.exchange.recovery`: what a restart has to void, by the ledger's own word."""

from pathlib import Path

import pytest
from builders import START_MS, Consortium
from recorded import Recorder, dataset, grant_request, receipts

from contracts import exchanges, grants
from ledger.attachments import items_root
from ledger.codec import encode
from node import ports
from node.exchange.recovery import Unfinished, judged


def exchange_id(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "data")


def test_only_receipts_neither_acknowledged_nor_voided_are_voided(recorder: Recorder) -> None:
    consortium = recorder.consortium
    recorder.put(dataset(consortium, "health", "table"))
    asked = grant_request(consortium, "housing", "health", "table")
    recorder.put(asked)
    approve = grants.GrantApprove(asked.record_id)
    recorder.put(consortium.record("health", "grant.approve", approve, created_ms=START_MS + 9_000))
    since = recorder.replica.chain.tip.height
    batch = receipts(consortium, "health", asked.record_id, range(5))
    recorder.put(batch)
    item = encode(exchanges.Acknowledgement(exchange_id(1), batch.record_id, bytes(32), bytes(32)))
    line = exchanges.Line(asked.record_id, 1, items_root([item]))
    outcome = recorder.put(
        consortium.record(
            "housing",
            "exchange.acknowledgements",
            exchanges.Acknowledgements((line,)),
            items=(item,),
            created_ms=START_MS + 9_000,
        )
    )
    assert isinstance(outcome, ports.Accepted)
    taken_back = encode(exchanges.Void(exchange_id(4), batch.record_id, 0, "revoked"))
    voids = exchanges.Voids((exchanges.Line(asked.record_id, 1, items_root([taken_back])),))
    outcome = recorder.put(
        consortium.record(
            "health", "exchange.voids", voids, items=(taken_back,), created_ms=START_MS + 9_000
        )
    )
    assert isinstance(outcome, ports.Accepted)
    under_way = Unfinished(asked.record_id, since)
    unfinished = {exchange_id(number): under_way for number in (1, 3, 4, 99)}
    found = judged(recorder.store, unfinished, department="health")
    assert found == ({exchange_id(3): batch.record_id}, (exchange_id(99),))
    assert judged(recorder.store, {}, department="health") == ({}, ())
    assert judged(recorder.store, unfinished, department="housing").to_void == {}
    later = {exchange_id(3): Unfinished(asked.record_id, recorder.replica.chain.tip.height)}
    assert judged(recorder.store, later, department="health") == ({}, (exchange_id(3),))
    recorder.close()


def test_what_another_attaches_under_its_own_grant_decides_nothing(tmp_path: Path) -> None:
    consortium = Consortium(("civil-affairs", "health", "housing"), voter_count=1)
    recorder = Recorder(tmp_path / "data", consortium)
    recorder.put(dataset(consortium, "health", "table"))
    asked = grant_request(consortium, "housing", "health", "table")
    others = grant_request(consortium, "civil-affairs", "health", "table")
    for each in (asked, others):
        recorder.put(each)
        approve = grants.GrantApprove(each.record_id)
        recorder.put(
            consortium.record("health", "grant.approve", approve, created_ms=START_MS + 9_000)
        )
    unfinished = {exchange_id(1): Unfinished(asked.record_id, recorder.replica.chain.tip.height)}
    batch = receipts(consortium, "health", asked.record_id, range(2))
    recorder.put(batch)
    recorder.put(receipts(consortium, "health", others.record_id, range(10, 12)))
    foreign = encode(
        exchanges.Acknowledgement(exchange_id(1), batch.record_id, bytes(32), bytes(32))
    )
    elsewhere = encode(exchanges.Acknowledgement(exchange_id(1), bytes(32), bytes(32), bytes(32)))
    for department, under, item in (
        ("civil-affairs", others, foreign),
        ("civil-affairs", others, b"no item"),
        ("housing", asked, elsewhere),
    ):
        line = exchanges.Line(under.record_id, 1, items_root([item]))
        outcome = recorder.put(
            consortium.record(
                department,
                "exchange.acknowledgements",
                exchanges.Acknowledgements((line,)),
                items=(item,),
                created_ms=START_MS + 9_000,
            )
        )
        assert isinstance(outcome, ports.Accepted), outcome
    found = judged(recorder.store, unfinished, department="health")
    assert found == ({exchange_id(1): batch.record_id}, ())
    recorder.close()
