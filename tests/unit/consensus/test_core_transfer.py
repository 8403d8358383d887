"""Handing leadership over: P13, P14, the signature, and peers that do not know how."""

import pytest
from raft_cluster import FIVE, THREE, A, B, C, Cluster, D, Node, SignedProposals, made, of

from consensus import Configuration, ProposalRefused, Role, Settings, TransferRefused
from consensus import messages as m


def signed(leader: bytes, term: int, target: bytes) -> bytes:
    return SignedProposals(leader).sign_transfer(term=term, target=target)


def leader_of_three() -> Node:
    node = Node(A)
    node.lead()
    node.acknowledge(B, 1)
    node.acknowledge(C, 1)
    return node


def test_a_leader_hands_over_and_nothing_is_lost() -> None:
    cluster = Cluster(FIVE)
    leader = cluster.elect(A)
    cluster.write(leader, b"1")
    assert leader.raft.transfer(C) is None
    cluster.settle()
    assert (cluster[C].raft.role, cluster[C].raft.term) == (Role.LEADER, 2)
    assert (leader.raft.role, leader.raft.leader, leader.raft.transferee) == (
        Role.FOLLOWER,
        C,
        None,
    )
    cluster.write(cluster[C], b"2")
    assert [node.executed for node in cluster.nodes.values()] == [[b"", b"1", b"", b"2"]] * 5


def test_a_target_that_is_up_to_date_is_told_at_once() -> None:
    node = leader_of_three()
    assert node.raft.transfer(B) is None
    assert node.raft.transferee == B
    assert node.settle() == [(B, m.TimeoutNow(1, signed(A, 1, B)))]


def test_p13_a_target_that_lags_is_told_when_its_log_is_whole() -> None:
    node = leader_of_three()
    for data in (b"1", b"2"):
        node.propose(data)
    node.settle()
    assert node.raft.transfer(B) is None
    assert node.settle() == []
    assert of(m.TimeoutNow, node.acknowledge(B, 2)) == []
    assert of(m.TimeoutNow, node.acknowledge(C, 3)) == []
    assert of(m.TimeoutNow, node.acknowledge(B, 3), B) == [m.TimeoutNow(1, signed(A, 1, B))]


def test_p13_a_transfer_sends_the_target_what_it_lacks() -> None:
    node = leader_of_three()
    node.raft.reconnected(B)
    node.settle()
    node.propose(b"x")
    node.settle()
    node.hear(B, m.HeartbeatReply(1, 0))
    progress = node.raft.progress(B)
    assert progress is not None
    progress.heard()
    assert node.raft.transfer(B) is None
    (append,) = of(m.Append, node.settle(), B)
    assert [entry.data for entry in append.entries] == [b"x"]


def test_p13_nothing_is_proposed_while_a_transfer_runs() -> None:
    node = leader_of_three()
    node.raft.transfer(B)
    refused = ProposalRefused("transferring", A)
    assert node.raft.propose(b"x") == refused
    assert node.raft.propose(b"x", changes_configuration=True) == refused
    assert node.raft.last_index == 1


def test_p13_a_transfer_ends_after_an_election_timeout_and_proposals_are_taken_again() -> None:
    node = leader_of_three()
    node.raft.transfer(B)
    for tick in range(10):
        assert node.raft.transferee == B, tick
        node.ticks(1)
        node.hear(C, m.HeartbeatReply(1, 0))
    assert (node.raft.transferee, node.raft.role) == (None, Role.LEADER)
    assert of(m.TimeoutNow, node.ticks(1)) == []
    assert node.raft.propose(b"x") == 2
    assert node.raft.transfer(C) is None
    node.ticks(5)
    node.hear(C, m.HeartbeatReply(1, 0))
    node.ticks(4)
    assert node.raft.transferee == C


def test_p13_the_target_is_told_again_with_each_heartbeat() -> None:
    node = Node(A, settings=Settings(heartbeat_ticks=3, election_ticks=12))
    node.lead()
    node.acknowledge(B, 1)
    node.raft.transfer(B)
    node.settle()
    told = [len(of(m.TimeoutNow, node.ticks(1), B)) for _ in range(7)]
    assert told == [0, 0, 1, 0, 0, 1, 0]


def test_p13_asking_twice_for_one_target_does_not_start_the_wait_anew() -> None:
    node = leader_of_three()
    node.raft.transfer(B)
    node.ticks(6)
    node.hear(C, m.HeartbeatReply(1, 0))
    assert node.raft.transfer(B) is None
    node.ticks(4)
    assert node.raft.transferee is None


def test_p13_a_higher_term_ends_a_transfer() -> None:
    node = leader_of_three()
    node.raft.transfer(B)
    node.hear(C, m.HeartbeatReply(5, 0))
    assert (node.raft.role, node.raft.transferee) == (Role.FOLLOWER, None)
    assert node.raft.propose(b"x") == ProposalRefused("not-leader", None)


def test_p13_a_target_that_is_removed_meanwhile_is_not_waited_for() -> None:
    node = Node(A, Configuration((A, B, C, D), (A, B, C)))
    node.steps = {b"leave": THREE}
    node.lead()
    for peer in (B, C):
        node.acknowledge(peer, 1)
    node.propose(b"leave", changes_configuration=True)
    node.settle()
    assert node.raft.transfer(D) is None
    node.acknowledge(B, 2)
    node.acknowledge(C, 2)
    assert (node.raft.configuration, node.raft.transferee) == (THREE, None)
    assert node.raft.propose(b"x") == 3


@pytest.mark.parametrize(
    ("target", "why"), [(A, "itself"), (D, "not-a-voter"), (b"z", "not-a-voter")]
)
def test_p13_there_is_no_transfer_to_oneself_a_learner_or_a_stranger(
    target: bytes, why: str
) -> None:
    node = Node(A, Configuration((A, B, C), (), (D,)))
    node.lead()
    assert node.raft.transfer(target) == TransferRefused(why)
    assert node.raft.transferee is None


def test_p13_one_transfer_runs_at_a_time_and_only_a_leader_has_one() -> None:
    node = leader_of_three()
    node.raft.transfer(B)
    assert node.raft.transfer(C) == TransferRefused("transferring")
    assert node.raft.transferee == B
    assert Node(B).raft.transfer(A) == TransferRefused("not-leader")


def test_a_target_whose_version_knows_no_transfer_is_refused() -> None:
    node = leader_of_three()
    node.raft.peer_version(B, 1)
    assert node.raft.transfer(B) == TransferRefused("too-old")
    node.raft.peer_version(B, 2)
    assert node.raft.transfer(B) is None


# The target.


def told(node: Node, signature: bytes, term: int = 1) -> list:
    node.hear(A, m.Heartbeat(1, 0, 0))
    return node.hear(A, m.TimeoutNow(term, signature))


def test_the_target_stands_at_once_and_shows_the_signature() -> None:
    node = Node(B, log=made(1), term=1)
    sent = told(node, signed(A, 1, B))
    request = m.TransferVoteRequest(2, 1, 1, 0, signed(A, 1, B))
    assert sent == [(A, request), (C, request)]
    assert (node.raft.role, node.raft.term, node.raft.vote) == (Role.CANDIDATE, 2, B)
    assert node.raft.leader is None


def test_the_targets_requests_wait_until_its_vote_is_durable() -> None:
    node = Node(B)
    node.disk_works = False
    assert of(m.VoteRequest, told(node, signed(A, 1, B))) == []
    node.write_begins()
    node.write_lands()
    assert len(of(m.TransferVoteRequest, node.settle())) == 2


@pytest.mark.parametrize("signature", [b"", signed(C, 1, B), signed(A, 2, B), signed(A, 1, C)])
def test_p14_a_nomination_that_the_leader_did_not_sign_is_ignored(signature: bytes) -> None:
    node = Node(B)
    assert told(node, signature) == []
    assert (node.raft.role, node.raft.term) == (Role.FOLLOWER, 1)


def test_a_nomination_by_somebody_else_than_the_leader_is_ignored() -> None:
    node = Node(B)
    node.hear(A, m.Heartbeat(1, 0, 0))
    assert node.hear(C, m.TimeoutNow(1, signed(C, 1, B))) == []
    assert node.raft.role is Role.FOLLOWER


def test_a_target_that_has_not_executed_what_is_committed_waits_to_be_told_again() -> None:
    node = Node(B, log=made(1, 1), term=1, commit=2, applied=1)
    node.executes = False
    assert told(node, signed(A, 1, B)) == []
    assert node.raft.role is Role.FOLLOWER
    node.executes = True
    node.settle()
    assert len(of(m.TransferVoteRequest, told(node, signed(A, 1, B)))) == 2


def test_a_nomination_tells_of_its_leader_and_counts_at_once() -> None:
    node = Node(B)
    sent = node.hear(A, m.TimeoutNow(4, signed(A, 4, B)))
    assert len(of(m.TransferVoteRequest, sent)) == 2
    assert node.raft.term == 5


def test_reads_that_wait_are_refused_when_the_target_stands() -> None:
    node = Node(B)
    node.hear(A, m.Heartbeat(1, 0, 0))
    node.raft.read_index(3)
    told(node, signed(A, 1, B))
    assert [(read.token, read.index) for read in node.reads] == [(3, None)]


# P14: the voters.


@pytest.mark.parametrize(
    ("signature", "term", "granted"),
    [
        (signed(A, 1, B), 2, True),
        (signed(A, 1, B), 3, False),
        (signed(A, 2, B), 2, False),
        (signed(A, 1, C), 2, False),
        (signed(B, 1, B), 2, False),
        (b"", 2, False),
    ],
)
def test_p14_only_the_leaders_own_word_for_that_node_and_term_passes_the_shield(
    signature: bytes, term: int, granted: bool
) -> None:
    request = m.TransferVoteRequest(term, 0, 0, 0, signature)
    voter = Node(C)
    voter.hear(A, m.Heartbeat(1, 0, 0))
    assert voter.hear(B, request) == ([(B, m.VoteReply(term, True))] if granted else [])
    assert voter.raft.term == (term if granted else 1)
    leader = Node(A)
    leader.lead()
    request = m.TransferVoteRequest(term, 9, 9, 0, signature)
    assert leader.hear(B, request) == ([(B, m.VoteReply(term, True))] if granted else [])
    assert leader.raft.role is (Role.FOLLOWER if granted else Role.LEADER)


def test_p14_an_ordinary_request_passes_no_shield() -> None:
    voter = Node(C)
    voter.hear(A, m.Heartbeat(1, 0, 0))
    assert voter.hear(B, m.VoteRequest(2, 0, 0, 0)) == []
    assert voter.hear(B, m.PreVoteRequest(2, 0, 0, 0)) == []


def test_p14_the_word_of_a_leader_that_the_voter_does_not_follow_counts_for_nothing() -> None:
    voter = Node(C)
    voter.hear(A, m.Heartbeat(1, 0, 0))
    assert voter.hear(B, m.TransferVoteRequest(3, 0, 0, 0, signed(D, 2, B))) == []


def test_a_request_with_a_signature_is_else_like_any_other() -> None:
    voter = Node(C, log=made(1, 1), term=1)
    voter.hear(A, m.Heartbeat(1, 0, 0))
    request = m.TransferVoteRequest(2, 1, 1, 0, signed(A, 1, B))
    assert voter.hear(B, request) == [(B, m.VoteReply(2, False))]
    lonely = Node(C)
    assert lonely.hear(B, m.TransferVoteRequest(2, 0, 0, 0, b"")) == [(B, m.VoteReply(2, True))]


# Versions.


def test_a_peer_is_told_only_what_its_version_knows() -> None:
    now, offer = m.TimeoutNow(1, b"s"), m.SnapshotOffer(1, 1, 1, bytes(32))
    asked = m.TransferVoteRequest(1, 2, 3, 4, b"s")
    assert (m.for_version(now, 1), m.for_version(now, 2)) == (None, now)
    assert (m.for_version(offer, 1), m.for_version(offer, 2)) == (None, offer)
    assert m.for_version(asked, 1) == m.VoteRequest(1, 2, 3, 4)
    assert (m.for_version(asked, 2), m.for_version(asked, 3)) == (asked, asked)
    plain = m.Heartbeat(1, 2, 3)
    assert m.for_version(plain, 1) == plain
    assert (m.PROTOCOL_VERSIONS, m.PROTOCOL_VERSION) == ((1, 2), 2)
    assert (m.since(m.TimeoutNow), m.since(m.Append)) == (2, 1)


def test_in_a_mixed_cluster_a_transfer_asks_old_peers_in_the_old_way() -> None:
    node = Node(B)
    node.raft.peer_version(C, 1)
    sent = told(node, signed(A, 1, B))
    assert of(m.VoteRequest, sent, C) == [m.VoteRequest(2, 0, 0, 0)]
    assert len(of(m.TransferVoteRequest, sent, A)) == 1


def test_in_a_mixed_cluster_leadership_moves_between_those_who_know_how() -> None:
    cluster = Cluster(FIVE)
    for node in cluster.nodes.values():
        for old in (C, D):
            node.raft.peer_version(old, 1)
    leader = cluster.elect(A)
    assert leader.raft.transfer(B) is None
    cluster.settle()
    assert cluster[B].raft.role is Role.LEADER
    assert [cluster[name].raft.vote for name in (C, D)] == [None, None]
    assert [cluster[name].raft.leader for name in (C, D)] == [B, B]
