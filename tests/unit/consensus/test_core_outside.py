"""What a driver from outside needs: to force what time and the network do, and to see all of it."""

import pytest
from raft_cluster import A, B, C, Cluster, Node, appended, made, of

import consensus
from consensus import Flow, Role, Settings
from consensus import messages as m


def test_an_unreachable_peer_is_sent_one_append_a_heartbeat_until_it_answers() -> None:
    leader = Node(A)
    leader.lead()
    leader.acknowledge(B, 1)
    progress = leader.raft.progress(B)
    assert progress is not None and progress.flow is Flow.REPLICATE
    leader.propose(b"on its way")
    leader.settle()
    leader.raft.unreachable(B)
    assert progress.flow is Flow.PROBE and not progress.in_flight
    assert progress.next == progress.match + 1 == 2
    leader.propose(b"first")
    assert len(of(m.Append, leader.settle(), B)) == 1
    leader.propose(b"second")
    assert of(m.Append, leader.settle(), B) == []
    assert len(of(m.Append, leader.hear(B, m.HeartbeatReply(1, 0)), B)) == 1
    leader.acknowledge(B, 2)
    assert progress.flow is Flow.REPLICATE


def test_nobody_is_unreachable_for_a_follower_or_for_a_leader_of_others() -> None:
    follower = Node(B)
    follower.raft.unreachable(A)
    assert follower.settle() == []
    leader = Node(A)
    leader.lead()
    leader.raft.unreachable(b"a stranger")
    assert leader.settle() == [] and leader.raft.progress(b"a stranger") is None


def test_who_forgets_a_dead_leader_votes_for_the_next_without_waiting() -> None:
    voter = Node(C, log=made(1), term=1, vote=A, commit=1)
    voter.hear(A, m.Heartbeat(1, 1, 0))
    asked = m.VoteRequest(2, 1, 1, 0)
    assert voter.hear(B, asked) == [] and voter.raft.term == 1
    voter.raft.read_index(7)
    voter.raft.forget_leader()
    assert voter.raft.leader is None and voter.raft.vote == A and voter.raft.term == 1
    assert of(m.VoteReply, voter.hear(B, asked), B) == [m.VoteReply(2, True)]
    assert [(read.token, read.index) for read in voter.reads] == [(7, None)]


def test_who_forgets_its_leader_follows_it_again_when_it_is_heard() -> None:
    follower = Node(B, term=1)
    follower.hear(A, m.Heartbeat(1, 0, 0))
    follower.ticks(4)
    follower.raft.forget_leader()
    assert follower.raft.election_elapsed_ticks == 4
    follower.hear(A, m.Heartbeat(1, 0, 0))
    assert follower.raft.leader == A and follower.raft.election_elapsed_ticks == 0


def test_a_leader_and_who_knows_of_none_have_nobody_to_forget() -> None:
    leader = Node(A)
    leader.raft.forget_leader()
    assert leader.raft.leader is None
    leader.lead()
    leader.raft.forget_leader()
    assert leader.raft.leader == A and leader.raft.role is Role.LEADER


def test_an_election_timeout_can_be_set_for_one_wait() -> None:
    node = Node(A, settings=Settings(election_ticks=consensus.Tick(10)), draw=5)
    assert node.raft.election_timeout_ticks == 15
    node.raft.set_election_timeout(3)
    node.ticks(2)
    assert node.raft.role is Role.FOLLOWER and node.raft.election_elapsed_ticks == 2
    node.ticks(1)
    assert node.raft.role is Role.PRE_CANDIDATE
    assert node.raft.election_timeout_ticks == 15
    node.raft.set_election_timeout(1)
    with pytest.raises(ValueError, match="^an election timeout has at least one tick$"):
        node.raft.set_election_timeout(0)
    assert node.raft.election_timeout_ticks == 1


def test_the_progress_of_every_peer_can_be_read_of_a_leader_alone() -> None:
    cluster = Cluster()
    leader = cluster.elect(A)
    assert leader.raft.peers == (B, C)
    for peer in leader.raft.peers:
        progress = leader.raft.progress(peer)
        assert progress is not None and progress.match == leader.raft.stable_index == 1
    assert cluster[B].raft.peers == () and cluster[B].raft.progress(A) is None
    assert leader.raft.progress(A) is None


def test_the_term_of_every_index_can_be_read() -> None:
    log = made(1, 1, 2)
    node = Node(B, log=log, term=2, commit=3)
    node.hear(A, appended(log, term=2, previous=3, commit=3))
    node.raft.compact(1)
    terms = [node.raft.term_at(index) for index in range(node.raft.last_index + 2)]
    assert terms == [None, 1, 1, 2, None]


def test_nothing_ready_is_one_and_the_same_object() -> None:
    node = Node(A)
    node.settle()
    assert node.raft.ready() is node.raft.ready()
    assert node.raft.ready() == consensus.Ready((), (), (), (), None, None)


def test_every_name_of_the_package_is_there_and_its_guide_names_what_a_driver_calls() -> None:
    assert consensus.__doc__ is not None
    public = [name for name in dir(consensus.Raft) if name.isascii() and name[0] != "_"]
    unsaid = [name for name in public if name not in consensus.__doc__ and name != "node_id"]
    assert unsaid == []
    assert all(hasattr(consensus, name) for name in consensus.__all__)
