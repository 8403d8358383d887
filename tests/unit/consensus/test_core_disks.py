"""The core's part of what disks and clients do: P42, P45 to P47, P52, P53."""

import pytest
from raft_cluster import FIVE, A, B, C, Cluster, Node, appended, made, of

from consensus import ProposalRefused, Role
from consensus import messages as m
from consensus.errors import LogBroken


def test_p42_while_a_write_has_not_landed_nothing_that_rests_on_it_leaves() -> None:
    """A write that failed never lands: the driver ends the node, and nobody was told anything."""
    node = Node(B, term=1)
    node.disk_works = False
    log = made(1, 1)
    node.hear(A, appended(log, term=1, previous=0))
    assert node.write_begins()
    for _ in range(50):
        sent = node.hear(A, m.Heartbeat(1, 0, 0)) + node.ticks(1)
        assert of(m.AppendReply, sent) == []
    assert node.raft.take_unwritten() is None
    node.boot()
    assert node.raft.last_index == 0


@pytest.mark.parametrize("lost", [True, False])
def test_p45_what_was_executed_anywhere_survives_all_nodes_losing_what_is_not_synced(
    lost: bool,
) -> None:
    cluster = Cluster(FIVE)
    leader = cluster.elect(A)
    cluster.write(leader, b"1", b"2")
    for node in cluster.nodes.values():
        node.disk_works = False
    leader.propose(b"3")
    cluster.settle()
    if not lost:
        for node in cluster.nodes.values():
            node.write_begins()
            node.write_lands(heard=False)
    for name in cluster.nodes:
        cluster.restart(name)
    cluster.tick(40)
    cluster.write(cluster.until_leader(), b"4")
    cluster.agree()
    for node in cluster.nodes.values():
        done = [data for data in node.executed if data]
        assert done == ([b"1", b"2", b"4"] if lost else [b"1", b"2", b"3", b"4"])


def test_p46_an_entry_that_is_read_from_another_place_ends_the_node() -> None:
    node = Node(A, log=made(1, 1, 1), term=1, commit=1)
    node.disk.entries[3] = node.disk.entries[2]
    with pytest.raises(LogBroken, match="^entry 3 is not in the store$"):
        node.raft.campaign()


def test_p47_a_leader_whose_disk_stalls_stops_leading_and_another_takes_over() -> None:
    cluster = Cluster()
    leader = cluster.elect(A)
    leader.disk_works = False
    cluster.tick(5)
    leader.raft.abdicate()
    cluster.settle()
    assert (leader.raft.role, leader.raft.term, leader.raft.vote) == (Role.FOLLOWER, 1, A)
    cluster.tick(30)
    other = cluster.until_leader()
    assert other is not leader
    cluster.write(other, b"x")
    assert cluster[B].executed[-1] == cluster[C].executed[-1] == b"x"


def test_p52_a_proposal_that_is_tried_again_is_another_entry() -> None:
    """The core knows no clients: what must happen once is the executing side's to tell apart."""
    cluster = Cluster()
    leader = cluster.elect(A)
    cluster.write(leader, b"x")
    cluster.isolate(A)
    cluster.tick(30)
    other = cluster.until_leader()
    cluster.write(other, b"x")
    assert other.executed.count(b"x") == 2


def test_p53_a_proposal_is_refused_or_its_fate_is_open() -> None:
    for committed in (True, False):
        cluster = Cluster()
        leader = cluster.elect(A)
        if not committed:
            cluster.isolate(A)
        index = leader.raft.propose(b"x")
        assert index == 2
        cluster.settle()
        leader.raft.abdicate()
        cluster.heal()
        cluster.tick(40)
        new = cluster.until_leader()
        cluster.write(new, b"y")
        assert (b"x" in new.executed) is (committed or new is leader)
    refused = Node(B)
    assert refused.raft.propose(b"x") == ProposalRefused("not-leader", None)
    assert refused.raft.last_index == 0
