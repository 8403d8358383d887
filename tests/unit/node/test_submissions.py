"""`node.submissions`, `node.write_buffer`, `node.verification`: limits, and nothing twice."""

import pytest
from builders import Consortium
from recorded import dataset

from node.submissions import LOOK_TICKS, Limits, Queue, Waiting, chunks
from node.verification import Verification
from node.write_buffer import WriteBuffer

CONSORTIUM = Consortium()
RECORDS = [dataset(CONSORTIUM, "health", f"table-{number}") for number in range(5)]


def limits(records: int, size: int = 10**6) -> Limits:
    return Limits(records_max=records, bytes_max=size, resend_ticks=3)


def test_waiting_records_are_sent_again_until_they_settle() -> None:
    waiting = Waiting(limits(2))
    first, second, third = RECORDS[:3]
    assert waiting.add(first, first.to_bytes(), tick=0)
    assert waiting.add(first, first.to_bytes(), tick=0) and len(waiting) == 1
    assert waiting.add(second, second.to_bytes(), tick=2)
    assert not waiting.add(third, third.to_bytes(), tick=2)
    assert waiting.overdue(tick=3) == [first.to_bytes()]
    assert waiting.overdue(tick=5) == [second.to_bytes()]
    assert waiting.resend_all(tick=9) == [first.to_bytes(), second.to_bytes()]
    assert waiting.expired(time_ms=first.header.valid_until_ms) == [
        first.record_id,
        second.record_id,
    ]
    assert waiting.settle(first.record_id) and not waiting.settle(first.record_id)
    assert first.record_id not in waiting and second.record_id in waiting


def test_each_try_waits_twice_as_long_up_to_a_limit_until_another_leads() -> None:
    waiting = Waiting(limits(1))
    raw = RECORDS[0].to_bytes()
    assert waiting.add(RECORDS[0], raw, tick=0)
    sent = [tick for tick in range(1, 100) if waiting.overdue(tick=tick)]
    assert sent == [3, 9, 21, 45, 69, 93]
    assert waiting.resend_all(tick=100) == [raw]
    assert [tick for tick in range(101, 115) if waiting.overdue(tick=tick)] == [103, 109]


def test_what_comes_out_in_the_order_it_was_sent_in_was_not_lost() -> None:
    waiting = Waiting(limits(5))
    for tick, record in enumerate(RECORDS):
        assert waiting.add(record, record.to_bytes(), tick=tick)
    for tick, record in enumerate(RECORDS[:2], start=4):
        assert waiting.settle(record.record_id) and not waiting.overdue(tick=tick)
    assert waiting.settle(RECORDS[3].record_id), "it was sent after another that still waits"
    sent = {tick: waiting.overdue(tick=tick) for tick in range(6, 20)}
    overtaken, last = RECORDS[2].to_bytes(), RECORDS[4].to_bytes()
    assert [raw for raws in sent.values() for raw in raws][:2] == [overtaken, last]
    assert min(tick for tick, raws in sent.items() if raws) <= 4 + LOOK_TICKS
    assert min(tick for tick, raws in sent.items() if last in raws) >= 6 + 3


def test_waiting_is_limited_in_bytes() -> None:
    raw = RECORDS[0].to_bytes()
    waiting = Waiting(limits(10, len(raw)))
    assert waiting.add(RECORDS[0], raw, tick=0)
    assert not waiting.add(RECORDS[1], RECORDS[1].to_bytes(), tick=0)


def test_a_queue_takes_each_record_once_and_gives_back_in_order() -> None:
    queue = Queue(limits(3))
    for name in (b"a", b"b", b"c", b"a"):
        assert queue.add(name, name * 10)
    assert not queue.add(b"d", b"d")
    taken = queue.take(records_max=2, bytes_max=100)
    assert taken == [(b"a", b"a" * 10), (b"b", b"b" * 10)]
    assert queue.add(b"a", b"a" * 10) and len(queue) == 1
    queue.give_back(taken)
    assert queue.take(records_max=9, bytes_max=15) == [(b"a", b"a" * 10)]
    assert queue.take(records_max=9, bytes_max=5) == [(b"b", b"b" * 10)]
    queue.executed([b"a", b"b"])
    assert queue.add(b"a", b"again") and len(queue) == 2
    queue.clear()
    assert len(queue) == 0 and queue.take(records_max=1, bytes_max=1) == []


def test_chunks_keep_order_and_limits() -> None:
    parts = list(chunks([b"aa", b"bb", b"cccccc", b"d"], records_max=2, bytes_max=5))
    assert parts == [(b"aa", b"bb"), (b"cccccc",), (b"d",)]


def test_a_signature_is_asked_for_once_and_forgotten_when_executed() -> None:
    verification = Verification(records_max=2)
    raws = [record.to_bytes() for record in RECORDS[:3]]
    jobs = verification.prepare([*raws, b"junk"])
    assert [raw for raw, _ in jobs] == raws and verification.prepare(raws) == []
    assert verification.checked(raws[0]) is None and verification.all_checked(raws) is None
    junk = verification.checked(b"junk")
    assert junk is not None and junk.record is None and junk.fault
    for raw in raws:
        verification.result(raw, valid=raw is not raws[1])
    verification.result(b"unknown", valid=True)
    found = verification.all_checked(raws)
    assert found is not None
    assert [each.signature_valid for each in found] == [True, False, True]
    verification.trim()
    assert verification.checked(raws[0]) is None and verification.checked(raws[2]) is not None
    verification.forget(raws)
    assert verification.checked(raws[2]) is None


class _Store:
    def __init__(self) -> None:
        self.values = {b"stored": b"s", b"gone": b"g"}

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)


def test_a_buffer_reads_its_own_writes_through_both_layers() -> None:
    buffer = WriteBuffer(_Store(), last_batch_number=7)  # type: ignore[arg-type]
    buffer.put(b"a", b"1")
    buffer.delete(b"gone")
    first = buffer.take(term=1, vote=None, signed_height=0)
    assert first.number == 8 and dict(first.puts) == {b"a": b"1"} and first.deletes == (b"gone",)
    assert buffer.in_flight and buffer.empty
    buffer.put(b"a", b"2")
    assert buffer.get(b"a") == b"2" and buffer.get(b"gone") is None
    assert buffer.get(b"stored") == b"s" and buffer.gathered_bytes == 1
    with pytest.raises(AssertionError):
        buffer.take(term=1, vote=None, signed_height=0)
    buffer.landed(8)
    assert not buffer.in_flight
    with pytest.raises(AssertionError):
        buffer.landed(8)
