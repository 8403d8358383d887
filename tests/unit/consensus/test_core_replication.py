"""Replication, one pitfall after another: P1, P15 to P27."""

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
    SignedProposals,
    appended,
    digest,
    made,
    of,
    point,
)

from consensus import Configuration, Entry, Flow, Progress, ProposalRefused, Role, Settings
from consensus import messages as m
from consensus.following import Answer, Received, receive_append
from consensus.log import Log
from consensus.memory import MemoryStorage
from consensus.progress import QUIET_HEARTBEATS
from consensus.ready import CommittedReplaced, Equivocation

LONG = made(1, 1, 1, 1, 1, 1, 1, 1, 1)


def follower(*terms: int, term: int = 1, commit: int = 0) -> Node:
    """B with a log of its own, which has heard of A as leader of `term`."""
    node = Node(B, log=made(*terms), term=term, commit=commit)
    node.hear(A, m.Heartbeat(term, 0, 0))
    return node


# P1.


def test_p1_an_entry_of_an_earlier_term_is_not_committed_by_counting_copies() -> None:
    old = made(1, 2)
    node = Node(A, FIVE, log=old, term=3)
    node.lead()
    assert (node.raft.term, node.raft.last_index) == (4, 3)
    for peer in (B, C, D):
        node.acknowledge(peer, 2)
    assert node.raft.commit_index == 0
    node.acknowledge(B, 3)
    assert node.raft.commit_index == 0
    node.acknowledge(C, 3)
    assert node.raft.commit_index == 3


def test_p1_figure_8_the_overwritten_entry_was_never_executed() -> None:
    two = made(1, 2)
    three = [two[0], *made(3, data="other", start=point(two, 1), by=lambda term: E)]
    cluster = Cluster(FIVE)
    for name, log in ((A, two), (B, two), (C, two[:1]), (D, two[:1]), (E, three)):
        cluster.nodes[name] = Node(name, FIVE, log=log, term=3, draw=0 if name == E else 9)
    cluster.isolate(D, E)
    cluster[A].proposes = False
    leader = cluster.elect(A)
    cluster.tick(3)
    assert (leader.raft.term, cluster[C].raft.last_index) == (4, 2)
    progress = leader.raft.progress(C)
    assert progress is not None and progress.match == 2
    assert {node.raft.commit_index for node in cluster.nodes.values()} == {0}
    cluster.cut.clear()
    cluster.isolate(A)
    cluster.tick(20)
    assert cluster.until_leader() is cluster[E]
    cluster.heal()
    cluster.tick(3)
    for node in cluster.nodes.values():
        assert node.executed == [b"1@1", b"other2@3", b""]


# P15, P16: what an append may do.


def test_p15_a_late_append_removes_nothing() -> None:
    for late in (
        appended(LONG, term=1, previous=4, last=6),
        appended(LONG, term=1, previous=4, last=4),
        appended(LONG, term=1, previous=0, last=2),
    ):
        node = follower()
        node.hear(A, appended(LONG, term=1, previous=0, last=8))
        sent = node.hear(A, late)
        assert node.raft.last_index == 8
        proved = late.previous_index + len(late.entries)
        assert sent == [(A, m.AppendReply(1, proved, LONG[proved - 1].hash))]


def test_p15_a_suffix_that_conflicts_goes_and_one_that_does_not_stays() -> None:
    node = follower(1, 1, 2, 2, 2, term=3)
    new = [*made(1, 1, 2), *made(3, 3, start=point(made(1, 1, 2), 3))]
    assert node.hear(A, appended(new, term=3, previous=2)) == [
        (A, m.AppendReply(3, 5, new[4].hash))
    ]
    assert [node.raft.term_at(index) for index in range(7)] == [0, 1, 1, 2, 3, 3, None]
    assert node.disk.last == 5


def test_p16_an_ack_says_no_more_than_the_message_proved() -> None:
    node = follower(1, 1, 1, 1, 1, 1, 2, 2, 2, term=3)
    kept = made(1, 1, 1, 1, 1, 1)
    sent = node.hear(A, m.Append(3, 6, 1, (), 0))
    assert sent == [(A, m.AppendReply(3, 6, kept[5].hash))]
    assert node.raft.last_index == 9
    assert node.hear(A, m.Heartbeat(3, 0, 5)) == [(A, m.HeartbeatReply(3, 5))]


def test_an_append_whose_previous_entry_is_missing_is_refused_with_a_hint() -> None:
    node = follower(1, 1, 3, 3, term=5)
    assert node.hear(A, m.Append(5, 9, 5, (), 9)) == [(A, m.AppendRefused(5, 9, 4, 3, False))]
    assert node.hear(A, m.Append(5, 4, 2, (), 9)) == [(A, m.AppendRefused(5, 4, 2, 1, False))]
    assert node.hear(A, m.Append(5, 3, 1, (), 9)) == [(A, m.AppendRefused(5, 3, 2, 1, False))]
    assert node.raft.commit_index == 0


def test_an_append_that_contradicts_what_is_committed_before_it_is_ignored() -> None:
    node = follower(1, 1, 1, term=5, commit=3)
    for previous in (2, 3):
        assert node.hear(A, m.Append(5, previous, 4, (), 3)) == []
    assert node.raft.last_index == 3


@pytest.mark.parametrize(
    "terms", [((4, 2),), ((3, 4), (4, 3)), ((3, 4), (3, 4)), ((2, 2),), ((3, 6),), ((3, 0),)]
)
def test_entries_with_gaps_or_falling_terms_or_terms_to_come_are_ignored(
    terms: tuple[tuple[int, int], ...],
) -> None:
    """Each case: (index, term) of the entries that a leader of term 5 sends after (2, 1)."""
    log = made(1, 1)
    entries = []
    previous = log[1].hash
    for index, term in terms:
        proposals = SignedProposals(A)
        signature = proposals.sign(term=term, index=index, previous_hash=previous, data=b"x")
        entry = Entry(term, index, b"x", A, signature)
        previous = proposals.entry_hash(entry, previous)
        entries.append(entry)
    node = Node(B, log=log, term=5)
    assert node.hear(A, m.Append(5, 2, 1, tuple(entries), 0)) == []
    assert node.raft.last_index == 2


def test_entries_that_follow_a_good_start_badly_are_all_ignored() -> None:
    log = made(1, 1, 1)
    good, bad = log[1].entry, log[2].entry
    for second in (
        Entry(bad.term, 4, bad.data, A, bad.signature),
        Entry(0, 3, bad.data, A, bad.signature),
        Entry(6, 3, bad.data, A, bad.signature),
        Entry(5, 3, bad.data, C, bad.signature),
    ):
        for known in (1, 2):
            node = Node(B, log=log[:known], term=5)
            assert node.hear(A, m.Append(5, 1, 1, (good, second), 0)) == []
            assert node.raft.last_index == known


# P17, P18: what a leader believes of its peers.


def test_p17_a_stale_refusal_moves_nothing_below_what_is_acknowledged() -> None:
    node = Node(A, log=made(1, 1, 1, 1, 1, 1), term=1)
    node.lead()
    node.acknowledge(B, 6)
    progress = node.raft.progress(B)
    assert progress is not None and (progress.match, progress.next) == (6, 8)
    node.hear(B, m.AppendRefused(2, 4, 2, 1, False), m.AppendRefused(2, 6, 5, 1, False))
    assert (progress.match, progress.next, progress.flow) == (6, 8, Flow.REPLICATE)
    node.hear(B, m.AppendRefused(2, 7, 3, 1, False))
    assert (progress.match, progress.next, progress.flow) == (6, 7, Flow.PROBE)


def test_p17_match_only_grows() -> None:
    node = Node(A, log=made(1, 1, 1, 1), term=1)
    node.lead()
    progress = node.raft.progress(B)
    assert progress is not None
    seen = []
    for index in (3, 1, 4, 2):
        node.acknowledge(B, index)
        seen.append(progress.match)
    assert seen == [3, 3, 4, 4]


def test_p17_a_peer_that_lost_what_it_acknowledged_is_probed_once_a_heartbeat() -> None:
    node = Node(A)
    node.lead()
    node.acknowledge(B, 1)
    node.raft.reconnected(B)
    assert node.settle() == [(B, m.Append(1, 1, 1, (), 1))]
    for _ in range(3):
        assert node.hear(B, m.AppendRefused(1, 1, 0, 0, False)) == []
        assert node.hear(B, m.HeartbeatReply(1, 0)) == [(B, m.Append(1, 1, 1, (), 1))]


def test_p17_a_hint_is_no_match() -> None:
    node = Node(A, log=made(1, 1, 1, 1), term=1)
    node.lead()
    node.hear(B, m.AppendRefused(2, 4, 2, 1, False))
    progress = node.raft.progress(B)
    assert progress is not None and (progress.match, progress.next) == (0, 3)


def test_p18_an_ack_of_an_earlier_term_or_of_another_entry_is_ignored() -> None:
    node = Node(A, log=made(1, 1), term=4)
    node.lead()
    entry_hash = node.raft.entry(3).hash
    node.hear(B, m.AppendReply(4, 3, entry_hash))
    node.hear(B, m.AppendReply(5, 3, digest(b"another")))
    node.hear(B, m.AppendReply(5, 9, entry_hash))
    assert node.raft.commit_index == 0
    node.hear(B, m.AppendReply(5, 3, entry_hash))
    assert node.raft.commit_index == 3


def test_answers_of_strangers_are_ignored() -> None:
    node = Node(A)
    node.lead()
    assert node.hear(E, m.AppendReply(1, 1, node.raft.entry(1).hash)) == []
    assert node.hear(E, m.HeartbeatReply(1, 0)) == []
    assert node.hear(E, m.AppendRefused(1, 0, 0, 0, True)) == []
    node.raft.reconnected(E)
    assert node.settle() == []
    assert (node.raft.progress(E), node.raft.commit_index) == (None, 0)


# P19: commit indexes.


def test_p19_a_leader_tells_nobody_to_commit_what_they_are_not_known_to_hold() -> None:
    node = Node(A, log=made(1, 1, 1, 1), term=1)
    node.lead()
    node.acknowledge(B, 5)
    assert node.raft.commit_index == 5
    node.acknowledge(C, 2)
    heartbeats = node.ticks(1)
    assert of(m.Heartbeat, heartbeats, B) == [m.Heartbeat(2, 5, 0)]
    assert of(m.Heartbeat, heartbeats, C) == [m.Heartbeat(2, 2, 0)]


def test_p19_a_follower_commits_by_heartbeat_only_where_its_log_is_the_leaders() -> None:
    node = follower(1, 1, 1, 1, 1, 1, 2, 2, 2, term=3)
    node.hear(A, m.Append(3, 6, 1, (), 9))
    node.hear(A, m.Heartbeat(3, 9, 0))
    assert node.raft.commit_index == 0
    new = [*made(*[1] * 6), *made(3, start=point(made(*[1] * 6), 6))]
    node.hear(A, appended(new, term=3, previous=6))
    node.hear(A, m.Append(3, 7, 3, (), 6))
    assert node.raft.commit_index == 6
    node.hear(A, m.Heartbeat(3, 9, 0))
    assert node.raft.commit_index == 7
    other = follower(1, 1, 3, term=3)
    other.hear(A, m.Heartbeat(3, 9, 0))
    assert other.raft.commit_index == 3


def test_p19_an_append_commits_no_further_than_it_matches() -> None:
    node = follower(1, 1, 1, 1)
    node.hear(A, appended(LONG, term=1, previous=1, last=2, commit=9))
    assert node.raft.commit_index == 2
    node.hear(A, appended(LONG, term=1, previous=4, last=6, commit=9))
    assert node.raft.commit_index == 6
    node.hear(A, appended(LONG, term=1, previous=0, last=3, commit=3))
    assert node.raft.commit_index == 6


def test_a_commit_is_told_to_everyone_at_once() -> None:
    node = Node(A)
    node.lead()
    node.acknowledge(B, 1)
    node.acknowledge(C, 1)
    index = node.propose(b"x")
    node.settle()
    sent = node.acknowledge(C, index)
    assert sent == [(B, m.Append(1, 2, 1, (), 2)), (C, m.Append(1, 2, 1, (), 2))]


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


@pytest.mark.parametrize("copies", [2, 3])
def test_p26_every_message_doubled_changes_nothing(copies: int) -> None:
    logs = []
    for times in (1, copies):
        cluster = Cluster(FIVE)
        cluster.copies = times
        leader = cluster.elect(A)
        cluster.write(leader, b"1", b"2")
        cluster.isolate(A)
        cluster.tick(25)
        other = cluster.until_leader() if leader.raft.role is not Role.LEADER else cluster[B]
        cluster.heal()
        cluster.tick(5)
        cluster.write(cluster.until_leader(), b"3")
        assert other is not leader
        cluster.agree()
        logs.append([(node.executed, node.raft.term) for node in cluster.nodes.values()])
    assert logs[0] == logs[1]


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


# The follower's rule as a function.


def test_an_append_of_what_is_all_there_matches_to_its_end() -> None:
    log = Log(
        MemoryStorage(entries={e.entry.index: e for e in LONG}, last=9),
        commit=0,
        cached_bytes_max=1,
    )
    received = receive_append(
        log, SignedProposals(B), A, appended(LONG, term=1, previous=2, last=5)
    )
    assert received == Received(Answer.MATCHED, 5)


def test_what_is_not_taken_is_ignored() -> None:
    entries = {each.entry.index: each for each in LONG}
    kept = MemoryStorage(entries=entries, last=9)
    ignored = Received(Answer.IGNORED)
    forged = Entry(1, 3, b"x", A, b"forged")
    good, foreign = (
        SignedProposals(name).sign(term=2, index=3, previous_hash=LONG[1].hash, data=b"x")
        for name in (A, C)
    )
    for append in (
        m.Append(2, 3, 2, (), 0),
        m.Append(2, 2, 1, (LONG[3].entry,), 0),
        m.Append(1, 2, 1, (forged,), 0),
        m.Append(2, 2, 1, (Entry(2, 3, b"x", C, foreign),), 0),
        m.Append(2, 2, 1, (Entry(2, 3, b"x", A, good), Entry(2, 5, b"x", A, b"")), 0),
    ):
        log = Log(kept, commit=3, cached_bytes_max=1)
        assert receive_append(log, SignedProposals(B), A, append) == ignored, append
        assert (log.last, log.commit) == (9, 3)
    log = Log(kept, commit=3, cached_bytes_max=1)
    signature = SignedProposals(A).sign(term=1, index=5, previous_hash=LONG[3].hash, data=b"other")
    second = Entry(1, 5, b"other", A, signature)
    received = receive_append(log, SignedProposals(B), A, m.Append(1, 4, 1, (second,), 0))
    assert (received.answer, received.index) == (Answer.IGNORED, 0)
    assert isinstance(received.evidence, Equivocation)
    third = Entry(2, 3, b"x", A, good)
    received = receive_append(log, SignedProposals(B), A, m.Append(2, 2, 1, (third,), 0))
    assert (received.answer, received.index) == (Answer.IGNORED, 0)
    assert isinstance(received.evidence, CommittedReplaced)


def test_early_entries_are_refused_and_those_before_them_kept() -> None:
    proposals = SignedProposals(A)
    log = made(1)
    signature = proposals.sign(term=1, index=2, previous_hash=log[0].hash, data=b"soon")
    soon = Entry(1, 2, b"soon", A, signature)
    node = follower()
    both = m.Append(1, 0, 0, (log[0].entry, soon), 0)
    assert node.hear(A, both) == [(A, m.AppendReply(1, 1, log[0].hash))]
    only = m.Append(1, 1, 1, (soon,), 0)
    assert node.hear(A, only) == [(A, m.AppendRefused(1, 1, 1, 1, True))]
    assert node.raft.last_index == 1
    committed = m.Append(1, 1, 1, (soon,), 2)
    assert of(m.AppendReply, node.hear(A, committed))[0].index == 2
    assert node.raft.commit_index == 2


def test_a_leader_that_a_quorum_finds_early_steps_down() -> None:
    node = Node(A, FIVE)
    node.lead()
    early = m.AppendRefused(1, 0, 0, 0, True)
    node.hear(B, early, early)
    node.hear(C, early)
    assert node.raft.role is Role.LEADER
    node.acknowledge(C, 1)
    node.hear(D, early)
    assert node.raft.role is Role.LEADER
    node.hear(C, early)
    assert (node.raft.role, node.raft.term) == (Role.FOLLOWER, 1)


def test_a_leader_forgets_after_an_election_timeout_who_found_it_early() -> None:
    node = Node(A, FIVE)
    node.lead()
    early = m.AppendRefused(1, 0, 0, 0, True)
    node.hear(B, early)
    node.hear(C, early)
    for _ in range(2):
        node.ticks(5)
        for peer in (B, C, D, E):
            node.hear(peer, m.HeartbeatReply(1, 0))
    node.hear(D, early)
    assert node.raft.role is Role.LEADER


def test_a_peer_that_finds_entries_early_gets_them_again_with_the_next_heartbeat() -> None:
    node = Node(A)
    node.lead()
    node.acknowledge(B, 1)
    node.propose(b"x")
    node.settle()
    assert node.hear(B, m.AppendRefused(1, 1, 1, 1, True)) == []
    (again,) = of(m.Append, node.hear(B, m.HeartbeatReply(1, 0)), B)
    assert [entry.data for entry in again.entries] == [b"x"]


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
    assert everything(progress) == (9, 10, Flow.SNAPSHOT, [], 0, False, 0, 0, 12)


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
