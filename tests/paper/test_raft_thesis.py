"""One test for each rule of Ongaro's thesis (2014) that goes beyond the paper."""

from raft_cluster import FIVE, A, B, C, Cluster, D, Node, SignedProposals, made, of

from consensus import Configuration, Flow, ProposalRefused, Role, Settings
from consensus import messages as m


def voted_in(cluster: Cluster, name: bytes) -> Node:
    cluster[name].raft.campaign()
    cluster.settle()
    return cluster[name]


# §3.10: leadership transfer.


def test_3_10_1_a_leader_that_hands_over_takes_no_requests() -> None:
    node = Node(A)
    node.lead()
    node.raft.transfer(B)
    assert node.raft.propose(b"x") == ProposalRefused("transferring", A)


def test_3_10_2_it_brings_the_targets_log_up_to_its_own_first() -> None:
    node = Node(A)
    node.lead()
    node.acknowledge(B, 1)
    index = node.propose(b"x")
    node.settle()
    node.raft.transfer(B)
    assert of(m.TimeoutNow, node.settle()) == []
    assert of(m.TimeoutNow, node.acknowledge(B, index), B)


def test_3_10_3_the_target_campaigns_at_once_and_is_elected_before_others_time_out() -> None:
    cluster = Cluster(FIVE)
    leader = cluster.elect(A)
    assert leader.raft.transfer(D) is None
    cluster.settle()
    assert (cluster[D].raft.role, cluster[D].raft.term) == (Role.LEADER, 2)


def test_3_10_a_transfer_that_takes_an_election_timeout_is_given_up() -> None:
    node = Node(A)
    node.lead()
    node.raft.transfer(B)
    for _ in range(10):
        node.hear(C, m.HeartbeatReply(1, 0))
        node.ticks(1)
    assert (node.raft.role, node.raft.transferee) == (Role.LEADER, None)
    assert isinstance(node.raft.propose(b"x"), int)


# §4.2.1 and §4.2.2: learners, and a leader that leaves.


def test_4_2_1_a_learner_receives_everything_and_is_in_no_majority() -> None:
    node = Node(A, Configuration((A, B, C), (), (D,)))
    sent = node.lead()
    assert of(m.Append, sent, D)
    node.acknowledge(D, 1)
    assert node.raft.commit_index == 0
    node.acknowledge(B, 1)
    assert node.raft.commit_index == 1


def test_4_2_2_a_leader_that_leaves_does_not_count_itself() -> None:
    node = Node(A, Configuration((B, C), (), (A,)))
    assert node.ticks(50) == []
    leaving = Node(A, Configuration((A, B, C), (B, C)))
    leaving.lead()
    leaving.acknowledge(B, 1)
    assert leaving.raft.commit_index == 0
    leaving.acknowledge(C, 1)
    assert leaving.raft.commit_index == 1


# §4.2.3: disruptive servers.


def test_4_2_3_a_server_that_hears_its_leader_does_not_answer_candidates() -> None:
    node = Node(B, draw=5)
    node.hear(A, m.Heartbeat(1, 0, 0))
    node.ticks(9)
    assert node.hear(C, m.VoteRequest(2, 0, 0, 0)) == []
    assert node.raft.term == 1


def test_4_2_3_a_candidate_whom_the_leader_told_may_pass() -> None:
    node = Node(B)
    node.hear(A, m.Heartbeat(1, 0, 0))
    signature = SignedProposals(A).sign_transfer(term=1, target=C)
    request = m.TransferVoteRequest(2, 0, 0, 0, signature)
    assert node.hear(C, request) == [(C, m.VoteReply(2, True))]


# §5: log compaction (also the paper's §7).


def test_5_the_configuration_of_a_snapshot_is_the_one_as_of_its_index() -> None:
    leader = Node(A, log=made(1, 1), term=1, commit=2)
    leader.state.configurations[0] = Configuration((A, B, C), (), (D,))
    node = Node(B)
    node.load(leader, 1)
    assert node.raft.configuration == Configuration((A, B, C), (), (D,))


# §6.2: a leader that cannot reach a quorum.


def test_6_2_a_leader_without_a_quorum_for_an_election_timeout_steps_down() -> None:
    node = Node(A, FIVE)
    node.lead()
    node.ticks(9)
    assert node.raft.role is Role.LEADER
    node.hear(B, m.HeartbeatReply(1, 0))
    node.ticks(1)
    assert (node.raft.role, node.raft.term, node.raft.vote) == (Role.FOLLOWER, 1, A)


# §6.4: ReadIndex.


def test_6_4_1_no_read_before_an_entry_of_the_term_is_committed() -> None:
    node = Node(A, log=made(1), term=1, commit=1)
    node.lead()
    node.raft.read_index(1)
    assert of(m.Heartbeat, node.settle()) == []


def test_6_4_2_and_3_the_read_index_is_the_commit_index_confirmed_by_a_majority() -> None:
    node = Node(A, FIVE)
    node.lead()
    for peer in (B, C):
        node.acknowledge(peer, 1)
    node.raft.read_index(1)
    node.settle()
    node.hear(B, m.HeartbeatReply(1, 1))
    assert node.reads == []
    node.hear(C, m.HeartbeatReply(1, 1))
    assert [(read.token, read.index) for read in node.reads] == [(1, 1)]


def test_6_4_4_the_read_waits_until_its_index_is_executed() -> None:
    node = Node(A)
    node.lead()
    node.executes = False
    node.acknowledge(B, 1)
    node.raft.read_index(1)
    node.settle()
    node.hear(B, m.HeartbeatReply(1, 1))
    (read,) = node.reads
    assert read.index == 1 > node.raft.applied_index == 0


def test_6_4_followers_ask_the_leader_for_a_read_index() -> None:
    cluster = Cluster()
    voted_in(cluster, A)
    cluster[B].raft.read_index(5)
    cluster.settle()
    assert [(read.token, read.index) for read in cluster[B].reads] == [(5, 1)]


# §9.6: PreVote.


def test_9_6_a_server_that_was_cut_off_does_not_raise_its_term() -> None:
    cluster = Cluster()
    leader = voted_in(cluster, A)
    cluster.isolate(C)
    cluster.tick(200)
    assert cluster[C].raft.term == 1
    cluster.heal()
    cluster.tick(20)
    assert (leader.raft.role, leader.raft.term) == (Role.LEADER, 1)


def test_9_6_a_pre_vote_is_granted_for_a_log_that_is_as_good_and_without_a_live_leader() -> None:
    node = Node(B, log=made(1, 2), term=2)
    assert node.hear(C, m.PreVoteRequest(3, 2, 2, 0)) == [(C, m.PreVoteReply(3, True))]
    assert node.hear(C, m.PreVoteRequest(3, 1, 2, 0)) == [(C, m.PreVoteReply(2, False))]
    node.hear(A, m.Heartbeat(2, 0, 0))
    assert node.hear(C, m.PreVoteRequest(3, 2, 2, 0)) == []
    assert (node.raft.term, node.raft.vote) == (2, None)


def test_9_6_a_candidate_stands_once_a_majority_would_vote_for_it() -> None:
    node = Node(A, FIVE)
    node.ticks(10)
    node.hear(B, m.PreVoteReply(1, True))
    assert (node.raft.role, node.raft.term) == (Role.PRE_CANDIDATE, 0)
    node.hear(C, m.PreVoteReply(1, True))
    assert (node.raft.role, node.raft.term) == (Role.CANDIDATE, 1)


# §10.2: writing in parallel, and pipelining.


def test_10_2_1_a_leader_writes_while_it_sends_and_counts_itself_when_that_is_done() -> None:
    node = Node(A, FIVE)
    node.lead()
    for peer in (B, C):
        node.acknowledge(peer, 1)
    node.disk_works = False
    index = node.propose(b"x")
    assert of(m.Append, node.settle(), B)
    for peer in (B, C):
        node.acknowledge(peer, index)
    assert node.raft.commit_index == 1
    node.disk_works = True
    node.settle()
    assert node.raft.commit_index == index


def test_10_2_1_a_leader_may_commit_before_its_own_write_is_done() -> None:
    node = Node(A)
    node.lead()
    node.disk_works = False
    index = node.propose(b"x")
    node.settle()
    for peer in (B, C):
        node.acknowledge(peer, index)
    assert (node.raft.commit_index, node.raft.stable_index) == (index, 1)


def test_10_2_2_appends_are_sent_ahead_of_their_answers() -> None:
    node = Node(A)
    node.lead()
    node.acknowledge(B, 1)
    for number in range(3):
        node.propose(b"%d" % number)
    assert [each.previous_index for each in of(m.Append, node.settle(), B)] == [1, 2, 3]


def test_10_2_2_a_refusal_ends_sending_ahead_until_the_logs_agree() -> None:
    node = Node(A, settings=Settings(check_quorum=False))
    node.lead()
    node.acknowledge(B, 1)
    node.propose(b"x")
    node.settle()
    (probe,) = of(m.Append, node.hear(B, m.AppendRefused(1, 2, 1, 1, False)), B)
    progress = node.raft.progress(B)
    assert progress is not None and progress.flow is Flow.PROBE
    assert probe.previous_index == 1
    node.propose(b"y")
    assert of(m.Append, node.settle(), B) == []
