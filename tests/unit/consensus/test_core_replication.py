"""Replication, one pitfall after another: P1, P15 to P19; and the follower's rule."""

import pytest
from raft_cluster import (
    FIVE,
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

from consensus import Entry, Flow, Role
from consensus import messages as m
from consensus.following import Answer, Received, receive_append
from consensus.log import Log
from consensus.memory import MemoryStorage
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
    assert [type(found) for found in received.evidence] == [Equivocation]
    third = Entry(2, 3, b"x", A, good)
    received = receive_append(log, SignedProposals(B), A, m.Append(2, 2, 1, (third,), 0))
    assert (received.answer, received.index) == (Answer.IGNORED, 0)
    assert [type(found) for found in received.evidence] == [CommittedReplaced]


def test_who_was_probed_while_others_committed_hears_of_the_commit_at_once() -> None:
    node = Node(A, FIVE)
    node.lead()
    node.acknowledge(B, 1)
    assert of(m.Append, node.acknowledge(C, 1), D) == [m.Append(1, 0, 0, (), 1)]
    assert of(m.Append, node.acknowledge(D, 1)) == [m.Append(1, 1, 1, (), 1)]
    assert node.acknowledge(D, 1) == []
    progress = node.raft.progress(D)
    assert progress is not None and progress.flow is Flow.REPLICATE
    assert not progress.in_flight


def test_who_is_probed_before_anything_of_the_term_is_committed_is_sent_nothing_empty() -> None:
    node = Node(A, FIVE, log=made(1), term=1, commit=1)
    node.lead()
    assert node.acknowledge(B, 2) == []
    assert node.raft.commit_index == 1


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
