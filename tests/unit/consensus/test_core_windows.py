"""Disks, windows and probes, one pitfall after another: P21 to P27; and progress by itself."""

from typing import get_args

import pytest
from raft_cluster import (
    FIVE,
    ONE,
    A,
    B,
    C,
    Cluster,
    D,
    E,
    Node,
    appended,
    made,
    of,
    point,
)

from consensus import Configuration, Flow, Progress, ProposalRefused, Role, Settings
from consensus import messages as m
from consensus.progress import QUIET_HEARTBEATS

LONG = made(1, 1, 1, 1, 1, 1, 1, 1, 1)


def follower(*terms: int, term: int = 1, commit: int = 0) -> Node:
    """B with a log of its own, which has heard of A as leader of `term`."""
    node = Node(B, log=made(*terms), term=term, commit=commit)
    node.hear(A, m.Heartbeat(term, 0, 0))
    return node


# P21, P22: what the disk has done.


def test_p21_a_write_that_was_overtaken_marks_nothing_durable() -> None:
    node = Node(B, term=2)
    old = made(1, 1, 1, 1, 2)
    node.hear(A, appended(old, term=2, previous=0, last=4))
    node.disk_works = False
    node.hear(A, appended(old, term=2, previous=4))
    assert node.write_begins()
    new = [*old[:4], *made(3, start=point(old, 4), by=lambda term: C)]
    assert node.hear(C, appended(new, term=3, previous=4)) == []
    node.write_lands()
    assert node.raft.stable_index == 4
    assert node.settle() == [(A, m.AppendReply(2, 5, old[4].hash))]
    assert node.write_begins()
    node.write_lands()
    assert node.raft.stable_index == 5
    assert node.settle() == [(C, m.AppendReply(3, 5, new[4].hash))]
    assert node.disk.entries[5].entry == new[4].entry


def test_p22_a_leader_counts_its_own_copy_only_once_it_is_durable() -> None:
    node = Node(A, FIVE)
    node.lead()
    node.acknowledge(B, 1)
    node.acknowledge(C, 1)
    assert node.raft.commit_index == 1
    node.disk_works = False
    index = node.propose(b"x")
    assert [entry.data for each in of(m.Append, node.settle(), B) for entry in each.entries] == [
        b"x"
    ]
    node.acknowledge(B, index)
    node.acknowledge(C, index)
    assert node.raft.commit_index == 1
    node.acknowledge(D, index)
    assert node.raft.commit_index == index
    second = node.propose(b"y")
    node.settle()
    node.acknowledge(B, second)
    node.acknowledge(C, second)
    assert node.raft.commit_index == index
    node.write_begins()
    node.write_lands()
    assert node.raft.commit_index == second


def test_p22_a_node_alone_answers_nothing_before_its_disk_has() -> None:
    node = Node(A, ONE)
    node.raft.campaign()
    node.settle()
    node.disk_works = False
    node.propose(b"x")
    node.settle()
    assert node.executed == [b""]
    node.write_begins()
    node.settle()
    assert node.executed == [b""]
    node.write_lands()
    node.settle()
    assert node.executed == [b"", b"x"]


def test_an_ack_waits_until_its_entries_are_durable() -> None:
    node = follower()
    node.disk_works = False
    assert node.hear(A, appended(LONG, term=1, previous=0, last=2)) == []
    assert node.write_begins()
    assert node.hear(A, appended(LONG, term=1, previous=2, last=3)) == []
    assert node.hear(A, m.Heartbeat(1, 0, 7)) == [(A, m.HeartbeatReply(1, 7))]
    node.write_lands()
    assert node.settle() == [(A, m.AppendReply(1, 2, LONG[1].hash))]
    assert node.write_begins()
    assert node.hear(A, m.Append(1, 3, 1, (), 0)) == []
    node.write_lands()
    assert node.settle() == [(A, m.AppendReply(1, 3, LONG[2].hash))]


def test_a_disk_that_stalls_gathers_each_answer_once() -> None:
    node = follower()
    node.disk_works = False
    for _ in range(100):
        assert node.hear(A, appended(LONG, term=1, previous=0, last=2)) == []
    assert node.write_begins()
    for _ in range(100):
        assert node.hear(A, m.Append(1, 1, 1, (), 0)) == []
    node.write_lands()
    first, second = m.AppendReply(1, 2, LONG[1].hash), m.AppendReply(1, 1, LONG[0].hash)
    assert node.settle() == [(A, first), (A, second)]
    append = m.Append(1, 1, 1, (), 0)
    assert node.hear(A, append, append) == [(A, second)] * 2


# P23: probing ends.


def test_p23_a_caught_up_peer_in_probe_returns_to_replicate_with_the_next_heartbeat() -> None:
    node = Node(A)
    node.lead()
    node.acknowledge(B, 1)
    progress = node.raft.progress(B)
    assert progress is not None and progress.flow is Flow.REPLICATE
    node.raft.reconnected(B)
    assert node.settle() == [(B, m.Append(1, 1, 1, (), 1))]
    assert progress.flow is Flow.PROBE
    assert node.hear(B, m.HeartbeatReply(1, 0)) == [(B, m.Append(1, 1, 1, (), 1))]
    node.acknowledge(B, 1)
    assert progress.flow is Flow.REPLICATE
    assert node.hear(B, m.HeartbeatReply(1, 0)) == []


def test_p23_a_probe_goes_once_a_heartbeat() -> None:
    node = Node(A)
    first = of(m.Append, node.lead(), B)
    assert [len(append.entries) for append in first] == [1]
    node.propose(b"x")
    assert of(m.Append, node.settle(), B) == []
    again = of(m.Append, node.hear(B, m.HeartbeatReply(1, 0)), B)
    assert [len(append.entries) for append in again] == [2]
    node.propose(b"y")
    assert of(m.Append, node.settle(), B) == []


def test_p23_appends_without_answer_over_some_heartbeats_are_sent_again() -> None:
    node = Node(A)
    node.lead()
    node.acknowledge(B, 1)
    node.propose(b"x")
    assert len(of(m.Append, node.settle(), B)) == 1
    for _ in range(QUIET_HEARTBEATS - 1):
        assert of(m.Append, node.hear(B, m.HeartbeatReply(1, 0)), B) == []
    (again,) = of(m.Append, node.hear(B, m.HeartbeatReply(1, 0)), B)
    assert (again.previous_index, [entry.data for entry in again.entries]) == (1, [b"x"])


# P24: windows.


def test_p24_what_is_in_flight_to_one_peer_has_a_limit_and_heartbeats_go_on() -> None:
    node = Node(A, settings=Settings(in_flight_messages_max=3))
    node.lead()
    node.acknowledge(B, 1)
    node.acknowledge(C, 1)
    for number in range(10):
        node.propose(b"%d" % number)
    appends = of(m.Append, node.settle(), B)
    assert [entry.data for append in appends for entry in append.entries] == [b"0", b"1", b"2"]
    progress = node.raft.progress(B)
    assert progress is not None
    assert list(progress.in_flight) == [(2, 65), (3, 65), (4, 65)]
    assert progress.in_flight_bytes == 195
    assert len(of(m.Heartbeat, node.ticks(1), B)) == 1
    resumed = of(m.Append, node.acknowledge(B, 3), B)
    sent = [entry.data for append in resumed for entry in append.entries]
    assert sent == [b"3", b"4", b"5", b"6", b"7", b"8", b"9"]
    assert len(progress.in_flight) == 2


def test_p24_bytes_in_flight_have_a_limit_too() -> None:
    node = Node(A, settings=Settings(in_flight_bytes_max=200, append_bytes_max=50))
    node.lead()
    node.acknowledge(B, 1)
    for _ in range(6):
        node.propose(bytes(50))
    assert len(of(m.Append, node.settle(), B)) == 2
    assert len(of(m.Append, node.acknowledge(B, 2), B)) == 1


def test_an_append_is_cut_by_bytes_and_holds_one_entry_at_least() -> None:
    node = Node(A, settings=Settings(append_bytes_max=100))
    node.lead()
    for size in (60, 40, 1, 500, 100):
        node.propose(bytes(size))
    node.settle()
    sizes = [
        [len(entry.data) for entry in append.entries]
        for append in of(m.Append, node.acknowledge(B, 1), B)
    ]
    assert sizes == [[60, 40], [1], [500], [100]]


def test_an_append_is_cut_by_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consensus.replication.ENTRIES_MAX", 2)
    node = Node(A)
    node.lead()
    for _ in range(5):
        node.propose(b"x")
    node.settle()
    assert [len(each.entries) for each in of(m.Append, node.acknowledge(B, 1), B)] == [2, 2, 1]


# P25: what is not committed.


def test_p25_proposals_beyond_the_cap_are_refused_and_taken_again_after_recovery() -> None:
    cluster = Cluster(settings=Settings(uncommitted_bytes_max=300))
    leader = cluster.elect(A)
    cluster.down = {B, C}
    assert leader.raft.uncommitted_bytes == 0
    answers = [leader.raft.propose(bytes(36)) for _ in range(5)]
    assert answers == [2, 3, 4] + [ProposalRefused("too-much-uncommitted", A)] * 2
    assert leader.raft.uncommitted_bytes == 300
    cluster.settle()
    assert leader.raft.commit_index == 1
    cluster.down = set()
    cluster.heal()
    assert (leader.raft.commit_index, leader.raft.uncommitted_bytes) == (4, 0)
    assert leader.raft.propose(bytes(36)) == 5


def test_p25_one_proposal_of_any_size_is_taken() -> None:
    node = Node(A, settings=Settings(uncommitted_bytes_max=10))
    node.lead()
    node.acknowledge(B, 1)
    assert node.raft.propose(bytes(1000)) == 2
    assert node.raft.propose(b"") == ProposalRefused("too-much-uncommitted", A)
    assert node.raft.uncommitted_bytes == 1064


def test_p25_what_a_new_leader_inherits_does_not_keep_it_from_its_first_entry() -> None:
    node = Node(A, log=made(1, 1, 1), term=1, settings=Settings(uncommitted_bytes_max=100))
    node.lead()
    assert (node.raft.last_index, node.raft.uncommitted_bytes) == (4, 64)
    node.acknowledge(B, 4)
    assert (node.raft.commit_index, node.raft.uncommitted_bytes) == (4, 0)


def test_whoever_does_not_lead_refuses_proposals_and_says_who_does() -> None:
    node = Node(B)
    assert node.raft.propose(b"x") == ProposalRefused("not-leader", None)
    node.hear(A, m.Heartbeat(1, 0, 0))
    assert node.raft.propose(b"x") == ProposalRefused("not-leader", A)
    assert node.raft.uncommitted_bytes == 0


# P26: duplicates.


class Copying(Cluster):
    """A cluster that delivers every message several times, and knows which kinds there were."""

    def __init__(self, copies: int) -> None:
        super().__init__(FIVE)
        self.copies = copies
        self.kinds: set[type[m.Message]] = set()

    def deliver(self, sender: bytes, to: bytes, message: m.AnyMessage) -> None:
        self.kinds.add(type(message))
        super().deliver(sender, to, message)


def lived_through(copies: int) -> tuple[object, set[type[m.Message]]]:
    """An election, a cut, a handover, a compaction, a state that is installed, and reads."""
    cluster = Copying(copies)
    leader = cluster.elect(A)
    cluster.write(leader, b"1", b"2")
    cluster.isolate(A)
    leader.propose(b"lost")
    cluster.tick(25)
    other = cluster.until_leader()
    assert other is not leader and leader.raft.role is not Role.LEADER
    cluster.heal()
    cluster.tick(5)
    cluster.isolate(E)
    cluster.write(other, b"3", b"4")
    assert other.raft.transfer(A) is None
    cluster.settle()
    leader.raft.compact(leader.raft.applied_index - 1)
    cluster.heal()
    assert cluster[E].wanted is not None and cluster[E].load(leader, leader.applied)
    cluster.settle()
    cluster[B].raft.read_index(7)
    cluster.write(leader, b"5")
    cluster.tick(2)
    cluster.agree()
    nodes = cluster.nodes.values()
    return [
        (n.executed, n.raft.term, n.raft.vote, n.reads, n.evidence) for n in nodes
    ], cluster.kinds


@pytest.mark.parametrize("copies", [2, 3])
def test_p26_every_message_of_every_kind_doubled_changes_nothing(copies: int) -> None:
    once, kinds = lived_through(1)
    assert kinds == set(get_args(m.AnyMessage))
    assert lived_through(copies) == (once, kinds)


# P27: logs that diverged for long.


def test_p27_ten_thousand_conflicting_entries_of_fifty_terms_meet_in_as_many_round_trips() -> None:
    common = made(1, 1, 1)
    mine = [*common, *made(*(2 + 2 * (i // 200) for i in range(10_000)), start=point(common, 3))]
    theirs = [
        *common,
        *made(*(3 + 2 * (i // 200) for i in range(9_800)), data="x", start=point(common, 3)),
    ]
    pair = Configuration((A, B))
    cluster = Cluster(pair)
    cluster.nodes[A] = Node(A, pair, log=mine, term=101)
    cluster.nodes[B] = Node(B, pair, log=theirs, term=101, draw=5)
    cluster.elect(A)
    cluster.settle()
    assert cluster[B].raft.last_index == cluster[A].raft.commit_index == 10_004
    assert cluster[B].raft.entry(10_003) == mine[-1]
    assert cluster.round_trips < 150


# Progress by itself.


def test_a_window_is_full_at_its_limits() -> None:
    progress = Progress(next_index=1)
    assert progress.may_send(messages_max=1, bytes_max=1)
    progress.sent(last_index=1, size_bytes=10)
    assert (progress.next, progress.probed, list(progress.in_flight)) == (1, True, [])
    assert not progress.may_send(messages_max=1, bytes_max=1)
    progress.acknowledged(1)
    progress.sent(last_index=3, size_bytes=10)
    assert not progress.may_send(messages_max=1, bytes_max=100)
    assert not progress.may_send(messages_max=9, bytes_max=10)
    assert progress.may_send(messages_max=2, bytes_max=11)
    progress.sent(last_index=4, size_bytes=5)
    progress.acknowledged(3)
    assert (progress.in_flight_bytes, progress.next, progress.match) == (5, 5, 3)
    progress.offer(9)
    assert (progress.flow, progress.in_flight_bytes, progress.offered) == (Flow.SNAPSHOT, 0, 9)
    assert not progress.may_send(messages_max=9, bytes_max=100)
    assert not progress.refused(previous_index=4, agree_index=1)


def everything(progress: Progress) -> tuple[object, ...]:
    flight = (list(progress.in_flight), progress.in_flight_bytes)
    waits = (progress.probed, progress.quiet_heartbeats, progress.silent_ticks, progress.offered)
    return (progress.match, progress.next, progress.flow, *flight, *waits)


def test_every_state_begins_with_nothing_under_way() -> None:
    progress = Progress(next_index=5)
    assert everything(progress) == (0, 5, Flow.PROBE, [], 0, False, 0, 0, 0)
    progress.sent(last_index=5, size_bytes=9)
    progress.heard()
    assert everything(progress) == (0, 5, Flow.PROBE, [], 0, False, 0, 0, 0)
    progress.acknowledged(7)
    assert everything(progress) == (7, 8, Flow.REPLICATE, [], 0, False, 0, 0, 0)
    progress.acknowledged(9)
    assert everything(progress) == (9, 10, Flow.REPLICATE, [], 0, False, 0, 0, 0)
    assert not progress.refused(previous_index=9, agree_index=1)
    assert everything(progress) == (9, 10, Flow.REPLICATE, [], 0, False, 0, 0, 0)
    progress.sent(last_index=10, size_bytes=9)
    progress.heard()
    progress.lost()
    assert everything(progress) == (9, 10, Flow.PROBE, [], 0, False, 0, 0, 0)
    progress.sent(last_index=10, size_bytes=9)
    progress.lost()
    assert everything(progress) == (9, 10, Flow.PROBE, [], 0, False, 0, 0, 0)
    progress.offer(12)
    assert everything(progress) == (9, 13, Flow.SNAPSHOT, [], 0, False, 0, 0, 12)


def test_a_late_ack_does_not_end_probing() -> None:
    progress = Progress(next_index=9)
    progress.acknowledged(6)
    progress.lost()
    assert (progress.flow, progress.next) == (Flow.PROBE, 7)
    progress.acknowledged(5)
    assert (progress.flow, progress.match) == (Flow.PROBE, 6)
    progress.acknowledged(6)
    assert progress.flow is Flow.REPLICATE


def test_a_refusal_in_probe_answers_the_newest_probe_only() -> None:
    progress = Progress(next_index=9)
    assert not progress.refused(previous_index=7, agree_index=3)
    assert not progress.refused(previous_index=9, agree_index=3)
    progress.sent(last_index=9, size_bytes=1)
    assert progress.refused(previous_index=8, agree_index=3)
    assert (progress.next, progress.probed) == (4, False)
    assert progress.refused(previous_index=3, agree_index=3)
    assert progress.next == 3
    progress.acknowledged(1)
    progress.lost()
    assert not progress.refused(previous_index=1, agree_index=0)
    assert (progress.next, progress.flow) == (2, Flow.PROBE)


def test_acks_and_sends_keep_what_is_in_flight_from_being_lost() -> None:
    progress = Progress(next_index=1)
    progress.acknowledged(1)
    progress.sent(last_index=2, size_bytes=1)
    progress.sent(last_index=3, size_bytes=1)
    for _ in range(QUIET_HEARTBEATS - 1):
        progress.heard()
    progress.acknowledged(2)
    for _ in range(QUIET_HEARTBEATS - 1):
        progress.heard()
    progress.sent(last_index=4, size_bytes=1)
    for _ in range(QUIET_HEARTBEATS - 1):
        progress.heard()
    assert progress.flow is Flow.REPLICATE
    progress.heard()
    assert (progress.flow, progress.next) == (Flow.PROBE, 3)
    progress.acknowledged(3)
    for _ in range(QUIET_HEARTBEATS):
        progress.heard()
    assert progress.flow is Flow.REPLICATE


def test_a_leader_asks_a_peer_where_its_log_stands_from_its_own_end() -> None:
    node = Node(A, log=made(1, 1, 1), term=1)
    first = of(m.Append, node.lead(), B)
    assert [(each.previous_index, len(each.entries)) for each in first] == [(3, 1)]
    second = of(m.Append, node.hear(B, m.AppendRefused(2, 3, 1, 1, False)), B)
    assert [(each.previous_index, len(each.entries)) for each in second] == [(1, 3)]
