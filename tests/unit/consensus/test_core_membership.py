"""Changing members by joint consensus: P12, P28 to P36, and what the argument in `core` needs."""

import pytest
from raft_cluster import FIVE, THREE, A, B, C, Cluster, D, E, Node, appended, made, of

from consensus import Configuration, Flow, ProposalRefused, Raft, Role, Settings
from consensus import messages as m
from consensus.memory import MemoryStorage, UnsignedProposals
from consensus.quorum import is_lost, is_majority, is_quorum, quorum_index

LEARNING = Configuration((A, B, C), (), (D, E))
JOINT = Configuration((A, B, C), (C, D, E))
JOINT_A_LEAVES = Configuration((A, B, C), (B, C, D))
WITHOUT_A = Configuration((B, C, D))
WITHOUT_A_SERVED = Configuration((B, C, D), (), (A,))


def changing(enter: Configuration, leave: Configuration) -> Cluster:
    """A cluster with D and E as learners that A leads; "enter" and "leave" are steps."""
    cluster = Cluster(LEARNING)
    cluster.steps(enter=enter, leave=leave)
    cluster.elect(A)
    return cluster


# Quorums.


@pytest.mark.parametrize(
    ("agreeing", "expected"),
    [
        ((A, B), False),
        ((C, D), False),
        ((A, B, D), False),
        ((A, C, D), True),
        ((A, B, D, E), True),
        ((B, C, E), True),
        ((C, D, E), False),
    ],
)
def test_while_joint_a_quorum_is_a_majority_of_each_set(
    agreeing: tuple[bytes, ...], expected: bool
) -> None:
    assert is_quorum(JOINT, set(agreeing)) is expected
    others = set(JOINT.voting) - set(agreeing)
    assert is_lost(JOINT, others) is not expected


def test_a_majority_is_more_than_half_and_nothing_is_no_majority() -> None:
    assert is_majority((A, B, C), {A, B}) and not is_majority((A, B, C), {A})
    assert is_majority((A, B, C, D), {A, B, C}) and not is_majority((A, B, C, D), {A, B})
    assert not is_majority((), {A})


def test_what_is_committed_is_what_a_majority_of_each_set_holds() -> None:
    match = {A: 9, B: 7, C: 5, D: 3}
    assert quorum_index(THREE, match) == 7
    assert quorum_index(Configuration((A, B)), match) == 7
    assert quorum_index(JOINT, match) == 3
    assert quorum_index(JOINT, {A: 2, B: 2, C: 9, D: 9, E: 9}) == 2
    assert quorum_index(FIVE, match) == 5
    assert quorum_index(Configuration((D, E)), match) == 0


def test_a_configuration_knows_who_votes_and_who_takes_part() -> None:
    assert JOINT.voting == (A, B, C, D, E)
    assert LEARNING.voting == (A, B, C)
    assert LEARNING.members == (A, B, C, D, E)
    assert WITHOUT_A_SERVED.members == (A, B, C, D)


def test_one_configuration_follows_another_by_one_step() -> None:
    assert LEARNING.may_become(JOINT) and JOINT.may_become(Configuration((C, D, E)))
    assert THREE.may_become(LEARNING) and LEARNING.may_become(THREE)
    assert JOINT.may_become(Configuration((A, B, C), (C, D, E), (b"x",)))
    assert not THREE.may_become(WITHOUT_A)
    assert not THREE.may_become(Configuration((A, B), (B, C)))
    assert not JOINT.may_become(JOINT_A_LEAVES)
    assert not JOINT.may_become(THREE)
    assert not JOINT.may_become(WITHOUT_A)
    assert not JOINT.may_become(Configuration((C, D, E), (A, B, C)))


def test_a_configuration_that_is_no_step_is_a_mistake_of_the_driver() -> None:
    node = Node(A)
    with pytest.raises(AssertionError, match=r"^one change at a time \(P30\)$"):
        node.raft.adopt(WITHOUT_A)


# The whole change.


def test_a_change_of_voters_goes_through_both_sets_and_loses_nothing() -> None:
    cluster = changing(JOINT, Configuration((C, D, E), (), (A, B)))
    leader = cluster[A]
    cluster.write(leader, b"1")
    cluster.change(leader, "enter")
    assert {node.raft.configuration for node in cluster.nodes.values()} == {JOINT}
    cluster.write(leader, b"2")
    cluster.change(leader, "leave")
    cluster.tick(3)
    new = cluster.until_leader()
    assert new.node_id in (C, D, E)
    cluster.write(new, b"3")
    for node in cluster.nodes.values():
        assert [data for data in node.executed if data] == [b"1", b"enter", b"2", b"leave", b"3"]
        assert node.raft.configuration == Configuration((C, D, E), (), (A, B))


def test_while_joint_neither_old_nor_new_majority_alone_commits_or_elects() -> None:
    for missing in ((A, B), (D, E)):
        cluster = changing(JOINT, FIVE)
        cluster.change(cluster[A], "enter")
        cluster.isolate(*missing)
        for node in cluster.nodes.values():
            if node.raft.role is Role.LEADER:
                before = node.raft.commit_index
                node.propose(b"x")
                cluster.settle()
                assert node.raft.commit_index == before
        cluster.tick(60)
        assert all(node.raft.role is not Role.LEADER for node in cluster.nodes.values())
        cluster.heal()
        cluster.write(cluster.until_leader(), b"y")
        cluster.agree()


def test_p29_a_step_is_in_force_nowhere_before_it_has_executed() -> None:
    cluster = changing(JOINT, FIVE)
    cluster.isolate(A, D, E)
    leader = cluster[A]
    leader.propose(b"enter", changes_configuration=True)
    cluster.settle()
    assert cluster[D].raft.last_index == leader.raft.last_index == 2
    assert {node.raft.configuration for node in cluster.nodes.values()} == {LEARNING}
    assert leader.raft.commit_index == 1
    cluster.tick(40)
    other = cluster.until_leader()
    assert other.node_id in (B, C)
    cluster.heal()
    cluster.write(other, b"x")
    cluster.tick(3)
    assert cluster[A].executed == [b"", b"", b"x"]
    assert {node.raft.configuration for node in cluster.nodes.values()} == {LEARNING}


def test_the_entry_that_leaves_never_travels_without_the_commit_of_the_one_that_entered() -> None:
    cluster = changing(JOINT_A_LEAVES, WITHOUT_A_SERVED)
    leader = cluster[A]
    cluster.change(leader, "enter")
    leader.propose(b"leave", changes_configuration=True)
    enter, leave = leader.raft.last_index - 1, leader.raft.last_index
    carried = [
        append.commit
        for append in of(m.Append, leader.settle())
        for entry in append.entries
        if entry.index == leave
    ]
    assert carried and all(commit >= enter for commit in carried)


def test_who_holds_the_leaving_entry_campaigns_jointly_even_right_after_a_restart() -> None:
    cluster = changing(JOINT_A_LEAVES, WITHOUT_A_SERVED)
    leader = cluster[A]
    cluster.change(leader, "enter")
    cluster.cut |= {(one, A) for one in (B, C, D, E)}
    leader.propose(b"leave", changes_configuration=True)
    cluster.settle()
    cluster.down.add(A)
    for name in (B, C, D):
        cluster.restart(name)
        node = cluster[name]
        assert node.raft.entry(node.raft.last_index).entry.data == b"leave"
        assert node.raft.configuration == JOINT_A_LEAVES
    cluster.cut.clear()
    cluster.tick(40)
    assert cluster.until_leader().raft.configuration == WITHOUT_A_SERVED


# P12: removed nodes.


@pytest.mark.parametrize("served", [True, False])
def test_p12_a_removed_node_that_campaigns_for_ever_disturbs_nobody(served: bool) -> None:
    cluster = Cluster(Configuration((A, B, C, D)))
    after = Configuration((A, B, C), (), (D,) if served else ())
    cluster.steps(enter=Configuration((A, B, C, D), (A, B, C)), leave=after)
    leader = cluster.elect(A)
    cluster.write(leader, b"1")
    cluster.isolate(D)
    cluster.change(leader, "enter")
    cluster.change(leader, "leave")
    term = leader.raft.term
    cluster.tick(50)
    assert cluster[D].raft.configuration.voting == (A, B, C, D)
    cluster.heal()
    cluster.tick(50)
    assert (leader.raft.role, leader.raft.term) == (Role.LEADER, term)
    assert (cluster[D].raft.configuration == after) is served


def test_p12_without_pre_vote_the_leader_is_shielded_too() -> None:
    node = Node(A, THREE)
    node.lead()
    for term in range(2, 9):
        assert node.hear(D, m.VoteRequest(term, 99, 99, 0)) == []
        node.ticks(1)
        node.hear(B, m.HeartbeatReply(1, 0))
    assert (node.raft.role, node.raft.term) == (Role.LEADER, 1)


# P28, P30: one change at a time.


def test_p28_a_step_waits_for_a_committed_entry_of_the_term() -> None:
    node = Node(A, FIVE, log=made(1), term=1, commit=1)
    node.lead()
    pending = ProposalRefused("change-pending", A)
    assert node.raft.propose(b"x", changes_configuration=True) == pending
    node.acknowledge(B, 2)
    assert node.raft.propose(b"x", changes_configuration=True) == pending
    node.acknowledge(C, 2)
    assert node.raft.propose(b"x", changes_configuration=True) == 3


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((A, B, C, D, E), (A, B, C)),
        ((A, B, C, D), (A, B, C, E)),
        ((A, B), (A, C)),
    ],
)
def test_p28_ongaros_bug_of_changes_by_two_leaders_cannot_happen(
    first: tuple[bytes, ...], second: tuple[bytes, ...]
) -> None:
    cluster = Cluster(LEARNING)
    cluster.steps(one=Configuration((A, B, C), first), two=Configuration((A, B, C), second, ()))
    leader = cluster.elect(A)
    cluster.isolate(A)
    leader.propose(b"one", changes_configuration=True)
    cluster.settle()
    cluster.tick(15)
    other = cluster.until_leader()
    assert other is not leader
    cluster.change(other, "two")
    assert other.raft.configuration.incoming == second
    cluster.heal()
    cluster.tick(30)
    cluster.agree()
    assert {node.raft.configuration.incoming for node in cluster.nodes.values()} == {second}


def test_p30_a_step_waits_until_the_one_before_has_executed() -> None:
    cluster = changing(JOINT, FIVE)
    leader = cluster[A]
    leader.executes = False
    assert leader.raft.propose(b"enter", changes_configuration=True) == 2
    pending = ProposalRefused("change-pending", A)
    assert leader.raft.propose(b"enter", changes_configuration=True) == pending
    cluster.settle()
    assert leader.raft.commit_index == 2
    assert leader.raft.propose(b"leave", changes_configuration=True) == pending
    assert leader.raft.propose(b"other") == 3
    leader.executes = True
    cluster.settle()
    assert leader.raft.propose(b"leave", changes_configuration=True) == 4


def test_p30_a_new_leader_takes_any_inherited_entry_for_a_step() -> None:
    node = Node(A, THREE, log=made(1, 1), term=1)
    node.lead()
    node.executes = False
    node.acknowledge(B, 3)
    assert node.raft.commit_index == 3
    assert node.raft.propose(b"x", changes_configuration=True) == ProposalRefused(
        "change-pending", A
    )
    node.executes = True
    node.settle()
    assert node.raft.propose(b"x", changes_configuration=True) == 4


# P31: a leader that removes itself.


def test_p31_a_leader_that_leaves_commits_without_itself_and_hands_over() -> None:
    cluster = changing(JOINT_A_LEAVES, WITHOUT_A_SERVED)
    leader = cluster[A]
    cluster.change(leader, "enter")
    cluster.isolate(C)
    cluster.change(leader, "leave")
    assert leader.raft.role is Role.FOLLOWER
    new = cluster.until_leader()
    assert (new.node_id, new.raft.term) == (B, 2)
    cluster.write(new, b"x")
    assert cluster[D].executed[-1] == cluster[A].executed[-1] == b"x"
    assert of(m.PreVoteRequest, cluster[A].ticks(100)) == []


def test_p31_nothing_is_committed_by_the_old_quorum_any_more() -> None:
    node = Node(A, JOINT_A_LEAVES)
    node.steps = {b"leave": WITHOUT_A}
    node.lead()
    for peer in (B, C):
        node.acknowledge(peer, 1)
    node.propose(b"leave", changes_configuration=True)
    node.propose(b"after")
    node.settle()
    for peer in (B, C):
        node.acknowledge(peer, 2)
    assert (node.raft.configuration, node.raft.commit_index) == (WITHOUT_A, 2)
    assert node.raft.role is Role.LEADER
    node.acknowledge(B, 3)
    assert node.raft.commit_index == 2
    node.acknowledge(D, 3)
    assert node.raft.commit_index == 3


def leaving(*, versions: dict[bytes, int] | None = None) -> tuple[Node, list]:
    """A leader that has just executed that it votes no more; what it sent then."""
    node = Node(A, JOINT_A_LEAVES)
    node.steps = {b"leave": WITHOUT_A}
    node.lead()
    for peer, version in (versions or {}).items():
        node.raft.peer_version(peer, version)
    for peer in (B, C):
        node.acknowledge(peer, 1)
    node.propose(b"leave", changes_configuration=True)
    node.settle()
    node.acknowledge(C, 2)
    return node, node.acknowledge(B, 2)


def test_p31_the_best_voter_is_told_and_told_again_until_the_leader_gives_up() -> None:
    node, sent = leaving()
    now = m.TimeoutNow(1, node.proposals.sign_transfer(term=1, target=B))
    assert of(m.TimeoutNow, sent, B) == [now] and of(m.TimeoutNow, sent) == [now]
    assert node.raft.transferee == B
    assert node.raft.propose(b"x") == ProposalRefused("transferring", A)
    assert of(m.TimeoutNow, node.ticks(1), B) == [now]
    for _ in range(8):
        for peer in (B, C):
            node.hear(peer, m.HeartbeatReply(1, 0))
        node.ticks(1)
    assert node.raft.role is Role.LEADER
    node.ticks(1)
    assert (node.raft.role, node.raft.leader, node.raft.transferee) == (Role.FOLLOWER, None, None)


def test_p31_only_a_voter_that_understands_is_told() -> None:
    node, sent = leaving(versions={B: 1})
    assert (node.raft.transferee, of(m.TimeoutNow, sent, B)) == (C, [])
    node, sent = leaving(versions={B: 1, C: 1})
    assert node.raft.transferee == D
    node, sent = leaving(versions={B: 1, C: 1, D: 1})
    assert (node.raft.role, of(m.TimeoutNow, sent)) == (Role.FOLLOWER, [])
    assert of(m.Append, sent, B)[-1].commit == 2


def test_p31_a_voter_that_is_alive_is_better_than_one_that_is_not() -> None:
    node = Node(A, Configuration((A, B, C, D), (B, C, D)))
    node.steps = {b"leave": WITHOUT_A}
    node.lead()
    for peer in (B, C, D):
        node.acknowledge(peer, 1)
    index = node.propose(b"leave", changes_configuration=True)
    node.settle()
    node.acknowledge(B, index)
    for _ in range(10):
        node.ticks(1)
        for peer in (C, D):
            node.hear(peer, m.HeartbeatReply(1, 0))
    node.acknowledge(D, index)
    assert node.raft.transferee == D


def test_p31_a_transfer_that_runs_already_goes_on() -> None:
    node = Node(A, JOINT_A_LEAVES)
    node.steps = {b"leave": WITHOUT_A}
    node.lead()
    for peer in (B, C):
        node.acknowledge(peer, 1)
    node.propose(b"leave", changes_configuration=True)
    node.settle()
    assert node.raft.transfer(C) is None
    node.acknowledge(B, 2)
    node.acknowledge(C, 2)
    assert (node.raft.configuration, node.raft.transferee) == (WITHOUT_A, C)


# P32, P35: who votes, who campaigns, who is served.


def test_p32_a_learner_that_does_not_know_that_it_votes_answers_when_asked() -> None:
    cluster = changing(JOINT, FIVE)
    leader = cluster[A]
    cluster.cut |= {(other, D) for other in cluster.nodes} | {(other, E) for other in cluster.nodes}
    leader.propose(b"enter", changes_configuration=True)
    cluster.settle()
    assert cluster[B].raft.configuration == JOINT
    assert cluster[D].raft.configuration == LEARNING
    cluster.cut.clear()
    cluster.down.add(A)
    cluster.tick(12)
    new = cluster.until_leader()
    assert new.raft.configuration == JOINT and new.node_id in (B, C)


def test_p32_a_learner_that_lost_its_leader_grants_at_once() -> None:
    node = Node(D, LEARNING)
    node.hear(A, m.Heartbeat(1, 0, 0))
    node.ticks(10)
    assert (node.raft.role, node.raft.leader) == (Role.FOLLOWER, None)
    node.ticks(3)
    assert node.hear(B, m.PreVoteRequest(2, 0, 0, 0)) == [(B, m.PreVoteReply(2, True))]
    assert node.hear(B, m.VoteRequest(2, 0, 0, 0)) == [(B, m.VoteReply(2, True))]


def test_a_learner_gets_everything_counts_for_nothing_and_never_campaigns() -> None:
    cluster = Cluster(LEARNING)
    leader = cluster.elect(A)
    cluster.isolate(B, C)
    leader.propose(b"x")
    cluster.settle()
    assert leader.raft.commit_index == 1
    assert cluster[D].raft.last_index == cluster[E].raft.last_index == 2
    cluster.heal()
    assert cluster[D].executed == [b"", b"x"]
    cluster.down |= {A, B, C}
    cluster.tick(100)
    assert {cluster[name].raft.role for name in (D, E)} == {Role.FOLLOWER}
    assert {cluster[name].raft.term for name in (D, E)} == {1}


def test_p35_a_node_that_is_to_leave_votes_until_the_step_has_executed() -> None:
    cluster = changing(JOINT_A_LEAVES, WITHOUT_A_SERVED)
    cluster.change(cluster[A], "enter")
    cluster[A].raft.abdicate()
    cluster.down |= {C, E}
    cluster.tick(40)
    assert cluster.until_leader().node_id in (A, B, D)


def test_p35_a_step_that_is_rolled_back_was_never_in_force() -> None:
    cluster = changing(JOINT_A_LEAVES, WITHOUT_A_SERVED)
    cluster.change(cluster[A], "enter")
    cluster.isolate(A)
    cluster[A].propose(b"leave", changes_configuration=True)
    cluster.settle()
    cluster.tick(15)
    assert cluster[A].raft.configuration == JOINT_A_LEAVES
    cluster.heal()
    cluster.tick(30)
    assert {node.raft.configuration for node in cluster.nodes.values()} == {JOINT_A_LEAVES}
    assert b"leave" not in cluster[A].executed


def test_p35_late_answers_and_a_late_nomination_of_a_retired_node_have_no_effect() -> None:
    node = Node(B, WITHOUT_A)
    node.lead()
    node.propose(b"x")
    node.settle()
    for message in (
        m.AppendReply(1, 2, node.raft.entry(2).hash),
        m.VoteReply(1, True),
        m.HeartbeatReply(1, 0),
        m.AppendRefused(1, 1, 0, 0, False),
    ):
        assert node.hear(A, message) == []
    assert node.raft.commit_index == 0
    retired = Node(A, WITHOUT_A_SERVED)
    retired.hear(B, m.Heartbeat(1, 0, 0))
    signature = node.proposals.sign_transfer(term=1, target=A)
    assert retired.hear(B, m.TimeoutNow(1, signature)) == []
    assert (retired.raft.role, retired.raft.term) == (Role.FOLLOWER, 1)


def test_a_node_that_left_is_served_until_the_driver_names_it_no_more() -> None:
    cluster = changing(JOINT_A_LEAVES, WITHOUT_A_SERVED)
    cluster.change(cluster[A], "enter")
    cluster.change(cluster[A], "leave")
    cluster.tick(3)
    leader = cluster.until_leader()
    cluster.write(leader, b"x")
    assert cluster[A].executed[-1] == b"x"
    leader.raft.adopt(WITHOUT_A)
    cluster.write(leader, b"y")
    assert (leader.executed[-1], cluster[A].executed[-1]) == (b"y", b"x")
    assert leader.raft.progress(A) is None


def test_adopting_keeps_what_is_known_of_peers_that_stay() -> None:
    node = Node(A, LEARNING)
    node.lead()
    node.acknowledge(B, 1)
    node.raft.adopt(Configuration((A, B, C), (), (E,)))
    progress = {peer: node.raft.progress(peer) for peer in (B, D, E)}
    assert progress[B] is not None and progress[B].match == 1
    assert progress[D] is None
    assert progress[E] is not None and progress[E].next == 1
    node.raft.adopt(LEARNING)
    new = node.raft.progress(D)
    assert new is not None and (new.match, new.next, new.flow) == (0, 2, Flow.PROBE)


def test_adopting_looks_again_at_commit_reads_and_refusals() -> None:
    four = Configuration((A, B, C, D), (A, B))
    node = Node(A, four)
    node.steps = {}
    node.lead()
    for peer in (B, C):
        node.acknowledge(peer, 1)
    assert node.raft.commit_index == 1
    node.propose(b"x")
    node.raft.read_index(7)
    node.settle()
    node.acknowledge(B, 2)
    node.hear(B, m.HeartbeatReply(1, 1))
    assert (node.raft.commit_index, node.reads) == (1, [])
    sent_before = node.settle()
    node.raft.adopt(Configuration((A, B)))
    node.settle()
    assert sent_before == []
    assert node.raft.commit_index == 2
    assert [(read.token, read.index) for read in node.reads] == [(7, 1)]


def test_a_refusal_for_time_by_a_node_that_left_counts_no_more() -> None:
    node = Node(A, Configuration((A, B, C, D), (A, B, C)))
    node.lead()
    early = m.AppendRefused(1, 0, 0, 0, True)
    node.hear(D, early)
    node.raft.adopt(THREE)
    node.raft.adopt(Configuration((A, B, C), (A, C, D)))
    node.hear(C, early)
    assert node.raft.role is Role.LEADER
    node.hear(D, early)
    assert node.raft.role is Role.FOLLOWER


# P36: who comes back with nothing is somebody else.


def test_p36_a_node_without_its_log_is_not_elected_by_those_who_have_it() -> None:
    """Whether it may vote is the driver's to know: nothing in an empty store tells (A7)."""
    cluster = Cluster()
    leader = cluster.elect(A)
    cluster.write(leader, b"x")
    cluster.nodes[B] = Node(B, THREE)
    cluster.down.add(A)
    cluster[B].raft.campaign()
    cluster.settle()
    assert cluster[B].raft.role is not Role.LEADER
    assert cluster[B].raft.vote is None


def test_a_core_starts_with_the_configuration_it_is_given() -> None:
    raft = Raft(
        node_id=A,
        settings=Settings(),
        storage=MemoryStorage(),
        configuration=JOINT,
        applied=0,
        proposals=UnsignedProposals(),
        random_ticks=lambda n: 0,
    )
    assert (raft.configuration, raft.node_id, raft.applied_index) == (JOINT, A, 0)
    assert (raft.transferee, raft.progress(B), raft.role) == (None, None, Role.FOLLOWER)


def test_appends_reach_a_new_member_from_the_beginning() -> None:
    cluster = Cluster(THREE)
    leader = cluster.elect(A)
    cluster.write(leader, b"1", b"2")
    cluster.nodes[D] = Node(D, Configuration((A, B, C), (), (D,)))
    leader.raft.adopt(Configuration((A, B, C), (), (D,)))
    cluster.tick(3)
    assert cluster[D].executed == [b"", b"1", b"2"]
    assert appended(made(1), term=1, previous=0).previous_index == 0
