"""Who leads on, steps down or takes over, one pitfall after another: P9 to P11, P47; and time."""

import pytest
from raft_cluster import FIVE, ONE, A, B, C, Cluster, D, E, Node, appended, made, of

from consensus import Role, Settings
from consensus import messages as m
from consensus.core import TERMS_AHEAD_MAX
from consensus.elections import ElectionTimer
from consensus.types import Tick

NO_PRE_VOTE = Settings(pre_vote=False)
BARE = Settings(pre_vote=False, check_quorum=False)


def vote_for(node: bytes, term: int, *, last: int = 0, last_term: int = 0) -> m.VoteRequest:
    return m.VoteRequest(term, last, last_term, 0)


# P9, P10: networks that are half broken.


def partial(settings: Settings) -> Cluster:
    """1, 2 and 3 hear each other; 4 hears 2 alone, 5 hears 3 alone."""
    cluster = Cluster(FIVE, settings=settings)
    links = {(A, B), (A, C), (B, C), (B, D), (C, E)}
    for one in FIVE.voters:
        for other in FIVE.voters:
            if (one, other) not in links and (other, one) not in links:
                cluster.cut.add((one, other))
    return cluster


def changes_of_term(cluster: Cluster, ticks: int) -> int:
    first = max(node.raft.term for node in cluster.nodes.values())
    cluster.tick(ticks)
    return max(node.raft.term for node in cluster.nodes.values()) - first


def test_p9_with_partial_links_the_leader_stays() -> None:
    cluster = partial(Settings())
    leader = cluster.elect(A)
    assert changes_of_term(cluster, 300) == 0
    assert leader.raft.role is Role.LEADER
    cluster.write(leader, b"x")
    assert leader.executed == [b"", b"x"]


def test_p9_without_pre_vote_and_check_quorum_terms_never_rest() -> None:
    cluster = partial(BARE)
    cluster.elect(A)
    assert changes_of_term(cluster, 300) >= 10


def test_p9_a_chain_keeps_one_leader() -> None:
    cluster = Cluster()
    cluster.cut |= {(A, C), (C, A)}
    leader = cluster.elect(B)
    assert changes_of_term(cluster, 200) == 0
    assert leader.raft.role is Role.LEADER
    cluster = Cluster()
    cluster.elect(A)
    cluster.cut |= {(A, C), (C, A)}
    assert changes_of_term(cluster, 200) == 0
    assert cluster[A].raft.role is Role.LEADER


def test_p9_when_the_leader_keeps_one_link_only_the_hub_takes_over() -> None:
    cluster = Cluster(FIVE)
    cluster.elect(A)
    for one in FIVE.voters:
        for other in FIVE.voters:
            if B not in (one, other):
                cluster.cut.add((one, other))
    cluster.tick(120)
    leaders = [node.node_id for node in cluster.nodes.values() if node.raft.role is Role.LEADER]
    assert leaders == [B]
    cluster.write(cluster[B], b"x")
    assert cluster[E].executed[-1] == b"x"


def test_p10_a_leader_that_hears_nobody_steps_down_in_one_election_timeout() -> None:
    cluster = Cluster()
    leader = cluster.elect(A)
    cluster.tick(13)
    cluster.cut |= {(B, A), (C, A)}
    cluster.tick(9)
    assert leader.raft.role is Role.LEADER
    cluster.tick(1)
    assert (leader.raft.role, leader.raft.term, leader.raft.leader) == (Role.FOLLOWER, 1, None)


def test_p10_a_leader_that_nobody_hears_is_replaced() -> None:
    cluster = Cluster()
    cluster.elect(A)
    cluster.cut |= {(A, B), (A, C)}
    cluster.tick(30)
    leaders = [name for name, node in cluster.nodes.items() if node.raft.role is Role.LEADER]
    assert len(leaders) == 1 and leaders != [A]
    assert cluster[A].raft.role is not Role.LEADER


def test_a_leader_needs_a_quorum_and_not_everyone() -> None:
    node = Node(A, FIVE)
    node.lead()
    for _ in range(5):
        node.ticks(9)
        node.hear(B, m.HeartbeatReply(1, 0))
        node.hear(C, m.HeartbeatReply(1, 0))
    assert node.raft.role is Role.LEADER
    node.ticks(9)
    node.hear(B, m.HeartbeatReply(1, 0))
    node.ticks(1)
    assert node.raft.role is Role.FOLLOWER


def test_without_check_quorum_a_leader_stays_alone() -> None:
    node = Node(A, settings=BARE)
    node.lead()
    node.ticks(100)
    assert node.raft.role is Role.LEADER


# P11.


def test_p11_acks_after_a_higher_term_in_one_batch_advance_nothing() -> None:
    node = Node(A, FIVE)
    node.lead()
    index = node.propose(b"x")
    node.settle()
    held = node.raft.entry(index).hash
    node.acknowledge(B, index)
    node.raft.step(C, m.HeartbeatReply(2, 0))
    node.raft.step(D, m.AppendReply(1, index, held))
    node.raft.step(E, m.AppendReply(1, index, held))
    assert (node.raft.role, node.raft.term, node.raft.commit_index) == (Role.FOLLOWER, 2, 0)


# Time, and what a node may campaign for.


def test_an_election_timeout_is_drawn_between_one_and_two_times_the_setting() -> None:
    for draw in (0, 4, 9):
        node = Node(A, draw=draw)
        node.ticks(9 + draw)
        assert node.raft.role is Role.FOLLOWER
        node.ticks(1)
        assert node.raft.role is Role.PRE_CANDIDATE


def test_every_word_of_the_leader_begins_the_wait_anew() -> None:
    log = made(1)
    for word in (
        m.Heartbeat(1, 0, 0),
        appended(log, term=1, previous=0),
        m.SnapshotOffer(1, 9, 1, bytes(32)),
    ):
        node = Node(B)
        node.hear(A, m.Heartbeat(1, 0, 0))
        node.ticks(9)
        node.hear(A, word)
        node.ticks(9)
        assert node.raft.role is Role.FOLLOWER
        node.ticks(1)
        assert node.raft.role is Role.PRE_CANDIDATE


def test_a_granted_vote_begins_the_wait_anew_and_a_refused_one_does_not() -> None:
    node = Node(B, term=1)
    node.ticks(9)
    node.hear(C, vote_for(C, 1))
    node.ticks(9)
    assert node.raft.role is Role.FOLLOWER
    other = Node(B, term=1, log=made(1))
    other.ticks(9)
    other.hear(C, vote_for(C, 1))
    other.ticks(1)
    assert other.raft.role is Role.PRE_CANDIDATE


@pytest.mark.parametrize("role", [Role.PRE_CANDIDATE, Role.CANDIDATE, Role.LEADER])
def test_whoever_steps_back_waits_a_whole_election_timeout(role: Role) -> None:
    node = Node(A, settings=Settings(pre_vote=role is Role.PRE_CANDIDATE))
    node.ticks(10)
    node.ticks(5)
    if role is Role.LEADER:
        node.hear(B, m.VoteReply(1, True))
        node.raft.abdicate()
    else:
        refusal = m.PreVoteReply if role is Role.PRE_CANDIDATE else m.VoteReply
        node.hear(B, refusal(node.raft.term, False))
        node.hear(C, refusal(node.raft.term, False))
    assert node.raft.role is Role.FOLLOWER
    term = node.raft.term
    assert of(m.PreVoteRequest | m.VoteRequest, node.ticks(9)) == []
    assert len(of(m.PreVoteRequest | m.VoteRequest, node.ticks(1))) == 2
    assert node.raft.term in (term, term + 1)


def test_a_follower_that_only_learns_of_a_term_waits_on() -> None:
    node = Node(B)
    node.ticks(9)
    node.hear(C, m.VoteReply(5, False))
    node.ticks(1)
    assert (node.raft.role, node.raft.term) == (Role.PRE_CANDIDATE, 5)


def test_a_timer_counts_to_its_limit() -> None:
    timer = ElectionTimer(2)
    assert [timer.tick(), timer.tick()] == [False, True]
    timer.restart(1)
    assert (timer.elapsed, timer.tick()) == (0, True)


def test_a_node_that_has_not_executed_what_it_knows_committed_does_not_campaign() -> None:
    node = Node(A, log=made(1, 1), term=1, commit=2, applied=1)
    node.executes = False
    assert node.ticks(40) == []
    assert node.raft.role is Role.FOLLOWER
    node.executes = True
    assert of(m.PreVoteRequest, node.ticks(10)) == [m.PreVoteRequest(2, 2, 1, 0)] * 2


def test_a_node_alone_elects_itself_once_its_vote_is_durable() -> None:
    node = Node(A, ONE)
    node.disk_works = False
    node.ticks(10)
    assert (node.raft.role, node.raft.term) == (Role.CANDIDATE, 1)
    node.disk_works = True
    node.settle()
    assert (node.raft.role, node.raft.leader) == (Role.LEADER, A)
    assert node.executed == [b""]


def test_a_candidate_leads_only_once_its_own_vote_is_durable() -> None:
    node = Node(A, FIVE, settings=NO_PRE_VOTE)
    node.disk_works = False
    node.raft.campaign()
    assert node.settle() == []
    for voter in (B, C, D, E):
        node.hear(voter, m.VoteReply(1, True))
    assert node.raft.role is Role.CANDIDATE
    node.write_begins()
    node.write_lands()
    assert node.raft.role is Role.LEADER


def test_a_write_from_before_the_candidacy_does_not_make_its_vote_durable() -> None:
    node = Node(A, settings=NO_PRE_VOTE)
    node.hear(B, m.Heartbeat(1, 0, 0))
    node.disk_works = False
    node.hear(B, appended(made(1, by=lambda term: B), term=1, previous=0))
    node.write_begins()
    node.raft.campaign()
    assert (node.raft.role, node.raft.term) == (Role.CANDIDATE, 2)
    node.hear(B, m.VoteReply(2, True))
    node.write_lands()
    node.settle()
    assert node.raft.role is Role.CANDIDATE
    node.write_begins()
    node.write_lands()
    assert node.raft.role is Role.LEADER


def test_p47_a_candidate_whose_vote_is_not_durable_in_time_waits() -> None:
    node = Node(A)
    node.disk_works = False
    node.raft.campaign()
    node.hear(B, m.PreVoteReply(1, True))
    node.ticks(100)
    assert (node.raft.role, node.raft.term) == (Role.CANDIDATE, 1)
    node.disk_works = True
    assert of(m.VoteRequest, node.settle()) == [m.VoteRequest(1, 0, 0, 0)] * 2
    node.ticks(10)
    assert node.raft.role is Role.PRE_CANDIDATE


def test_a_candidate_steps_back_for_the_leader_of_its_term() -> None:
    for role in (Role.PRE_CANDIDATE, Role.CANDIDATE):
        node = Node(A, settings=Settings(pre_vote=role is Role.PRE_CANDIDATE))
        node.raft.campaign()
        node.settle()
        assert node.raft.role is role
        node.hear(B, m.Heartbeat(node.raft.term, 0, 0))
        assert (node.raft.role, node.raft.leader) == (Role.FOLLOWER, B)


def test_a_second_leader_of_one_term_is_not_followed() -> None:
    node = Node(B)
    node.hear(A, m.Heartbeat(1, 0, 0))
    log = made(1, by=lambda term: C)
    assert node.hear(C, m.Heartbeat(1, 0, 4), appended(log, term=1, previous=0)) == []
    assert (node.raft.leader, node.raft.last_index) == (A, 0)
    leader = Node(A)
    leader.lead()
    assert leader.hear(B, m.Heartbeat(1, 0, 4)) == []
    assert leader.raft.role is Role.LEADER


def test_a_leader_that_campaigns_goes_on_leading() -> None:
    node = Node(A)
    node.lead()
    node.raft.campaign()
    assert (node.raft.role, node.raft.term, node.raft.leader) == (Role.LEADER, 1, A)


def test_abdicating_is_for_leaders_and_others_may_be_elected_at_once() -> None:
    node = Node(B)
    node.hear(A, m.Heartbeat(1, 0, 0))
    node.raft.abdicate()
    assert node.raft.leader == A
    cluster = Cluster()
    cluster.elect(A).raft.abdicate()
    assert (cluster[A].raft.role, cluster[A].raft.leader) == (Role.FOLLOWER, None)
    cluster.tick(30)
    assert cluster.until_leader().raft.term == 2


def test_a_message_of_a_term_that_no_honest_node_can_have_reached_is_ignored() -> None:
    node = Node(A)
    assert node.hear(B, m.HeartbeatReply(TERMS_AHEAD_MAX + 1, 0)) == []
    assert node.hear(B, m.Heartbeat(TERMS_AHEAD_MAX + 1, 0, 0)) == []
    assert node.hear(B, m.PreVoteRequest(TERMS_AHEAD_MAX + 1, 9, 9, 0)) == []
    assert node.raft.term == 0 and node.raft.leader is None
    node.hear(B, m.HeartbeatReply(TERMS_AHEAD_MAX, 0))
    assert node.raft.term == TERMS_AHEAD_MAX


def test_a_higher_term_is_taken_over_from_everything_but_questions_and_promises() -> None:
    for message in (
        m.VoteRequest(5, 0, 0, 0),
        m.VoteReply(5, False),
        m.PreVoteReply(5, False),
        m.AppendReply(5, 0, bytes(32)),
        m.AppendRefused(5, 0, 0, 0, False),
        m.HeartbeatReply(5, 0),
        m.ReadRequest(5, 0),
        m.ReadReply(5, 0, None),
    ):
        node = Node(A)
        node.hear(B, message)
        assert (node.raft.term, node.raft.leader) == (5, None), message
    for message in (
        m.Append(5, 0, 0, (), 0),
        m.Heartbeat(5, 0, 0),
        m.SnapshotOffer(5, 1, 1, bytes(32)),
        m.TimeoutNow(5, b""),
    ):
        node = Node(A)
        node.hear(B, message)
        assert (node.raft.term, node.raft.leader) == (5, B), message
    for message in (m.PreVoteRequest(5, 0, 0, 0), m.PreVoteReply(5, True)):
        node = Node(A)
        node.hear(B, message)
        assert node.raft.term == 0, message


def test_settings_are_checked() -> None:
    for name in ("heartbeat_ticks", "reads_max", "uncommitted_bytes_max"):
        with pytest.raises(ValueError, match=f"^{name} must be at least 1$"):
            Settings(**{name: 0})
    with pytest.raises(ValueError, match="^election_ticks must be at least twice heartbeat_ticks$"):
        Settings(election_ticks=Tick(5), heartbeat_ticks=Tick(3))
    assert Settings(election_ticks=Tick(6), heartbeat_ticks=Tick(3)).reads_max == 10_000
    assert Settings(election_ticks=Tick(2), heartbeat_ticks=Tick(1), reads_max=1).pre_vote
