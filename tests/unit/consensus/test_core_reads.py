"""Linearizable reads: P48 to P51, and the ways in which a read is refused."""

from raft_cluster import FIVE, ONE, THREE, A, B, C, Cluster, D, E, Node, made, of

from consensus import Configuration, Role, Settings
from consensus import messages as m
from consensus.ready import ReadState


def answers(node: Node) -> list[tuple[int, int | None]]:
    return [(read.token, read.index) for read in node.reads]


def committed_leader(configuration: Configuration = THREE) -> Node:
    node = Node(A, configuration)
    node.lead()
    for peer in configuration.voting[1:]:
        node.acknowledge(peer, 1)
    return node


def test_a_leader_confirms_a_read_with_a_round_of_heartbeats() -> None:
    node = committed_leader(FIVE)
    node.raft.read_index(7)
    sent = node.settle()
    assert sent == [(peer, m.Heartbeat(1, 1, 1)) for peer in (B, C, D, E)]
    node.hear(B, m.HeartbeatReply(1, 1))
    assert node.reads == []
    node.hear(C, m.HeartbeatReply(1, 1))
    assert node.reads == [ReadState(7, 1)]


def test_reads_that_arrive_during_a_round_wait_for_the_next() -> None:
    node = committed_leader()
    node.raft.read_index(1)
    node.raft.read_index(2)
    node.raft.read_index(3)
    node.settle()
    sent = node.hear(B, m.HeartbeatReply(1, 1))
    assert answers(node) == [(1, 1)]
    assert of(m.Heartbeat, sent, B) == [m.Heartbeat(1, 1, 2)]
    assert node.hear(B, m.HeartbeatReply(1, 1)) == []
    assert answers(node) == [(1, 1)]
    node.hear(C, m.HeartbeatReply(1, 2))
    assert answers(node) == [(1, 1), (2, 1), (3, 1)]


def test_a_round_is_answered_by_later_heartbeats_too() -> None:
    node = committed_leader()
    node.raft.read_index(1)
    assert of(m.Heartbeat, node.ticks(1), B)[-1].round == 1
    node.hear(B, m.HeartbeatReply(1, 2))
    assert answers(node) == [(1, 1)]


def test_a_reads_index_is_the_commit_index_when_its_round_began() -> None:
    node = committed_leader()
    node.raft.read_index(1)
    index = node.propose(b"x")
    node.settle()
    node.acknowledge(B, index)
    assert node.raft.commit_index == 2
    node.hear(B, m.HeartbeatReply(1, 1))
    assert answers(node) == [(1, 1)]


def test_learners_and_strangers_confirm_nothing() -> None:
    node = committed_leader(Configuration((A, B, C), (), (D,)))
    node.raft.read_index(1)
    node.hear(D, m.HeartbeatReply(1, 1))
    node.hear(E, m.HeartbeatReply(1, 1))
    assert node.reads == []


def test_a_node_alone_confirms_at_once() -> None:
    node = Node(A, ONE)
    node.raft.campaign()
    node.settle()
    node.raft.read_index(4)
    node.raft.read_index(5)
    node.settle()
    assert answers(node) == [(4, 1), (5, 1)]


def test_p48_a_new_leader_delays_reads_until_it_has_committed_in_its_term() -> None:
    node = Node(A, log=made(1, 1), term=1, commit=2)
    node.lead()
    node.raft.read_index(1)
    assert of(m.Heartbeat, node.settle()) == []
    node.hear(B, m.HeartbeatReply(2, 0), m.HeartbeatReply(2, 1))
    assert node.reads == []
    sent = node.acknowledge(B, 3)
    assert of(m.Heartbeat, sent, B) == [m.Heartbeat(2, 3, 1)]
    node.hear(B, m.HeartbeatReply(2, 1))
    assert answers(node) == [(1, 3)]


def test_a_follower_asks_its_leader_and_passes_the_answer_on() -> None:
    cluster = Cluster()
    cluster.elect(A)
    cluster[C].raft.read_index(9)
    cluster.settle()
    assert answers(cluster[C]) == [(9, 1)]
    assert cluster[A].reads == []


def test_a_follower_without_leader_refuses_reads() -> None:
    node = Node(B)
    node.raft.read_index(9)
    assert node.settle() == []
    assert answers(node) == [(9, None)]


def test_p49_a_late_answer_serves_no_later_read_with_the_same_token() -> None:
    node = Node(B, draw=9)
    node.hear(A, m.Heartbeat(1, 0, 0))
    node.raft.read_index(7)
    (first,) = of(m.ReadRequest, node.settle(), A)
    for _ in range(10):
        node.hear(A, m.Heartbeat(1, 0, 0))
        node.ticks(1)
    assert answers(node) == [(7, None)]
    node.raft.read_index(7)
    (second,) = of(m.ReadRequest, node.settle(), A)
    assert second.token != first.token
    node.hear(A, m.ReadReply(1, first.token, 10))
    assert answers(node) == [(7, None)]
    node.hear(A, m.ReadReply(1, second.token, 11))
    assert answers(node) == [(7, None), (7, 11)]
    node.hear(A, m.ReadReply(1, second.token, 12))
    assert len(node.reads) == 2


def test_p49_numbers_begin_where_chance_says_so_that_a_restart_repeats_none() -> None:
    numbers = []
    for draw in (3, 2**61):
        node = Node(B, draw=draw)
        node.hear(A, m.Heartbeat(1, 0, 0))
        node.raft.read_index(7)
        node.raft.read_index(8)
        numbers.append([request.token for request in of(m.ReadRequest, node.settle(), A)])
    assert numbers == [[3, 4], [2**61, 2**61 + 1]]


def test_p49_reads_do_not_outlive_their_leader() -> None:
    for change in (m.Heartbeat(2, 0, 0), m.VoteRequest(2, 0, 0, 0)):
        node = Node(B)
        node.settings = Settings(check_quorum=False)
        node.boot()
        node.hear(A, m.Heartbeat(1, 0, 0))
        node.raft.read_index(7)
        (asked,) = of(m.ReadRequest, node.settle(), A)
        node.hear(C, change)
        assert answers(node) == [(7, None)]
        node.hear(A, m.ReadReply(1, asked.token, 10), m.ReadReply(2, asked.token, 10))
        assert answers(node) == [(7, None)]


def test_p49_a_leader_that_loses_its_term_refuses_all_it_has_not_confirmed() -> None:
    node = committed_leader()
    node.raft.read_index(1)
    node.hear(B, m.ReadRequest(1, 55))
    node.raft.read_index(2)
    node.settle()
    sent = node.hear(C, m.HeartbeatReply(2, 0))
    assert answers(node) == [(1, None), (2, None)]
    assert sent == [(B, m.ReadReply(2, 55, None))]
    node.hear(B, m.HeartbeatReply(2, 1))
    assert len(node.reads) == 2


def test_p50_a_leader_that_was_replaced_unheard_confirms_nothing() -> None:
    cluster = Cluster()
    old = cluster.elect(A)
    cluster.isolate(A)
    old.raft.read_index(1)
    cluster.settle()
    cluster.tick(9)
    assert (old.raft.role, old.reads) == (Role.LEADER, [])
    cluster.tick(20)
    cluster.write(cluster.until_leader(), b"x")
    assert answers(old) == [(1, None)]


def test_p51_after_a_restart_a_read_waits_for_what_the_quorum_knows_committed() -> None:
    cluster = Cluster()
    leader = cluster.elect(A)
    cluster.write(leader, b"1", b"2")
    cluster.restart(C)
    cluster[C].executes = False
    cluster.tick(1)
    cluster[C].raft.read_index(1)
    cluster.settle()
    ((_, index),) = answers(cluster[C])
    assert index == leader.raft.commit_index == 3


def test_p51_an_answer_never_names_less_than_was_committed_before_the_read() -> None:
    cluster = Cluster()
    leader = cluster.elect(A)
    for number in range(5):
        cluster.write(leader, b"%d" % number)
        before = leader.raft.commit_index
        cluster[B].raft.read_index(number)
        cluster.settle()
        index = cluster[B].reads[-1].index
        assert index is not None and index >= before


def test_whoever_does_not_lead_refuses_what_others_ask() -> None:
    node = Node(B)
    assert node.hear(C, m.ReadRequest(0, 5)) == [(C, m.ReadReply(0, 5, None))]


def test_reads_beyond_the_limit_are_refused_at_follower_and_leader() -> None:
    settings = Settings(reads_max=2)
    node = Node(B, settings=settings)
    node.hear(A, m.Heartbeat(1, 0, 0))
    for token in range(4):
        node.raft.read_index(token)
    assert len(of(m.ReadRequest, node.settle(), A)) == 2
    assert answers(node) == [(2, None), (3, None)]
    leader = Node(A, settings=settings)
    leader.lead()
    leader.acknowledge(B, 1)
    leader.raft.read_index(0)
    leader.raft.read_index(1)
    assert leader.hear(B, m.ReadRequest(1, 9))[-1] == (B, m.ReadReply(1, 9, None))
    leader.raft.read_index(2)
    leader.settle()
    assert answers(leader) == [(2, None)]


def test_reads_that_wait_for_a_round_count_towards_the_limit() -> None:
    node = Node(A, settings=Settings(reads_max=2))
    node.lead()
    for token in range(3):
        node.raft.read_index(token)
    node.settle()
    assert answers(node) == [(2, None)]


def test_reads_that_are_refused_together_are_all_told() -> None:
    node = Node(B, settings=Settings(reads_max=1))
    node.raft.step(A, m.Heartbeat(1, 0, 0))
    node.raft.read_index(1)
    node.raft.read_index(2)
    node.raft.campaign()
    node.settle()
    assert answers(node) == [(2, None), (1, None)]


def test_a_read_that_gets_no_answer_is_given_up_after_an_election_timeout() -> None:
    node = Node(B, draw=9)
    node.hear(A, m.Heartbeat(1, 0, 0))
    node.raft.read_index(1)
    node.ticks(5)
    node.raft.read_index(2)
    node.ticks(4)
    assert node.reads == []
    node.ticks(1)
    assert answers(node) == [(1, None)]
    node.ticks(5)
    assert answers(node) == [(1, None), (2, None)]


def test_a_refusal_by_the_leader_is_passed_on() -> None:
    node = Node(B)
    node.hear(A, m.Heartbeat(1, 0, 0))
    node.raft.read_index(1)
    (asked,) = of(m.ReadRequest, node.settle(), A)
    node.hear(A, m.ReadReply(1, asked.token, None))
    assert answers(node) == [(1, None)]


def test_rounds_begin_anew_with_each_term_of_leading() -> None:
    node = committed_leader()
    node.raft.read_index(1)
    node.settle()
    node.raft.abdicate()
    node.settle()
    node.lead()
    node.acknowledge(B, 2)
    assert of(m.Heartbeat, node.ticks(1), B)[-1].round == 0
    node.raft.read_index(2)
    assert of(m.Heartbeat, node.settle(), B)[-1].round == 1


def test_numbers_of_reads_begin_where_a_message_can_hold_them_for_ever() -> None:
    node = Node(B, draw=10**30)
    node.hear(A, m.Heartbeat(1, 0, 0))
    node.raft.read_index(7)
    (asked,) = of(m.ReadRequest, node.settle(), A)
    assert asked.token == 2**62 - 1
