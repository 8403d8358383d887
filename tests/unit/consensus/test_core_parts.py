"""The core's parts by themselves: log, outbox, memory, and what comes out."""

import pytest
from raft_cluster import ONE, START, A, B, C, Node, SignedProposals, appended, made, of, point

from consensus import EntryPoint, LogStorage, Proposals, Unwritten, Verdict
from consensus import messages as m
from consensus.errors import LogBroken
from consensus.log import Log, data_bytes
from consensus.memory import MemoryStorage, UnsignedProposals
from consensus.outbox import Outbox
from consensus.ready import Outgoing, SoftState
from consensus.types import NO_HASH, Entry, HardState, Role

FIVE_ENTRIES = made(1, 1, 2, 4, 4)


def log_of(*terms: int, commit: int = 0, cached: int = 10**6) -> Log:
    entries = {logged.entry.index: logged for logged in made(*terms)}
    storage = MemoryStorage(entries=entries, last=len(terms))
    return Log(storage, commit=commit, cached_bytes_max=cached)


# The log.


def test_places_outside_the_log_are_unknown() -> None:
    log = log_of(1, 1)
    assert [log.term_at(index) for index in (-1, 0, 1, 2, 3)] == [None, 0, 1, 1, None]
    assert log.point(0) == START
    with pytest.raises(AssertionError, match="^index 3 is outside the log$"):
        log.hash_at(3)


def test_an_entry_that_the_store_lost_or_misplaced_ends_the_node() -> None:
    log = log_of(1, 1)
    storage = log._storage
    assert isinstance(storage, MemoryStorage)
    storage.entries[1] = storage.entries[2]
    with pytest.raises(LogBroken, match="entry 1 is not in the store"):
        log.get(1)
    del storage.entries[2]
    with pytest.raises(LogBroken, match="entry 2 is not in the store"):
        log.get(2)


@pytest.mark.parametrize(
    ("index", "term", "found"),
    [(5, 4, 5), (9, 9, 5), (5, 3, 3), (4, 2, 3), (2, 4, 2), (5, 1, 2), (5, 0, 0), (0, 4, 0)],
)
def test_where_logs_may_agree_is_the_newest_entry_of_no_later_term(
    index: int, term: int, found: int
) -> None:
    log = log_of(1, 1, 2, 4, 4, commit=2)
    expected = point(FIVE_ENTRIES, found) if found else START
    assert log.newest_at_most(index=index, term=term) == expected
    log.compact(2)
    if found >= 2:
        assert log.newest_at_most(index=index, term=term) == expected


def test_a_log_that_was_compacted_agrees_at_its_beginning_at_the_earliest() -> None:
    log = log_of(1, 1, 2, 4, 4, commit=3)
    log.compact(3)
    assert log.newest_at_most(index=5, term=1) == point(FIVE_ENTRIES, 3)
    assert log.newest_at_most(index=1, term=9) == point(FIVE_ENTRIES, 3)
    assert log.newest_at_most(index=4, term=4) == point(FIVE_ENTRIES, 4)
    assert log.last_term == 4


def test_only_what_is_committed_is_compacted() -> None:
    log = log_of(1, 1, 1, commit=2)
    with pytest.raises(AssertionError, match="^only what is committed is compacted$"):
        log.compact(3)


def test_logs_are_compared_by_last_term_then_length() -> None:
    log = log_of(1, 2, 2)
    assert log.is_up_to_date(last_index=3, last_term=2)
    assert log.is_up_to_date(last_index=1, last_term=3)
    assert not log.is_up_to_date(last_index=2, last_term=2)
    assert not log.is_up_to_date(last_index=9, last_term=1)


def test_what_the_log_forbids() -> None:
    log = log_of(1, 1, 1, commit=2)
    with pytest.raises(AssertionError, match="^entries are appended without gaps$"):
        log.append(made(1, 1, 1, 1, 1)[4:])
    for first in (2, 4):
        with pytest.raises(AssertionError, match="^a committed entry is never removed$"):
            log.truncate(first)
    with pytest.raises(AssertionError, match="^only what the log holds can be committed$"):
        log.commit_to(4)
    with pytest.raises(AssertionError, match="^no batch is in flight$"):
        log.written()
    with pytest.raises(AssertionError, match="^what is committed is never replaced$"):
        log.restart(EntryPoint(2, 1, NO_HASH))
    log.take_unwritten()
    with pytest.raises(AssertionError, match="^one batch is in flight at a time$"):
        log.take_unwritten()


def test_the_commit_index_only_rises() -> None:
    log = log_of(1, 1, 1)
    assert [log.commit_to(index) for index in (2, 1, 2, 3)] == [True, False, False, True]
    assert log.commit == 3


def test_committed_entries_come_in_portions_of_one_at_least() -> None:
    log = log_of(1, 1, 1, 1, commit=3)
    size = len(log.get(1).entry.data)
    for limit, count in ((1, 1), (size, 1), (2 * size, 2), (2 * size + 1, 2), (99, 3)):
        assert len(log.committed_after(0, bytes_max=limit)) == count
    assert [each.entry.index for each in log.committed_after(2, bytes_max=99)] == [3]
    assert log.committed_after(3, bytes_max=99) == ()


def test_sizes_count_data_and_a_frame_for_each_entry() -> None:
    log = log_of(1, 1, 1)
    assert log.size_of(2, 3) == 2 * (3 + 64)
    assert log.size_of(3, 2) == 0
    assert data_bytes([Entry(1, 1, bytes(10), A, b""), Entry(1, 2, b"", A, b"")]) == 138


def test_entries_stay_in_memory_up_to_a_limit_once_they_are_stored() -> None:
    log = Log(MemoryStorage(), commit=0, cached_bytes_max=7)
    entries = made(*[1] * 5)
    log.append(entries[:4])
    _, taken = log.take_unwritten()
    assert list(taken) == entries[:4]
    log.append(entries[4:])
    log.written()
    assert sorted(log._memory) == [4, 5]
    assert log._cache_bytes == sum(len(each.entry.data) for each in log._memory.values()) <= 7
    log._cached_bytes_max = log._cache_bytes
    log._trim_cache()
    assert sorted(log._memory) == [4, 5], "exactly as much as the limit stays"
    log.take_unwritten()
    log.truncate(5)
    assert 5 not in log._memory
    log.written()
    assert log._cache_bytes == sum(len(each.entry.data) for each in log._memory.values())


def test_nothing_that_is_not_stored_leaves_memory() -> None:
    log = Log(MemoryStorage(), commit=0, cached_bytes_max=1)
    entries = made(1, 1, 1)
    log.append(entries[:1])
    log.take_unwritten()
    log.append(entries[1:])
    log.written()
    assert sorted(log._memory) == [2, 3]
    assert (log.stable, log.has_unwritten) == (1, True)


def test_a_truncation_is_written_again_from_where_it_cut() -> None:
    log = log_of(1, 1, 1)
    assert not log.has_unwritten
    log.truncate(2)
    assert (log.last, log.stable, log.has_unwritten) == (1, 1, False)
    new = made(1, 2)
    log.append(new[1:])
    assert log.has_unwritten
    assert log.take_unwritten() == (None, (new[1],))
    assert not log.has_unwritten
    log.written()
    assert log.stable == 2


def test_a_truncation_keeps_what_is_nowhere_else_yet() -> None:
    log = Log(MemoryStorage(), commit=0, cached_bytes_max=10**6)
    entries = made(1, 1, 1)
    log.append(entries)
    log.truncate(3)
    assert [log.get(index) for index in (1, 2)] == entries[:2]
    assert sorted(log._memory) == [1, 2]


def test_compacting_frees_memory_and_keeps_what_is_nowhere_else_yet() -> None:
    log = Log(MemoryStorage(), commit=0, cached_bytes_max=10**6)
    entries = made(1, 1, 1, 1)
    log.append(entries[:2])
    log.take_unwritten()
    log.written()
    log.append(entries[2:])
    log.commit_to(2)
    log.compact(2)
    assert sorted(log._memory) == [3, 4]
    assert log.get(3) == entries[2]
    assert log._cache_bytes == sum(len(each.entry.data) for each in entries[2:])


def test_a_log_that_begins_anew_forgets_what_it_held() -> None:
    log = Log(MemoryStorage(), commit=0, cached_bytes_max=10**6)
    log.append(made(1, 1, 1))
    start = EntryPoint(7, 3, bytes(32))
    log.restart(start)
    assert (log.last, log.commit, log.stable, log.last_term) == (7, 7, 0, 3)
    assert (log._memory, log._cache_bytes, log.has_unwritten) == ({}, 0, True)
    assert log.take_unwritten() == (start, ())
    log.written()
    assert (log.stable, log.has_unwritten) == (7, False)


# The outbox.


def test_messages_leave_when_what_they_rest_on_has_landed() -> None:
    log = Log(MemoryStorage(), commit=0, cached_bytes_max=10**6)
    outbox = Outbox(log, HardState())
    hello = m.HeartbeatReply(0, 0)
    outbox.send(B, hello)
    outbox.send_durably(C, hello, HardState())
    assert outbox.take() == (Outgoing(B, hello), Outgoing(C, hello))
    assert outbox.take() == ()
    one, two = HardState(1, A, 0), HardState(2, None, 0)
    outbox.send_durably(B, hello, one)
    assert outbox.take() == ()
    assert outbox.take_unwritten(one) == Unwritten(one, None, (), 0)
    assert outbox.take_unwritten(two) is None
    outbox.send_durably(C, hello, one)
    outbox.send_durably(A, hello, two)
    assert (outbox.take(), outbox.durable) == ((), HardState())
    outbox.landed()
    assert outbox.take() == (Outgoing(B, hello), Outgoing(C, hello))
    assert outbox.durable == one
    outbox.take_unwritten(two)
    outbox.landed()
    assert outbox.take() == (Outgoing(A, hello),)
    assert outbox.take_unwritten(two) is None
    with pytest.raises(AssertionError, match="^nothing is being written$"):
        outbox.landed()


def test_a_write_of_entries_alone_leaves_the_durable_hard_state() -> None:
    log = Log(MemoryStorage(), commit=0, cached_bytes_max=10**6)
    hard = HardState(3, A, 0)
    outbox = Outbox(log, hard)
    log.append(made(1))
    assert outbox.take_unwritten(hard) == Unwritten(None, None, tuple(made(1)), 1)
    outbox.send_durably(B, m.HeartbeatReply(4, 0), HardState(4, None, 0))
    outbox.landed()
    assert (outbox.durable, outbox.take()) == (hard, ())


def test_a_commit_index_is_written_and_holds_no_message_back() -> None:
    log = log_of(1)
    outbox = Outbox(log, HardState(1, A, 0))
    now = HardState(1, A, 1)
    outbox.send_durably(B, m.HeartbeatReply(1, 0), now)
    assert len(outbox.take()) == 1
    unwritten = outbox.take_unwritten(now)
    assert unwritten == Unwritten(now, None, (), 1)


def test_versions_are_learned_and_the_newest_is_assumed() -> None:
    outbox = Outbox(Log(MemoryStorage(), commit=0, cached_bytes_max=1), HardState())
    now = m.TimeoutNow(1, b"")
    assert outbox.understands(B, m.TimeoutNow)
    outbox.learn_version(B, 1)
    assert not outbox.understands(B, m.TimeoutNow) and outbox.understands(B, m.Append)
    outbox.send(B, now)
    outbox.send(C, now)
    outbox.send_durably(B, now, HardState())
    assert outbox.take() == (Outgoing(C, now),)


# What comes out.


def test_soft_state_is_told_when_it_changes() -> None:
    node = Node(B)
    assert node.raft.ready().soft_state is None
    node.raft.step(A, m.Heartbeat(2, 0, 0))
    assert node.raft.ready().soft_state == SoftState(Role.FOLLOWER, 2, A)
    assert node.raft.ready().soft_state is None


def test_entries_are_handed_out_once_in_order_and_only_on_demand() -> None:
    fresh = Node(B, log=made(1, 1, 1), term=1, commit=2, applied=0)
    assert fresh.raft.ready(hand_out=False).committed == ()
    handed = fresh.raft.ready().committed
    assert [logged.entry.index for logged in handed] == [1, 2]
    assert fresh.raft.ready().committed == ()
    assert fresh.raft.applied_index == 0
    for index in (3, 4):
        with pytest.raises(AssertionError, match="^executed what was not handed out$"):
            fresh.raft.applied_to(index)
    fresh.raft.applied_to(2)
    fresh.raft.applied_to(2)
    with pytest.raises(AssertionError, match="^executed what was not handed out$"):
        fresh.raft.applied_to(1)


def test_one_write_is_under_way_at_a_time() -> None:
    node = Node(A, ONE)
    node.raft.campaign()
    assert node.raft.take_unwritten() == Unwritten(HardState(1, A, 0), None, (), 0)
    assert node.raft.take_unwritten() is None
    node.raft.persisted()
    node.raft.propose(b"x")
    unwritten = node.raft.take_unwritten()
    assert unwritten is not None and unwritten.hard_state is None
    assert [logged.entry.data for logged in unwritten.entries] == [b"x"]


def test_commit_index_and_entries_are_in_one_write() -> None:
    node = Node(B, term=1)
    node.disk_works = False
    log = made(1, 1)
    node.hear(A, appended(log, term=1, previous=0, commit=1))
    assert node.raft.take_unwritten() == Unwritten(HardState(1, None, 1), None, tuple(log), 2)


def test_the_signature_covers_term_index_previous_hash_and_data() -> None:
    node = Node(A, log=made(1), term=1)
    node.lead()
    logged = node.raft.entry(2)
    assert node.proposals.signed == [(2, 2, b"")]
    assert SignedProposals(B).check(logged.entry, made(1)[0].hash) is Verdict.ACCEPT
    assert logged.hash == node.proposals.entry_hash(logged.entry, made(1)[0].hash)
    assert (logged.entry.proposer, logged.entry.term, logged.entry.index) == (A, 2, 2)


# The store and the signatures in memory.


def test_a_store_in_memory_keeps_what_is_written_and_drops_what_is_outside() -> None:
    storage = MemoryStorage()
    checked: LogStorage = storage
    log = made(1, 1, 1, 1)
    hard = HardState(1, A, 2)
    storage.write(Unwritten(hard, None, tuple(log), 4))
    assert (checked.hard_state(), checked.last_index(), checked.compacted()) == (hard, 4, START)
    storage.write(Unwritten(None, point(log, 2), (), 3))
    assert checked.hard_state() == hard
    assert [checked.entry(index) for index in range(1, 5)] == [None, None, log[2], None]
    assert (checked.compacted(), checked.last_index()) == (point(log, 2), 3)


def test_unsigned_proposals_believe_everything_and_hash_all_of_an_entry() -> None:
    unsigned = UnsignedProposals()
    checked: Proposals = unsigned
    entry = Entry(1, 2, b"x", A, b"")
    hashes = {
        checked.entry_hash(each, previous)
        for each in (entry, Entry(2, 2, b"x", A, b""), Entry(1, 3, b"x", A, b""))
        for previous in (NO_HASH, b"1" * 32)
    } | {checked.entry_hash(Entry(1, 2, b"y", A, b""), NO_HASH)}
    assert len(hashes) == 7 and {len(each) for each in hashes} == {32}
    assert checked.sign(term=1, index=2, previous_hash=NO_HASH, data=b"") == b""
    assert checked.sign_transfer(term=1, target=B) == b""
    assert checked.check(entry, NO_HASH) is Verdict.ACCEPT
    assert checked.check_transfer(leader=A, term=1, target=B, signature=b"") is True
    assert (checked.now_ms(), checked.is_early(10), checked.is_late(-10)) == (0, False, False)


def test_a_leaders_first_words_are_heartbeats() -> None:
    sent = Node(A).lead()
    assert of(m.Heartbeat, sent) == [m.Heartbeat(1, 0, 0)] * 2
