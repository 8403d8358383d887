"""Where the log begins: compaction, offers, installed states (P33, P34, P37 to P41)."""

import pytest
from raft_cluster import THREE, A, B, C, Cluster, D, Node, appended, made, of, point

from consensus import (
    Configuration,
    EntryPoint,
    Flow,
    Logged,
    Raft,
    Role,
    Settings,
    SnapshotWanted,
    Unwritten,
)
from consensus import messages as m
from consensus.errors import LogBroken
from consensus.memory import MemoryStorage, UnsignedProposals
from consensus.types import NO_HASH, HardState

TEN = made(*[1] * 10)
JOINT = Configuration((A, B, C), (B, C, D))


def compacted_leader(*, length: int = 10, upto: int = 8) -> Node:
    """A leads term 2 with a log that begins after `upto`; B and C have answered nothing yet."""
    node = Node(A, log=TEN[:length], term=1, commit=length)
    node.raft.compact(upto)
    node.settle()
    node.lead()
    return node


def offered(node: Node, index: int) -> m.SnapshotOffer:
    place = node.disk.start
    assert place.index == index
    return m.SnapshotOffer(node.raft.term, place.index, place.term, place.hash)


# Compaction.


def test_compacting_moves_the_beginning_with_the_next_write() -> None:
    node = Node(A, log=TEN, term=1, commit=9)
    node.settle()
    node.raft.compact(6)
    assert (node.raft.compacted_index, node.raft.last_index) == (6, 10)
    unwritten = node.raft.take_unwritten()
    assert unwritten == Unwritten(None, point(TEN, 6), (), 10)
    node.disk.write(unwritten)
    node.raft.persisted()
    assert sorted(node.disk.entries) == [7, 8, 9, 10]
    assert node.raft.take_unwritten() is None
    assert [node.raft.term_at(index) for index in (5, 6, 7, 10, 11)] == [None, 1, 1, 1, None]
    node.boot()
    assert (node.raft.compacted_index, node.raft.last_index, node.applied) == (6, 10, 9)


def test_compacting_twice_or_backwards_changes_nothing() -> None:
    node = Node(A, log=TEN, term=1, commit=9)
    node.settle()
    node.raft.compact(6)
    node.settle()
    for index in (6, 3, 0):
        node.raft.compact(index)
        assert (node.raft.compacted_index, node.raft.take_unwritten()) == (6, None)


def test_only_what_is_executed_is_compacted() -> None:
    node = Node(A, log=TEN, term=1, commit=9, applied=5)
    with pytest.raises(AssertionError, match="^only what is executed is compacted$"):
        node.raft.compact(6)
    node.raft.compact(5)
    assert node.raft.compacted_index == 5


def test_what_is_not_durable_stays() -> None:
    node = Node(B, term=1)
    node.disk_works = False
    node.hear(A, appended(TEN, term=1, previous=0, last=4, commit=4))
    assert (node.raft.applied_index, node.raft.stable_index) == (4, 0)
    node.raft.compact(4)
    assert node.raft.compacted_index == 0
    node.disk_works = True
    node.settle()
    node.raft.compact(4)
    assert node.raft.compacted_index == 4


def test_a_compacted_entry_is_not_read_again_and_the_rest_is() -> None:
    node = Node(B, term=1)
    node.hear(A, appended(TEN, term=1, previous=0, commit=10))
    node.raft.compact(4)
    node.settle()
    with pytest.raises(LogBroken, match="^entry 4 is not in the store$"):
        node.raft.entry(4)
    assert node.raft.entry(5) == TEN[4]


def started(*, commit: int, applied: int) -> Raft:
    """A core over a log that begins after 6 and ends at 10."""
    entries = {logged.entry.index: logged for logged in TEN[6:]}
    return Raft(
        node_id=A,
        settings=Settings(),
        storage=MemoryStorage(HardState(1, None, commit), point(TEN, 6), entries, 10),
        configuration=THREE,
        applied=applied,
        proposals=UnsignedProposals(),
        random_ticks=lambda n: 0,
    )


def test_a_store_whose_state_is_older_than_its_log_does_not_start() -> None:
    with pytest.raises(LogBroken, match="^entries after 5 are to be executed, and are compacted$"):
        started(commit=7, applied=5)
    raft = started(commit=7, applied=6)
    assert (raft.applied_index, raft.commit_index, raft.stable_index) == (6, 7, 10)


def test_a_commit_index_outside_the_stored_log_does_not_start() -> None:
    for commit in (5, 11):
        with pytest.raises(LogBroken, match=f"^commit index {commit} is outside the stored log$"):
            started(commit=commit, applied=5)
    assert started(commit=10, applied=6).commit_index == 10
    assert started(commit=6, applied=8).commit_index == 8


def test_appends_from_before_a_followers_beginning_are_answered_with_its_commit() -> None:
    node = Node(B, log=TEN, term=1, commit=8)
    node.raft.compact(6)
    node.settle()
    held = m.AppendReply(1, 8, TEN[7].hash)
    assert node.hear(A, appended(TEN, term=1, previous=2, last=9)) == [(A, held)]
    assert node.hear(A, appended(TEN, term=1, previous=6, last=9)) == [
        (A, m.AppendReply(1, 9, TEN[8].hash))
    ]


# Offers.


def test_a_peer_whose_next_entry_is_compacted_is_offered_the_beginning_once() -> None:
    node = compacted_leader()
    sent = node.hear(B, m.AppendRefused(2, 10, 3, 1, False))
    assert of(m.Append, sent, B)[-1].previous_index == 8
    sent = node.hear(B, m.AppendRefused(2, 8, 3, 1, False))
    assert sent == [(B, offered(node, 8))]
    progress = node.raft.progress(B)
    assert progress is not None and (progress.flow, progress.offered) == (Flow.SNAPSHOT, 8)
    assert node.hear(B, m.HeartbeatReply(2, 0)) == []
    node.propose(b"x")
    assert of(m.Append, node.settle(), B) == []
    assert node.hear(B, m.AppendRefused(2, 8, 3, 1, False)) == []


def behind_peer(node: Node) -> None:
    node.hear(B, m.AppendRefused(2, 10, 3, 1, False), m.AppendRefused(2, 8, 3, 1, False))


def test_an_offer_is_sent_again_after_an_election_timeout_and_on_a_new_connection() -> None:
    node = compacted_leader()
    behind_peer(node)
    offers = []
    for tick in range(1, 31):
        sent = node.ticks(1)
        node.hear(C, m.HeartbeatReply(2, 0))
        offers += [tick] * len(of(m.SnapshotOffer, sent, B))
    assert offers == [10, 20, 30]
    node.raft.reconnected(B)
    assert node.settle() == [(B, offered(node, 8))]


def test_a_peer_that_arrives_at_the_beginning_is_fed_on_from_there() -> None:
    node = compacted_leader()
    behind_peer(node)
    (append,) = of(m.Append, node.acknowledge_at(B, 8), B)
    progress = node.raft.progress(B)
    assert progress is not None and (progress.flow, progress.match) == (Flow.REPLICATE, 8)
    assert (append.previous_index, len(append.entries)) == (8, 3)


def test_a_peer_that_arrives_further_on_is_fed_from_there() -> None:
    node = compacted_leader()
    behind_peer(node)
    (append,) = of(m.Append, node.acknowledge(B, 10), B)
    assert append.previous_index == 10


def test_p37_the_beginning_moves_on_while_a_peer_fetches_the_old_one() -> None:
    node = compacted_leader()
    behind_peer(node)
    node.raft.compact(9)
    node.settle()
    assert node.hear(B, m.AppendReply(2, 5, TEN[4].hash)) == []
    assert node.hear(B, m.AppendReply(2, 8, TEN[7].hash)) == [(B, offered(node, 9))]
    progress = node.raft.progress(B)
    assert progress is not None and (progress.flow, progress.offered) == (Flow.SNAPSHOT, 9)
    assert node.hear(B, m.AppendReply(2, 8, TEN[7].hash)) == []
    node.acknowledge_at(B, 9)
    assert progress.flow is Flow.REPLICATE


def test_an_ack_from_before_the_beginning_by_a_peer_that_is_fed_changes_nothing() -> None:
    node = compacted_leader()
    node.acknowledge(B, 10)
    progress = node.raft.progress(B)
    assert progress is not None and progress.flow is Flow.REPLICATE
    assert node.hear(B, m.AppendReply(2, 7, TEN[6].hash)) == []
    assert (progress.flow, progress.match) == (Flow.REPLICATE, 10)


def test_an_old_peer_gets_no_offer_and_heartbeats_all_the_same() -> None:
    node = compacted_leader()
    node.raft.peer_version(B, 1)
    behind_peer(node)
    node.ticks(5)
    node.hear(C, m.HeartbeatReply(2, 0))
    sent = node.ticks(6)
    assert (len(of(m.Heartbeat, sent, B)), of(m.SnapshotOffer, sent)) == (6, [])


def test_a_follower_asks_its_driver_for_a_state_it_lacks() -> None:
    node = Node(B, log=TEN[:3], term=1)
    offer = m.SnapshotOffer(2, 8, 1, TEN[7].hash)
    assert node.hear(A, offer) == []
    assert node.wanted == SnapshotWanted(A, point(TEN, 8))
    assert (node.raft.leader, node.raft.term, node.raft.commit_index) == (A, 2, 0)
    assert node.raft.ready().snapshot is None
    node.wanted = None
    node.hear(A, offer)
    assert node.wanted == SnapshotWanted(A, point(TEN, 8))


def test_p38_an_offer_of_what_is_committed_is_answered_with_where_the_node_is() -> None:
    node = Node(B, log=TEN, term=2, commit=8)
    for index in (3, 8):
        offer = m.SnapshotOffer(2, index, 1, TEN[index - 1].hash)
        assert node.hear(A, offer) == [(A, m.AppendReply(2, 8, TEN[7].hash))]
    assert node.hear(A, m.SnapshotOffer(2, 8, 1, NO_HASH)) == [
        (A, m.AppendReply(2, 8, TEN[7].hash))
    ]
    assert node.wanted is None


def test_an_offer_of_what_the_log_holds_commits_it() -> None:
    node = Node(B, log=TEN, term=2, commit=3)
    assert node.hear(A, m.SnapshotOffer(2, 8, 1, TEN[7].hash)) == [
        (A, m.AppendReply(2, 8, TEN[7].hash))
    ]
    assert (node.wanted, node.raft.commit_index, node.applied) == (None, 8, 8)


def test_an_offer_of_another_entry_than_the_log_holds_is_wanted() -> None:
    node = Node(B, log=TEN, term=2, commit=3)
    assert node.hear(A, m.SnapshotOffer(2, 8, 2, TEN[7].hash)) == []
    assert node.wanted is not None and node.raft.commit_index == 3


# Installing.


def source() -> Node:
    return Node(A, log=TEN, term=1, commit=9)


def test_a_state_replaces_a_log_that_does_not_reach_it() -> None:
    node = Node(B, log=TEN[:3], term=1, vote=C, commit=2)
    node.hear(A, m.Heartbeat(2, 0, 0))
    node.disk_works = False
    assert node.load(source(), 8)
    assert node.settle() == []
    assert node.write_begins()
    assert node.flying[0] == Unwritten(HardState(2, None, 8), point(TEN, 8), (), 8)
    node.write_lands()
    assert node.settle() == [(A, m.AppendReply(2, 8, TEN[7].hash))]
    raft = node.raft
    assert (raft.commit_index, raft.applied_index, raft.last_index) == (8, 8, 8)
    assert (raft.compacted_index, raft.stable_index) == (8, 8)
    node.disk_works = True
    assert node.hear(A, appended(TEN, term=2, previous=8, commit=10)) == [
        (A, m.AppendReply(2, 10, TEN[9].hash))
    ]
    assert node.executed == [logged.entry.data for logged in TEN]


def test_a_state_whose_place_the_log_holds_keeps_what_follows() -> None:
    node = Node(B, log=TEN, term=1, commit=2)
    node.hear(A, m.Heartbeat(1, 0, 0))
    assert node.load(source(), 8)
    raft = node.raft
    assert (raft.commit_index, raft.applied_index, raft.last_index) == (8, 8, 10)
    assert raft.compacted_index == 0
    assert node.settle() == [(A, m.AppendReply(1, 8, TEN[7].hash))]
    assert node.executed == [logged.entry.data for logged in TEN[:8]]


@pytest.mark.parametrize("length", [3, 8, 10])
def test_p33_a_state_replaces_a_log_with_other_entries_whole(length: int) -> None:
    other = made(*[1, 1, *[2] * 8], data="other")
    node = Node(B, log=other[:length], term=2)
    assert node.load(source(), 8)
    node.settle()
    assert (node.raft.last_index, node.disk.last, node.disk.entries) == (8, 8, {})
    assert node.disk.start == point(TEN, 8)


def test_p33_the_configuration_is_the_states_and_not_that_of_any_entry_left_behind() -> None:
    phantom = Configuration((A, B, C), (B, C, D))
    node = Node(B, log=[*TEN[:2], *made(2, data="step", start=point(TEN, 2))], term=2, commit=1)
    node.steps = {b"step3@2": phantom}
    taken = source()
    taken.state.configurations[7] = Configuration((A, B, C), (), (D,))
    assert node.load(taken, 8)
    assert node.raft.configuration == Configuration((A, B, C), (), (D,))
    node.raft.campaign()
    assert {to for to, _ in node.settle()} == {A, C}


def test_p33_a_state_may_put_any_configuration_in_force_also_at_a_leader() -> None:
    node = Node(A, log=TEN, term=1, commit=4)
    node.executes = False
    node.lead()
    for peer in (B, C):
        node.acknowledge(peer, 11)
    assert (node.raft.commit_index, node.raft.applied_index) == (11, 4)
    assert node.raft.install(point(TEN, 8), Configuration((A, B, D)))
    assert node.raft.progress(D) is not None and node.raft.progress(C) is None
    assert node.raft.install(point(TEN, 9), Configuration((B, C, D)))
    assert node.raft.transferee == B


def test_p33_a_leader_that_a_state_retires_and_that_can_tell_nobody_steps_down() -> None:
    node = Node(A, log=TEN, term=1, commit=4)
    node.executes = False
    node.lead()
    for peer in (B, C):
        node.raft.peer_version(peer, 1)
        node.acknowledge(peer, 11)
    assert node.raft.install(point(TEN, 8), Configuration((B, C)))
    assert node.raft.role is Role.FOLLOWER


def test_p34_a_step_that_is_not_executed_is_in_no_state() -> None:
    cluster = Cluster(Configuration((A, B, C), (), (D,)))
    cluster.steps(enter=JOINT)
    leader = cluster.elect(A)
    cluster.write(leader, b"1", b"2")
    cluster.isolate(A)
    leader.propose(b"enter", changes_configuration=True)
    cluster.settle()
    leader.raft.compact(leader.raft.applied_index)
    cluster.settle()
    assert leader.state.configurations[-1] == Configuration((A, B, C), (), (D,))
    fresh = Node(D, THREE)
    assert fresh.load(leader, 3)
    assert fresh.raft.configuration == Configuration((A, B, C), (), (D,))


@pytest.mark.parametrize("index", [1, 4, 5])
def test_p38_a_state_that_is_not_newer_changes_nothing(index: int) -> None:
    node = Node(B, log=TEN[:6], term=1, commit=5)
    node.hear(A, m.Heartbeat(1, 0, 0))
    assert not node.raft.install(point(TEN, index), JOINT)
    raft = node.raft
    assert (raft.commit_index, raft.applied_index, raft.configuration) == (5, 5, THREE)
    assert (node.settle(), node.raft.take_unwritten()) == ([], None)


def test_p38_a_state_below_commit_counts_as_executed_and_moves_nothing_back() -> None:
    node = Node(B, log=TEN, term=1, commit=9, applied=2)
    node.executes = False
    node.hear(A, m.Heartbeat(1, 0, 0))
    assert node.load(source(), 6)
    raft = node.raft
    assert (raft.commit_index, raft.applied_index, raft.last_index) == (9, 6, 10)
    assert raft.compacted_index == 0
    assert node.settle() == [(A, m.AppendReply(1, 6, TEN[5].hash))]
    node.executes = True
    node.settle()
    assert node.executed == [logged.entry.data for logged in TEN[:9]]


def test_a_state_at_the_commit_index_leaves_a_leader_leading() -> None:
    node = Node(A, log=TEN, term=1, commit=4)
    node.executes = False
    node.lead()
    node.acknowledge(B, 11)
    assert node.raft.install(point(node_log(node), 11), THREE)
    assert (node.raft.role, node.raft.applied_index) == (Role.LEADER, 11)


def node_log(node: Node) -> list[Logged]:
    return [node.raft.entry(index) for index in range(1, node.raft.last_index + 1)]


def test_what_was_handed_out_before_is_not_handed_out_again() -> None:
    node = Node(B, log=TEN, term=1, commit=9, applied=2)
    handed = node.raft.ready().committed
    assert [logged.entry.index for logged in handed] == [3, 4, 5, 6, 7, 8, 9]
    assert node.raft.install(point(TEN, 6), THREE)
    assert node.raft.ready().committed == ()
    node.raft.applied_to(9)
    assert node.raft.applied_index == 9


def test_a_state_that_contradicts_a_committed_entry_is_a_bug_somewhere() -> None:
    node = Node(B, log=TEN, term=1, commit=9, applied=2)
    with pytest.raises(AssertionError, match="^two committed entries for one index$"):
        node.raft.install(EntryPoint(6, 1, NO_HASH), THREE)


def test_p39_term_and_vote_are_not_the_states() -> None:
    node = Node(B, term=7, vote=C)
    assert node.load(source(), 8)
    node.settle()
    node.boot()
    assert (node.raft.term, node.raft.vote, node.raft.commit_index) == (7, C, 8)
    assert node.hear(A, m.VoteRequest(7, 99, 7, 0)) == [(A, m.VoteReply(7, False))]


@pytest.mark.parametrize("role", [Role.PRE_CANDIDATE, Role.CANDIDATE, Role.LEADER])
def test_whoever_gets_a_state_above_its_commit_follows(role: Role) -> None:
    node = Node(B, term=1)
    node.raft.campaign()
    node.settle()
    if role is not Role.PRE_CANDIDATE:
        node.hear(A, m.PreVoteReply(2, True))
    if role is Role.LEADER:
        node.hear(A, m.VoteReply(2, True))
    assert node.raft.role is role
    vote = node.raft.vote
    assert node.load(source(), 8)
    assert (node.raft.role, node.raft.vote, node.raft.leader) == (Role.FOLLOWER, vote, None)
    assert of(m.AppendReply, node.settle()) == []


# P40: crashes.


@pytest.mark.parametrize("crash", ["before the write", "after the write", "before it is heard"])
def test_p40_every_crash_point_of_an_installation_can_be_started_from(crash: str) -> None:
    node = Node(B, log=TEN[:3], term=2, vote=B, commit=2)
    node.disk_works = False
    node.load(source(), 6)
    node.write_begins()
    node.write_lands(heard=crash != "before it is heard")
    if crash != "before it is heard":
        node.load(source(), 8)
        node.write_begins()
        if crash == "after the write":
            node.write_lands()
    node.boot()
    expected = 8 if crash == "after the write" else 6
    raft = node.raft
    assert (raft.applied_index, raft.commit_index, raft.compacted_index) == (expected,) * 3
    assert node.applied == expected
    assert (raft.term, raft.vote) == (2, B)
    node.disk_works = True
    node.hear(A, appended(TEN, term=2, previous=expected, commit=10))
    assert node.executed == [logged.entry.data for logged in TEN]


def test_p40_a_write_that_was_under_way_does_not_make_the_new_log_durable() -> None:
    node = Node(B, term=1)
    node.disk_works = False
    node.hear(A, appended(TEN, term=1, previous=0, last=5))
    node.write_begins()
    node.load(source(), 8)
    assert node.raft.stable_index == 0
    node.write_lands()
    assert (node.raft.stable_index, node.disk.last) == (0, 5)
    assert [reply.index for reply in of(m.AppendReply, node.settle())] == [5]
    assert node.hear(A, appended(TEN, term=1, previous=8, last=9)) == []
    node.write_begins()
    assert node.raft.stable_index == 0
    node.write_lands()
    assert (node.raft.stable_index, node.disk.last, sorted(node.disk.entries)) == (9, 9, [9])
    assert [reply.index for reply in of(m.AppendReply, node.settle())] == [8, 9]


# P37, P41 and whole clusters.


def slow_cluster() -> Cluster:
    """C was away while the others wrote twelve entries and compacted ten."""
    cluster = Cluster()
    leader = cluster.elect(A)
    cluster.isolate(C)
    cluster.write(leader, *[b"%d" % number for number in range(11)])
    for name in (A, B):
        cluster[name].raft.compact(10)
    cluster.settle()
    cluster.heal()
    return cluster


def test_a_node_far_behind_takes_a_state_and_then_entries() -> None:
    cluster = slow_cluster()
    wanted = cluster[C].wanted
    assert wanted is not None and (wanted.leader, wanted.point.index) == (A, 10)
    assert cluster[C].load(cluster[A], 10)
    cluster.settle()
    assert cluster[C].executed == cluster[A].executed
    assert cluster[C].raft.last_index == 12
    progress = cluster[A].raft.progress(C)
    assert progress is not None and progress.flow is Flow.REPLICATE


def test_p37_a_restart_in_the_middle_of_a_transfer_begins_it_again() -> None:
    cluster = slow_cluster()
    cluster.restart(C)
    assert cluster[C].wanted is None
    cluster[A].raft.reconnected(C)
    cluster.settle()
    assert cluster[C].wanted is not None
    assert cluster[C].load(cluster[B], 10)
    cluster.settle()
    assert cluster[C].executed == cluster[A].executed


def test_p37_the_leader_compacts_on_while_states_are_fetched_and_they_still_meet() -> None:
    cluster = slow_cluster()
    leader = cluster[A]
    for _ in range(3):
        wanted = cluster[C].wanted
        assert wanted is not None
        place = wanted.point.index
        cluster.write(leader, b"more")
        leader.raft.compact(leader.raft.applied_index)
        cluster.settle()
        assert cluster[C].load(leader, place)
        cluster.settle()
    assert cluster[C].wanted is not None
    cluster[C].load(leader, cluster[C].wanted.point.index)
    cluster.settle()
    assert cluster[C].executed == leader.executed


def test_p41_an_offer_alone_moves_nothing() -> None:
    node = Node(B, log=TEN[:3], term=1, commit=2)
    before = (node.raft.last_index, node.raft.configuration)
    node.hear(A, m.SnapshotOffer(1, 1_000, 1, bytes(32)))
    node.ticks(3)
    assert (node.raft.last_index, node.raft.configuration) == before
    assert (node.raft.commit_index, node.applied, node.disk.start.index) == (2, 2, 0)


def test_a_new_leader_offers_too() -> None:
    cluster = slow_cluster()
    cluster[C].wanted = None
    assert cluster[A].raft.transfer(B) is None
    cluster.settle()
    assert cluster[B].raft.role is Role.LEADER
    cluster.tick(3)
    wanted = cluster[C].wanted
    assert wanted is not None and wanted.leader == B


def test_hints_from_before_the_beginning_end_at_the_beginning() -> None:
    node = Node(A, log=TEN, term=1, commit=10)
    node.raft.compact(7)
    node.settle()
    node.lead()
    (probe,) = of(m.Append, node.hear(B, m.AppendRefused(2, 10, 9, 0, False)), B)
    assert probe.previous_index == 7
