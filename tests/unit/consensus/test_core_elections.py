"""Elections, one pitfall after another: P2 to P8."""

import pytest
from raft_cluster import FIVE, THREE, A, B, C, Cluster, D, E, Node, made

from consensus import Configuration, Role, Settings
from consensus import messages as m
from consensus.elections import LATE_WAITS, Ballot, stale_answer

NO_PRE_VOTE = Settings(pre_vote=False)
BARE = Settings(pre_vote=False, check_quorum=False)


def vote_for(node: bytes, term: int, *, last: int = 0, last_term: int = 0) -> m.VoteRequest:
    return m.VoteRequest(term, last, last_term, 0)


# P2, P3: one vote a term, for ever.


def test_p2_a_vote_leaves_only_when_it_is_durable() -> None:
    node = Node(B)
    node.disk_works = False
    assert node.hear(A, vote_for(A, 5)) == []
    assert node.write_begins()
    assert node.settle() == []
    node.write_lands()
    assert node.settle() == [(A, m.VoteReply(5, True))]
    assert (node.disk.hard.term, node.disk.hard.vote) == (5, A)


@pytest.mark.parametrize("landed", [False, True])
def test_p2_at_every_crash_point_a_vote_that_left_is_remembered(landed: bool) -> None:
    node = Node(B)
    node.disk_works = False
    assert node.hear(A, vote_for(A, 5)) == []
    if landed:
        node.write_begins()
        node.write_lands(heard=False)
    node.boot()
    granted = node.hear(C, vote_for(C, 5))
    assert granted == [(C, m.VoteReply(5, not landed))]


def test_p2_a_second_candidate_of_the_term_gets_no_vote_and_the_first_gets_it_again() -> None:
    node = Node(B)
    assert node.hear(A, vote_for(A, 5)) == [(A, m.VoteReply(5, True))]
    assert node.hear(C, vote_for(C, 5)) == [(C, m.VoteReply(5, False))]
    assert node.hear(A, vote_for(A, 5)) == [(A, m.VoteReply(5, True))]


def test_a_vote_is_not_given_in_a_term_whose_leader_is_known() -> None:
    node = Node(B, settings=BARE)
    node.hear(A, m.Heartbeat(5, 0, 0))
    assert (node.raft.leader, node.raft.vote) == (A, None)
    assert node.hear(C, vote_for(C, 5)) == [(C, m.VoteReply(5, False))]


@pytest.mark.parametrize("role", [Role.CANDIDATE, Role.LEADER])
def test_p3_stepping_down_within_the_term_keeps_the_vote(role: Role) -> None:
    node = Node(A, settings=NO_PRE_VOTE)
    node.raft.campaign()
    node.settle()
    if role is Role.LEADER:
        node.hear(B, m.VoteReply(1, True))
        assert node.raft.role is role
        node.raft.abdicate()
    else:
        node.hear(B, m.Heartbeat(1, 0, 0))
    assert (node.raft.role, node.raft.term, node.raft.vote) == (Role.FOLLOWER, 1, A)
    assert node.hear(C, vote_for(C, 1)) == [(C, m.VoteReply(1, False))]
    node.boot()
    assert node.hear(C, vote_for(C, 1)) == [(C, m.VoteReply(1, False))]


# P4, P5: what counts as a vote.


def test_p4_a_granted_pre_vote_is_no_vote() -> None:
    node = Node(A, FIVE)
    node.raft.campaign()
    assert node.raft.role is Role.PRE_CANDIDATE
    node.hear(B, m.PreVoteReply(1, True))
    node.hear(C, m.PreVoteReply(1, True))
    assert node.raft.role is Role.CANDIDATE
    node.hear(B, m.VoteReply(1, True))
    for late in (D, E):
        node.hear(late, m.PreVoteReply(1, True), m.PreVoteReply(2, True))
    assert (node.raft.role, node.raft.term) == (Role.CANDIDATE, 1)


def test_p4_a_vote_is_no_pre_vote() -> None:
    node = Node(A, FIVE, term=3)
    node.raft.campaign()
    for voter in (B, C, D, E):
        node.hear(voter, m.VoteReply(3, True))
    assert (node.raft.role, node.raft.term) == (Role.PRE_CANDIDATE, 3)


def test_p4_answers_to_an_older_round_count_for_nothing() -> None:
    node = Node(A, THREE, settings=NO_PRE_VOTE)
    node.raft.campaign()
    node.settle()
    node.raft.campaign()
    node.settle()
    assert node.raft.term == 2
    node.hear(B, m.VoteReply(1, True))
    assert node.raft.role is Role.CANDIDATE
    node.hear(B, m.VoteReply(2, True))
    assert node.raft.role is Role.LEADER


def test_p4_a_pre_vote_for_another_term_counts_for_nothing() -> None:
    node = Node(A, THREE, term=4)
    node.raft.campaign()
    node.hear(B, m.PreVoteReply(4, True), m.PreVoteReply(6, True))
    assert (node.raft.role, node.raft.term) == (Role.PRE_CANDIDATE, 4)
    node.hear(B, m.PreVoteReply(5, True))
    assert (node.raft.role, node.raft.term) == (Role.CANDIDATE, 5)


def test_p4_becoming_pre_candidate_forgets_votes_and_the_leader() -> None:
    node = Node(A, FIVE)
    node.hear(B, m.Heartbeat(1, 0, 0))
    node.raft.campaign()
    assert (node.raft.role, node.raft.leader) == (Role.PRE_CANDIDATE, None)
    node.hear(B, m.PreVoteReply(2, True))
    node.raft.campaign()
    node.hear(C, m.PreVoteReply(2, True))
    assert node.raft.role is Role.PRE_CANDIDATE
    node.hear(D, m.PreVoteReply(2, True))
    assert node.raft.role is Role.CANDIDATE


def test_p5_a_vote_that_comes_twice_counts_once() -> None:
    node = Node(A, FIVE, settings=NO_PRE_VOTE)
    node.raft.campaign()
    node.settle()
    node.hear(B, m.VoteReply(1, True), m.VoteReply(1, True), m.VoteReply(1, True))
    assert node.raft.role is Role.CANDIDATE
    node.hear(C, m.VoteReply(1, True))
    assert node.raft.role is Role.LEADER


def test_votes_of_learners_and_strangers_count_for_nothing() -> None:
    node = Node(A, Configuration((A, B, C), (), (D,)), settings=NO_PRE_VOTE)
    node.raft.campaign()
    node.settle()
    node.hear(D, m.VoteReply(1, True))
    node.hear(E, m.VoteReply(1, True))
    assert node.raft.role is Role.CANDIDATE


def test_an_answer_is_not_taken_back_by_a_later_one() -> None:
    ballot = Ballot()
    ballot.record(B, granted=False)
    ballot.record(B, granted=True)
    ballot.record(A, granted=True)
    ballot.record(A, granted=False)
    assert (ballot.granted, ballot.refused) == ({A}, {B})
    assert not ballot.won(THREE) and not ballot.lost(THREE)
    ballot.record(C, granted=False)
    assert ballot.lost(THREE)


def test_a_candidate_that_is_outvoted_follows_again_and_keeps_its_vote() -> None:
    node = Node(A, settings=NO_PRE_VOTE)
    node.raft.campaign()
    node.settle()
    node.hear(B, m.VoteReply(1, False))
    assert node.raft.role is Role.CANDIDATE
    node.hear(C, m.VoteReply(1, False))
    assert (node.raft.role, node.raft.term, node.raft.vote) == (Role.FOLLOWER, 1, A)
    node.hear(B, m.VoteReply(1, True))
    assert node.raft.role is Role.FOLLOWER


def test_a_pre_candidate_that_is_refused_by_a_quorum_follows_again() -> None:
    node = Node(A, term=2)
    node.raft.campaign()
    node.hear(B, m.PreVoteReply(2, False))
    assert node.raft.role is Role.PRE_CANDIDATE
    node.hear(C, m.PreVoteReply(2, False))
    assert (node.raft.role, node.raft.term) == (Role.FOLLOWER, 2)
    node.hear(B, m.PreVoteReply(3, True))
    assert node.raft.role is Role.FOLLOWER


# P6, P7: terms that drifted apart, and settings that differ.


def test_p6_a_node_with_an_old_term_and_one_with_a_new_one_find_together() -> None:
    cluster = Cluster()
    cluster[A].disk.hard = cluster[B].disk.hard = type(cluster[A].disk.hard)(5, None, 0)
    cluster[C].disk.hard = type(cluster[C].disk.hard)(1, None, 0)
    for node in (A, B, C):
        cluster.restart(node)
    cluster.down.add(B)
    leader = cluster.until_leader(60)
    assert leader.raft.term > 5
    cluster.write(leader, b"x")
    assert cluster[A].executed == cluster[C].executed == [b"", b"x"]


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (m.Append(1, 0, 0, (), 0), m.HeartbeatReply(7, 0)),
        (m.Heartbeat(1, 0, 3), m.HeartbeatReply(7, 0)),
        (m.PreVoteRequest(1, 0, 0, 0), m.PreVoteReply(7, False)),
        (m.VoteRequest(1, 0, 0, 0), m.VoteReply(7, False)),
        (m.TransferVoteRequest(1, 0, 0, 0, b""), m.VoteReply(7, False)),
        (m.SnapshotOffer(1, 9, 1, bytes(32)), m.HeartbeatReply(7, 0)),
        (m.TimeoutNow(1, b""), None),
        (m.VoteReply(1, True), None),
        (m.PreVoteReply(1, True), None),
        (m.AppendReply(1, 1, bytes(32)), None),
        (m.AppendRefused(1, 1, 0, 0, False), None),
        (m.HeartbeatReply(1, 1), None),
        (m.ReadReply(1, 1, 1), None),
    ],
)
def test_p6_whoever_asks_from_an_older_term_learns_of_the_newer_one(
    message: m.AnyMessage, answer: m.AnyMessage | None
) -> None:
    assert stale_answer(7, message) == answer
    node = Node(A, term=7)
    node.raft.campaign()
    node.settle()
    before = (node.raft.role, node.raft.term, node.raft.last_index, node.raft.leader)
    assert node.hear(B, message) == ([] if answer is None else [(B, answer)])
    assert (node.raft.role, node.raft.term, node.raft.last_index, node.raft.leader) == before


def test_p7_nodes_with_and_without_pre_vote_elect_and_do_not_wedge() -> None:
    cluster = Cluster()
    cluster[A].settings = NO_PRE_VOTE
    cluster.restart(A)
    leader = cluster.until_leader()
    cluster.write(leader, b"1")
    cluster.isolate(A)
    cluster.tick(40)
    assert cluster[A].raft.term > cluster[B].raft.term
    cluster.heal()
    for _ in range(6):
        cluster.tick(10)
    leader = cluster.until_leader()
    cluster.write(leader, b"2")
    assert [node.executed[-1] for node in cluster.nodes.values()] == [b"2"] * 3


def test_p7_a_node_without_pre_vote_stands_at_once() -> None:
    node = Node(A, settings=NO_PRE_VOTE)
    sent = node.ticks(10)
    assert (node.raft.role, node.raft.term, node.raft.vote) == (Role.CANDIDATE, 1, A)
    assert sent == [(B, m.VoteRequest(1, 0, 0, 0)), (C, m.VoteRequest(1, 0, 0, 0))]


# P8: who is answered while a leader is alive.


def test_p8_the_old_leader_itself_may_ask_for_a_pre_vote() -> None:
    node = Node(B, term=3)
    node.hear(A, m.Heartbeat(3, 0, 0))
    assert node.hear(C, m.PreVoteRequest(4, 0, 0, 0)) == []
    assert node.hear(A, m.PreVoteRequest(4, 0, 0, 0)) == [(A, m.PreVoteReply(4, True))]
    assert node.hear(A, m.VoteRequest(4, 0, 0, 0)) == [(A, m.VoteReply(4, True))]


def test_p8_a_pre_vote_changes_nothing_at_the_voter() -> None:
    node = Node(B, term=3, draw=0)
    node.ticks(9)
    assert node.hear(C, m.PreVoteRequest(4, 0, 0, 0)) == [(C, m.PreVoteReply(4, True))]
    assert (node.raft.term, node.raft.vote, node.raft.leader) == (3, None, None)
    node.ticks(1)
    assert node.raft.role is Role.PRE_CANDIDATE


def test_a_pre_vote_is_for_a_higher_term_only() -> None:
    node = Node(B, term=3)
    assert node.hear(C, m.PreVoteRequest(3, 0, 0, 0)) == [(C, m.PreVoteReply(3, False))]
    assert node.hear(C, m.PreVoteRequest(2, 0, 0, 0)) == [(C, m.PreVoteReply(3, False))]


@pytest.mark.parametrize(
    ("last", "last_term", "granted"),
    [(2, 2, True), (3, 2, True), (1, 3, True), (1, 2, False), (9, 1, False)],
)
def test_votes_and_pre_votes_go_to_logs_that_are_as_good_only(
    last: int, last_term: int, granted: bool
) -> None:
    for reply, request in (
        (m.PreVoteReply(8 if granted else 4, granted), m.PreVoteRequest(8, last, last_term, 0)),
        (m.VoteReply(8, granted), m.VoteRequest(8, last, last_term, 0)),
    ):
        node = Node(B, log=made(1, 2), term=4)
        assert node.hear(C, request) == [(C, reply)]


def test_a_candidate_whose_clock_is_ahead_gets_neither_pre_vote_nor_vote() -> None:
    node = Node(B, term=4)
    assert node.hear(C, m.PreVoteRequest(5, 0, 0, 1)) == [(C, m.PreVoteReply(4, False))]
    assert node.hear(C, m.VoteRequest(5, 0, 0, 1)) == [(C, m.VoteReply(5, False))]
    assert node.raft.vote is None


def test_a_candidate_whose_clock_is_behind_has_to_wait_until_nobody_else_comes() -> None:
    node = Node(B, term=4, draw=0)
    pre_vote = m.PreVoteRequest(9, 0, 0, -1)
    for _ in range(LATE_WAITS):
        assert node.hear(C, pre_vote) == [(C, m.PreVoteReply(node.raft.term, False))]
        node.ticks(10)
    assert node.hear(C, pre_vote) == [(C, m.PreVoteReply(9, True))]
    assert node.hear(C, m.VoteRequest(9, 0, 0, -1)) == [(C, m.VoteReply(9, True))]


def test_a_leader_that_is_heard_makes_a_candidate_whose_clock_is_behind_wait_anew() -> None:
    node = Node(B, term=4, draw=0)
    node.ticks(10 * LATE_WAITS)
    node.hear(A, m.Heartbeat(5, 0, 0))
    node.ticks(10)
    assert node.hear(C, m.PreVoteRequest(9, 0, 0, -1)) == [(C, m.PreVoteReply(5, False))]


def test_who_led_makes_a_candidate_whose_clock_is_behind_wait_anew() -> None:
    node = Node(A, draw=0)
    node.ticks(10 * LATE_WAITS)
    node.lead()
    node.raft.abdicate()
    term = node.raft.term
    refused = [(C, m.VoteReply(term + 1, False))]
    assert node.hear(C, m.VoteRequest(term + 1, 9, 9, -1)) == refused


def test_a_voter_shields_its_leader_for_one_election_timeout() -> None:
    node = Node(B, draw=9)
    node.hear(A, m.Heartbeat(3, 0, 0))
    node.ticks(9)
    for request in (m.PreVoteRequest(4, 0, 0, 0), m.VoteRequest(4, 0, 0, 0)):
        assert node.hear(C, request) == []
    assert node.raft.term == 3
    node.ticks(1)
    assert node.hear(C, m.PreVoteRequest(4, 0, 0, 0)) == [(C, m.PreVoteReply(4, True))]
    assert node.hear(C, m.VoteRequest(4, 0, 0, 0)) == [(C, m.VoteReply(4, True))]


def test_a_leader_is_not_deposed_by_whoever_asks_for_votes() -> None:
    node = Node(A)
    node.lead()
    assert node.hear(C, m.PreVoteRequest(2, 9, 9, 0)) == []
    assert node.hear(C, m.VoteRequest(2, 9, 9, 0)) == []
    assert (node.raft.role, node.raft.term) == (Role.LEADER, 1)


def test_without_check_quorum_nobody_is_shielded() -> None:
    settings = Settings(check_quorum=False)
    follower = Node(B, settings=settings)
    follower.hear(A, m.Heartbeat(3, 0, 0))
    assert follower.hear(C, m.PreVoteRequest(4, 0, 0, 0)) == [(C, m.PreVoteReply(4, True))]
    leader = Node(A, settings=settings)
    leader.lead()
    assert leader.hear(C, m.VoteRequest(2, 9, 9, 0)) == [(C, m.VoteReply(2, True))]
    assert leader.raft.role is Role.FOLLOWER
