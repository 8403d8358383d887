"""The machine: edges of windows, replays, quotas, order within a block, a contract that fails."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from builders import START_MS, Consortium
from harness import (
    CITY,
    CONSUMER,
    DAY_MS,
    PROVIDER,
    STRANGER,
    Ledger,
    Stage,
    description,
    items_of,
    judged,
    offer,
    receipt,
    receipt_lines,
    wanted,
)

from contracts.catalog import DatasetOffer
from contracts.context import Context
from contracts.exchanges import Receipts
from contracts.grants import GrantApprove
from contracts.machine import Execution, candidate, genesis_tip, parse_tip
from contracts.refusals import Refusal
from contracts.registry import CONTRACTS
from contracts.state import STATE_READS_MAX
from ledger.blocks import VoterSets
from ledger.errors import Malformed
from ledger.records import assemble_record
from ledger.types import Height

SKEW_MS = 5_000


def published(ledger: Ledger, name: str = "trips", **changes: object):
    body = offer(name)
    return ledger.sign("transport", "dataset.publish", body, document=description(), **changes)


# Blocks


def test_an_empty_entry_makes_a_block_whose_only_leaf_is_its_header(ledger: Ledger) -> None:
    root = ledger.tip.state_root
    block = ledger.execute()
    assert (block.height, block.first_leaf_index, len(block.leaf_hashes)) == (1, 0, 1)
    assert block.header.previous_hash == CITY.ledger_id
    assert block.header.state_root == root
    assert (block.writes, block.pages, block.list_items) == ({}, {}, ())


def test_a_block_holds_the_accepted_records_in_order_then_its_header(ledger: Ledger) -> None:
    first, second = published(ledger, "trips"), published(ledger, "stops")
    block = ledger.execute(first, b"no record", second)
    assert block.accepted == (first, second)
    assert block.header.record_count == 2
    assert ledger.leaves == [first.leaf_bytes, second.leaf_bytes, block.header_bytes]


def test_an_entry_from_before_the_tip_counts_as_of_the_tips_time(ledger: Ledger) -> None:
    later = ledger.execute(time_ms=START_MS + 60_000).header.time_ms
    block = ledger.execute(time_ms=START_MS + 30_000)
    assert block.header.time_ms == block.tip.time_ms == later


def test_a_window_is_judged_by_the_tips_time_where_the_entrys_is_before(ledger: Ledger) -> None:
    record = published(ledger, created_ms=START_MS, valid_ms=60_000)
    ledger.execute(time_ms=START_MS + 60_000)
    assert ledger.codes(record, time_ms=START_MS + 30_000) == ["expired"]


def test_a_tip_reads_back_from_its_bytes_and_from_no_others(stage: Stage) -> None:
    raw = stage.tip.to_bytes()
    assert parse_tip(raw) == stage.tip
    assert parse_tip(raw).tree().root() == stage.tip.tree().root()
    with pytest.raises(Malformed, match="tip"):
        parse_tip(raw[:-1])


def test_the_tip_of_genesis_has_no_leaf_and_names_the_voters(ledger: Ledger) -> None:
    tip = genesis_tip(CITY.genesis_file, state_root=ledger.tip.state_root)
    assert (tip.height, tip.tree_size, tip.block_hash) == (0, 0, CITY.ledger_id)
    assert tip.voters == VoterSets(tuple(sorted(CITY.node_ids)))
    assert tip == ledger.tip


def test_bytes_become_a_candidate_whose_signature_does_not_count_yet(ledger: Ledger) -> None:
    record = published(ledger)
    assert candidate(record.to_bytes()).record == record
    assert not candidate(record.to_bytes()).signature_valid
    assert judged(record).signature_valid
    wrong = candidate(b"")
    assert wrong.record is None
    assert wrong.fault.startswith("record: ")


# Windows


@pytest.mark.parametrize(
    ("ahead_ms", "codes"), [(0, []), (SKEW_MS, []), (SKEW_MS + 1, ["not-yet-valid"])]
)
def test_a_record_may_be_created_as_far_ahead_as_the_skew(
    ledger: Ledger, ahead_ms: int, codes: list[str]
) -> None:
    time_ms = START_MS + 10_000
    record = published(ledger, created_ms=time_ms + ahead_ms)
    assert ledger.codes(record, time_ms=time_ms) == codes


@pytest.mark.parametrize(("left_ms", "codes"), [(1, []), (0, ["expired"]), (-1, ["expired"])])
def test_a_record_counts_until_just_before_the_end_of_its_window(
    ledger: Ledger, left_ms: int, codes: list[str]
) -> None:
    record = published(ledger, created_ms=START_MS, valid_ms=60_000)
    assert ledger.codes(record, time_ms=START_MS + 60_000 - left_ms) == codes


@pytest.mark.parametrize(
    ("valid_ms", "codes"),
    [
        (-1, ["window-too-long"]),
        (0, ["window-too-long"]),
        (1, []),
        (DAY_MS, []),
        (DAY_MS + 1, ["window-too-long"]),
    ],
)
def test_a_window_lasts_from_a_millisecond_to_the_setting(
    ledger: Ledger, valid_ms: int, codes: list[str]
) -> None:
    record = published(ledger, created_ms=START_MS + 10_000, valid_ms=valid_ms)
    assert ledger.codes(record, time_ms=START_MS + 10_000) == codes


def test_the_windows_follow_the_settings_of_genesis() -> None:
    ledger = Ledger(Consortium(settings=(("record-skew-ms", 0), ("record-window-ms", 1_000))))
    now = START_MS + 10_000
    early = published(ledger, "early", created_ms=now + 1, valid_ms=1_000)
    long = published(ledger, "long", created_ms=now, valid_ms=1_001)
    right = published(ledger, "right", created_ms=now, valid_ms=1_000)
    assert ledger.codes(early, long, right, time_ms=now) == ["not-yet-valid", "window-too-long"]
    ledger.verify()


# Replays and quotas


def test_a_record_twice_in_one_block_counts_once(stage: Stage) -> None:
    record = stage.receipts()
    assert stage.codes(record, record) == ["replayed"]
    assert stage.grant().exchanges == 1


def test_a_nonce_counts_for_each_key_alone(ledger: Ledger) -> None:
    nonce = bytes(16)
    first = published(ledger, nonce=nonce)
    other = ledger.sign("health", "dataset.publish", offer(), document=description(), nonce=nonce)
    ledger.accept(first, other)


def test_a_refused_record_leaves_its_nonce_free(stage: Stage) -> None:
    asked = stage.sign(CONSUMER, "grant.request", wanted(dataset="pupils"))
    assert stage.codes(asked) == ["unknown-dataset"]
    stage.accept(stage.publish("pupils"))
    stage.accept(asked)


def test_refused_records_take_nothing_from_the_quota() -> None:
    stage = Stage(Consortium(settings=(("records-per-block", 2),)))
    wrong = [stage.receipts(department=STRANGER) for _ in range(3)]
    right = [stage.denials(department=STRANGER) for _ in range(3)]
    codes = stage.codes(wrong[0], right[0], wrong[1], right[1], wrong[2], right[2])
    assert codes == ["not-the-provider", "not-the-provider", "quota-exceeded", "quota-exceeded"]
    stage.accept(right[2])
    stage.verify()


def test_one_departments_quota_does_not_stop_another() -> None:
    stage = Stage(Consortium(settings=(("records-per-block", 1),)))
    codes = stage.codes(stage.denials(), stage.denials(), stage.denials(department=STRANGER))
    assert codes == ["quota-exceeded"]


# Order within a block


def test_a_receipt_before_the_revocation_in_its_block_is_accepted(stage: Stage) -> None:
    stage.accept(stage.receipts(), stage.decide(PROVIDER, "revoke"))
    assert stage.grant().exchanges == 1


def test_a_receipt_after_the_revocation_in_its_block_is_refused(stage: Stage) -> None:
    receipts, revocation = stage.receipts(), stage.decide(PROVIDER, "revoke")
    assert stage.codes(revocation, receipts) == ["grant-revoked"]
    assert stage.grant().exchanges == 0


def test_a_whole_exchange_fits_in_one_block(ledger: Ledger) -> None:
    stage = Stage()
    asked = stage.sign(CONSUMER, "grant.request", wanted())
    stage.accept(
        asked,
        stage.sign(PROVIDER, "grant.approve", GrantApprove(asked.record_id)),
        stage.receipts(2, grant_id=asked.record_id),
        stage.acknowledgements(grant_id=asked.record_id),
        stage.voids(grant_id=asked.record_id),
    )
    known = stage.grant(asked.record_id)
    assert (known.exchanges, known.acknowledged, known.voided) == (2, 1, 1)
    stage.verify()


def test_a_batch_is_accepted_whole_or_not_at_all(stage: Stage) -> None:
    other = stage.granted(rows_max=1)
    fits, exceeds = [receipt(1)], [receipt(2, rows=2)]
    record = stage.receipts_for({stage.grant_id: fits, other: exceeds})
    assert stage.codes(record) == ["rows-exhausted"]
    assert stage.grant().exchanges == stage.grant(other).exchanges == 0
    stage.accept(stage.receipts_for({stage.grant_id: fits, other: [receipt(3)]}))
    assert stage.grant().exchanges == stage.grant(other).exchanges == 1


# Attachments that an auditor no longer holds


def test_an_auditor_makes_the_same_block_without_the_items(stage: Stage) -> None:
    record = stage.receipts(2)
    pruned = stage.fork().execute(record, pruned=True)
    whole = stage.execute(record)
    assert pruned.header == whole.header
    assert pruned.writes == whole.writes
    assert pruned.accepted[0].attached is None


def test_an_auditor_still_compares_the_lines_with_the_announced_count(stage: Stage) -> None:
    body = Receipts(receipt_lines({stage.grant_id: [receipt(1)]}))
    items = items_of({stage.grant_id: [receipt(1), receipt(2)]})
    record = stage.sign(PROVIDER, "exchange.receipts", body, items=items)
    assert stage.codes(record, pruned=True) == stage.codes(record) == ["attachment-mismatch"]


def test_an_auditor_needs_every_document(stage: Stage) -> None:
    record = stage.publish("pupils")
    bare = assemble_record(record.header, record.signature)
    assert stage.codes(bare, pruned=True) == ["attachment-mismatch"]


# Contracts that fail


def failing(error: Exception) -> Callable[[Context, DatasetOffer], Refusal | None]:
    def judge(context: Context, body: DatasetOffer) -> Refusal | None:
        context.state.put(b"half", b"done")
        context.state.append(b"list/half", [b"done"])
        raise error

    return judge


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        OverflowError(),
        AssertionError(),
        AttributeError(),
        KeyError(),
        IndexError(),
        TypeError(),
        ValueError(),
        UnicodeEncodeError("ascii", "ü", 0, 1, "no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_contract_that_raises_refuses_its_record_alone(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    broken = replace(CONTRACTS["dataset.change"], judge=failing(error))
    monkeypatch.setitem(CONTRACTS, "dataset.change", broken)
    change = ledger.sign("transport", "dataset.change", offer("trips"), document=description())
    block = ledger.execute(published(ledger), change, published(ledger, "stops"))
    [refused] = block.refused
    assert refused.refusal.code == "internal-error"
    assert refused.refusal.detail == f"dataset.change: {type(error).__name__}"
    assert len(block.accepted) == 2
    assert b"half" not in ledger.state


@pytest.mark.parametrize(
    "error", [OSError("disk"), MemoryError(), Malformed("grant", "damaged")], ids=repr
)
def test_what_is_no_mistake_of_a_contract_ends_the_execution(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    broken = replace(CONTRACTS["dataset.publish"], judge=failing(error))
    monkeypatch.setitem(CONTRACTS, "dataset.publish", broken)
    with pytest.raises(type(error)):
        ledger.execute(published(ledger))


def test_a_contract_that_reads_too_much_is_stopped(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(context: Context, body: DatasetOffer) -> Refusal | None:
        for number in range(STATE_READS_MAX + 1):
            context.state.get(b"key/" + number.to_bytes(2, "big"))
        return None

    greedy = replace(CONTRACTS["dataset.publish"], judge=reads)
    monkeypatch.setitem(CONTRACTS, "dataset.publish", greedy)
    assert ledger.codes(published(ledger)) == ["internal-error"]


def test_a_record_beyond_what_a_list_of_sixteen_grants_needs_is_never_stopped(
    stage: Stage,
) -> None:
    grants = [stage.grant_id, *(stage.granted() for _ in range(15))]
    batches = {grant_id: [receipt(number)] for number, grant_id in enumerate(grants)}
    stage.accept(stage.receipts_for(batches))
    assert all(known.exchanges == 1 for known in stage.grants())


# An execution by hand, as a node judges a record before it proposes it


def test_a_record_is_judged_alone_as_the_next_block_would(stage: Stage) -> None:
    execution = Execution(
        ledger_id=CITY.ledger_id,
        height=Height(stage.tip.height + 1),
        time_ms=stage.time_ms,
        view=stage.state,
        voters=stage.tip.voters,
        nonce_used=lambda key, nonce: (key, nonce) in stage.nonces,
    )
    record = stage.receipts()
    assert execution.judge(judged(record)) is None
    assert set(execution.writes) == {
        b"grant/" + stage.grant_id,
        b"list/receipts/" + stage.grant_id,
    }
    [(list_key, number, item)] = execution.list_items
    assert (list_key, number) == (b"list/receipts/" + stage.grant_id, 0)
    assert item == record.record_id + bytes(2)
    unchecked = candidate(stage.receipts().to_bytes())
    refusal = execution.judge(unchecked)
    assert refusal is not None
    assert refusal.code == "bad-signature"


def test_checks_come_cheapest_first(stage: Stage) -> None:
    """A record with every fault is refused for the first; each mended, for the next."""
    good = stage.receipts()
    stage.accept(good)
    header = msgspec.structs.replace(
        good.header,
        ledger_id=bytes(32),
        department="fisheries",
        valid_until_ms=good.header.created_ms,
        body=msgspec.Raw(b"\xc0"),
    )
    mended = [
        {"ledger_id": CITY.ledger_id},
        {"department": CONSUMER},
        {"department": PROVIDER},
        {"valid_until_ms": good.header.valid_until_ms},
        {"nonce": bytes(16)},
    ]
    codes = []
    for change in [{}, *mended]:
        header = msgspec.structs.replace(header, **change)
        codes += stage.codes(assemble_record(header, bytes(64)))
    assert codes == [
        "wrong-ledger",
        "unknown-department",
        "unknown-key",
        "window-too-long",
        "replayed",
        "bad-signature",
    ]
