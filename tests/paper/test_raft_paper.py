"""One test for each rule of the Raft paper (Ongaro and Ousterhout 2014, extended version).

Sections and figure 2 give the order. Where the core goes further than the paper, the thesis' rule
is in test_raft_thesis.py.
"""

import pytest
from raft_cluster import FIVE, ONE, THREE, A, B, C, Cluster, D, Node, appended, made, of, point

from consensus import Configuration, Flow, ProposalRefused, Role, Settings
from consensus import messages as m

PLAIN = Settings(pre_vote=False, check_quorum=False)

LOG = made(1, 1, 2, 3)


def candidate(**options) -> tuple[Node, list]:
    """A that has just timed out as the paper has it, and what it sent."""
    node = Node(A, settings=PLAIN, **options)
    return node, node.ticks(10)


# Figure 2: state.


def test_figure_2_current_term_vote_and_log_are_durable_before_any_answer() -> None:
    node = Node(B, settings=PLAIN)
    node.disk_works = False
    assert node.hear(A, m.VoteRequest(1, 0, 0, 0)) == []
    node.disk_works = True
    assert len(node.settle()) == 1
    node.disk_works = False
    assert node.hear(A, appended(LOG, term=3, previous=0)) == []
    node.disk_works = True
    assert len(node.settle()) == 1
    node.boot()
    assert (node.raft.term, node.raft.vote, node.raft.last_index) == (3, None, 4)


def test_figure_2_commit_and_applied_index_only_rise() -> None:
    node = Node(B, term=3)
    seen = []
    for commit, last in ((1, 2), (0, 2), (3, 4), (2, 4), (9, 4)):
        node.hear(A, appended(LOG, term=3, previous=0, last=last, commit=commit))
        seen.append((node.raft.commit_index, node.raft.applied_index))
    assert seen == [(1, 1), (1, 1), (3, 3), (3, 3), (4, 4)]


def test_figure_2_a_new_leader_sets_next_index_to_its_end_and_match_index_to_zero() -> None:
    node = Node(A, log=LOG, term=3)
    node.proposes = False
    node.lead()
    for peer in (B, C):
        progress = node.raft.progress(peer)
        assert progress is not None and (progress.next, progress.match) == (5, 0)


# Figure 2: AppendEntries.


def test_figure_2_append_entries_1_an_older_term_is_refused() -> None:
    node = Node(B, term=5)
    assert node.hear(A, appended(LOG, term=3, previous=0)) == [(A, m.HeartbeatReply(5, 0))]
    assert node.raft.last_index == 0


def test_figure_2_append_entries_2_a_missing_previous_entry_is_refused() -> None:
    node = Node(B, log=made(1, 1), term=3)
    for previous in (3, 4):
        (refused,) = of(m.AppendRefused, node.hear(A, appended(LOG, term=3, previous=previous)))
        assert refused.previous_index == previous
    other = Node(B, log=made(1, 1, 1), term=3)
    assert of(m.AppendRefused, other.hear(A, appended(LOG, term=3, previous=3)))


def test_figure_2_append_entries_3_a_conflicting_entry_goes_with_all_that_follow() -> None:
    node = Node(B, log=made(1, 1, 1, 1, 1, 1), term=3)
    node.hear(A, appended(LOG, term=3, previous=1, last=3))
    assert [node.raft.term_at(index) for index in (2, 3, 4)] == [1, 2, None]


def test_figure_2_append_entries_4_new_entries_are_appended() -> None:
    node = Node(B, log=LOG[:1], term=3)
    node.hear(A, appended(LOG, term=3, previous=1))
    assert [node.raft.entry(index) for index in (1, 2, 3, 4)] == LOG


def test_figure_2_append_entries_5_commit_is_the_lesser_of_the_leaders_and_the_last_new_entry() -> (
    None
):
    node = Node(B, term=3)
    node.hear(A, appended(LOG, term=3, previous=0, last=2, commit=4))
    assert node.raft.commit_index == 2
    node.hear(A, appended(LOG, term=3, previous=2, commit=3))
    assert node.raft.commit_index == 3


# Figure 2: RequestVote.


def test_figure_2_request_vote_1_an_older_term_is_refused() -> None:
    node = Node(B, settings=PLAIN, term=5)
    assert node.hear(A, m.VoteRequest(4, 9, 9, 0)) == [(A, m.VoteReply(5, False))]


@pytest.mark.parametrize(
    ("vote", "last", "last_term", "granted"),
    [
        (None, 4, 3, True),
        (A, 4, 3, True),
        (C, 4, 3, False),
        (None, 3, 3, False),
        (None, 9, 2, False),
        (None, 1, 4, True),
    ],
)
def test_figure_2_request_vote_2_one_vote_for_a_log_at_least_as_up_to_date(
    vote: bytes | None, last: int, last_term: int, granted: bool
) -> None:
    node = Node(B, settings=PLAIN, log=LOG, term=5, vote=vote)
    assert node.hear(A, m.VoteRequest(5, last, last_term, 0)) == [(A, m.VoteReply(5, granted))]


# Figure 2: rules for servers.


def test_figure_2_all_servers_execute_what_is_committed_in_order() -> None:
    node = Node(B, term=3)
    node.hear(A, appended(LOG, term=3, previous=0, commit=4))
    assert node.executed == [b"1@1", b"2@1", b"3@2", b"4@3"]


@pytest.mark.parametrize("role", [Role.FOLLOWER, Role.CANDIDATE, Role.LEADER])
@pytest.mark.parametrize(
    "message", [m.VoteRequest(9, 0, 0, 0), m.VoteReply(9, False), m.AppendReply(9, 0, bytes(32))]
)
def test_figure_2_all_servers_follow_a_higher_term(role: Role, message: m.AnyMessage) -> None:
    node = Node(A, settings=PLAIN)
    if role is not Role.FOLLOWER:
        node.raft.campaign()
        node.settle()
    if role is Role.LEADER:
        node.hear(B, m.VoteReply(1, True))
    assert node.raft.role is role
    node.hear(C, message)
    assert (node.raft.role, node.raft.term) == (Role.FOLLOWER, 9)


def test_figure_2_followers_answer_candidates_and_leaders() -> None:
    node = Node(B, settings=PLAIN)
    assert of(m.VoteReply, node.hear(A, m.VoteRequest(1, 0, 0, 0)))
    assert of(m.AppendReply, node.hear(A, m.Append(1, 0, 0, (), 0)))
    assert of(m.HeartbeatReply, node.hear(A, m.Heartbeat(1, 0, 0)))


def test_figure_2_followers_become_candidates_without_a_leader_or_a_granted_vote() -> None:
    node, sent = candidate()
    assert (node.raft.role, len(of(m.VoteRequest, sent))) == (Role.CANDIDATE, 2)
    for word in (m.Heartbeat(1, 0, 0), m.VoteRequest(1, 0, 0, 0)):
        other = Node(B, settings=PLAIN)
        other.ticks(9)
        other.hear(A, word)
        other.ticks(9)
        assert other.raft.role is Role.FOLLOWER


def test_figure_2_candidates_raise_the_term_vote_for_themselves_and_ask_everyone() -> None:
    node, sent = candidate(log=LOG, term=3)
    assert (node.raft.term, node.raft.vote) == (4, A)
    assert sent == [(B, m.VoteRequest(4, 4, 3, 0)), (C, m.VoteRequest(4, 4, 3, 0))]


def test_figure_2_candidates_lead_with_a_majority_of_votes() -> None:
    node = Node(A, FIVE, settings=PLAIN)
    node.ticks(10)
    node.hear(B, m.VoteReply(1, True))
    assert node.raft.role is Role.CANDIDATE
    node.hear(C, m.VoteReply(1, True))
    assert node.raft.role is Role.LEADER


def test_figure_2_candidates_follow_the_leader_of_their_term() -> None:
    node, _ = candidate()
    node.hear(B, m.Append(1, 0, 0, (), 0))
    assert (node.raft.role, node.raft.leader) == (Role.FOLLOWER, B)


def test_figure_2_candidates_begin_another_election_after_a_timeout() -> None:
    node, _ = candidate()
    sent = node.ticks(10)
    assert (node.raft.role, node.raft.term) == (Role.CANDIDATE, 2)
    assert of(m.VoteRequest, sent, B) == [m.VoteRequest(2, 0, 0, 0)]


def test_figure_2_leaders_send_heartbeats_at_once_and_while_idle() -> None:
    node = Node(A, settings=PLAIN)
    assert len(of(m.Heartbeat, node.lead(), B)) == 1
    assert [len(of(m.Heartbeat, node.ticks(1), B)) for _ in range(5)] == [1] * 5


def test_figure_2_leaders_append_what_clients_say_and_answer_once_it_is_executed() -> None:
    node = Node(A)
    node.lead()
    index = node.propose(b"x")
    node.settle()
    node.acknowledge(B, index)
    assert node.executed == [b"", b"x"]


def test_figure_2_leaders_send_what_follows_next_index_and_move_it_by_the_answer() -> None:
    node = Node(A, log=LOG, term=3)
    node.lead()
    progress = node.raft.progress(B)
    assert progress is not None
    (append,) = of(m.Append, node.hear(B, m.AppendRefused(4, 4, 2, 1, False)), B)
    assert (append.previous_index, len(append.entries), progress.next) == (2, 3, 3)
    node.acknowledge(B, 5)
    assert (progress.match, progress.next) == (5, 6)


def test_figure_2_leaders_commit_what_a_majority_holds_of_their_own_term() -> None:
    node = Node(A, FIVE, log=LOG, term=3)
    node.lead()
    for peer in (B, C):
        node.acknowledge(peer, 4)
    assert node.raft.commit_index == 0
    node.acknowledge(B, 5)
    assert node.raft.commit_index == 0
    node.acknowledge(C, 5)
    assert node.raft.commit_index == 5


# Figure 3: what is always true.


def test_figure_3_election_safety_one_leader_a_term() -> None:
    cluster = Cluster(FIVE, settings=PLAIN)
    for node in cluster.nodes.values():
        node.raft.campaign()
    cluster.settle()
    for _ in range(8):
        cluster.tick(7)
        cluster.nodes[B].raft.campaign()
        cluster.nodes[D].raft.campaign()
        cluster.settle()
    assert cluster.leaders and len(cluster.leaders) == len(set(cluster.leaders))


def test_figure_3_leader_append_only() -> None:
    node = Node(A, log=LOG, term=3)
    node.lead()
    other = made(1, 4, 4, 4, 4, by=lambda term: B)
    for message in (
        appended(other, term=4, previous=0),
        m.AppendRefused(4, 4, 0, 0, False),
        m.SnapshotOffer(4, 9, 4, bytes(32)),
    ):
        node.hear(B, message)
    assert [node.raft.entry(index) for index in (1, 2, 3, 4)] == LOG
    assert node.raft.last_index == 5


def test_figure_3_log_matching_one_entry_equal_means_all_before_are_equal() -> None:
    cluster = Cluster(FIVE)
    other = [*LOG[:2], *made(4, 4, data="x", start=point(LOG, 2))]
    cluster.nodes[B] = Node(B, FIVE, log=other, term=4, draw=3)
    cluster.nodes[C] = Node(C, FIVE, log=LOG, term=4, draw=5)
    leader = cluster.elect(B)
    cluster.write(leader, b"x")
    end = leader.raft.last_index
    for node in cluster.nodes.values():
        for index in range(1, end + 1):
            assert node.raft.entry(index) == leader.raft.entry(index)


def test_figure_3_leader_completeness_a_committed_entry_is_in_every_later_leaders_log() -> None:
    cluster = Cluster(FIVE)
    leader = cluster.elect(A)
    cluster.isolate(D, b"e")
    cluster.write(leader, b"kept")
    cluster.cut.clear()
    cluster.isolate(A)
    for _ in range(3):
        cluster.tick(25)
        new = cluster.until_leader()
        assert b"kept" in new.executed


def test_figure_3_state_machine_safety_nobody_executes_another_entry_at_an_index() -> None:
    cluster = Cluster(FIVE)
    for round_number, alone in enumerate((A, B, C, A, D)):
        leader = cluster.until_leader()
        cluster.write(leader, b"%d" % round_number)
        cluster.isolate(alone)
        cluster.tick(25)
        cluster.heal()
    cluster.agree()


# §5.1 and §5.2.


def test_5_1_an_answer_from_an_older_term_is_ignored() -> None:
    node = Node(A, term=4)
    node.lead()
    index = node.raft.last_index
    node.hear(B, m.AppendReply(4, index, node.raft.entry(index).hash))
    assert node.raft.commit_index == 0


def test_5_2_servers_start_as_followers() -> None:
    for term, vote in ((0, None), (7, A), (7, B)):
        node = Node(A, term=term, vote=vote)
        assert (node.raft.role, node.raft.term, node.raft.vote) == (Role.FOLLOWER, term, vote)


def test_5_2_election_timeouts_are_drawn_anew_each_time() -> None:
    node = Node(A, settings=PLAIN)
    draws = iter([3, 7, 0, 9])
    node.raft._random_ticks = lambda n: next(draws)
    node.ticks(10)
    assert (node.raft.role, node.raft.term) == (Role.CANDIDATE, 1)
    waits = []
    for _ in range(1):
        term, ticks = node.raft.term, 0
        while node.raft.term == term:
            node.ticks(1)
            ticks += 1
        waits.append(ticks)
    assert waits == [17]


def test_5_2_split_votes_are_resolved_by_chance() -> None:
    cluster = Cluster(FIVE, settings=PLAIN)
    for node in cluster.nodes.values():
        node.raft.campaign()
    cluster.settle()
    assert not cluster.leaders
    assert cluster.until_leader(40).raft.term >= 2


# §5.3.


def test_5_3_a_leader_repeats_appends_until_all_followers_have_every_entry() -> None:
    cluster = Cluster()
    leader = cluster.elect(A)
    cluster.cut.add((A, C))
    cluster.write(leader, b"1", b"2")
    assert cluster[C].raft.last_index == 1
    cluster.cut.clear()
    cluster.tick(8)
    assert cluster[C].executed == [b"", b"1", b"2"]


def test_5_3_a_commit_takes_all_entries_before_it_along() -> None:
    node = Node(A, log=LOG, term=3)
    node.lead()
    node.acknowledge(C, 5)
    assert node.executed == [b"1@1", b"2@1", b"3@2", b"4@3", b""]


@pytest.mark.parametrize(
    "terms",
    [
        (1, 1, 1, 4, 4, 5, 5, 6, 6),
        (1, 1, 1, 4),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        (1, 1, 1, 4, 4, 4, 4),
        (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    ],
    ids="abcdef",
)
def test_5_3_figure_7_a_leader_brings_every_log_to_its_own(terms: tuple[int, ...]) -> None:
    leads = made(1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
    cluster = Cluster()
    cluster.nodes[A] = Node(A, THREE, log=leads, term=7)
    cluster.nodes[B] = Node(B, THREE, log=leads[:3], term=7, draw=3)
    cluster.nodes[C] = Node(C, THREE, log=made(*terms), term=7, draw=5)
    leader = cluster.elect(A)
    cluster.tick(2)
    for node in cluster.nodes.values():
        assert node.raft.last_index == 11
        assert [node.raft.entry(i) for i in range(1, 11)] == leads
    assert leader.raft.commit_index == 11


# §5.4 and §5.5.


def test_5_4_1_no_candidate_without_all_committed_entries_wins() -> None:
    cluster = Cluster(settings=PLAIN)
    leader = cluster.elect(A)
    cluster.isolate(C)
    cluster.write(leader, b"x")
    cluster.heal()
    cluster.nodes[C].raft.campaign()
    cluster.queue.clear()
    for voter in (A, B):
        node = cluster[voter]
        sent = node.hear(C, m.VoteRequest(node.raft.term + 1, 1, 1, 0))
        assert [reply.granted for reply in of(m.VoteReply, sent)] == [False]


def test_5_4_2_entries_of_earlier_terms_are_committed_by_a_later_one_only() -> None:
    node = Node(A, log=made(2), term=2)
    node.proposes = False
    node.lead()
    node.acknowledge(B, 1)
    node.acknowledge(C, 1)
    assert node.raft.commit_index == 0
    node.propose(b"")
    node.settle()
    node.acknowledge(B, 2)
    assert node.raft.commit_index == 2


def test_5_5_requests_may_be_repeated() -> None:
    node = Node(B, term=3)
    append = appended(LOG, term=3, previous=0, commit=2)
    first = node.hear(A, append)
    assert node.hear(A, append) == first
    assert (node.raft.last_index, node.executed) == (4, [b"1@1", b"2@1"])


def test_5_5_a_crashed_follower_catches_up_after_its_restart() -> None:
    cluster = Cluster()
    leader = cluster.elect(A)
    cluster.down.add(B)
    cluster.write(leader, b"1", b"2")
    cluster.restart(B)
    cluster.tick(8)
    assert cluster[B].executed == [b"", b"1", b"2"]


# §6 to §8.


def test_6_a_change_is_joint_and_needs_both_majorities() -> None:
    joint = Configuration((A, B, C), (C, D, b"e"))
    node = Node(A, joint)
    node.lead()
    for peer, committed in ((B, 0), (D, 0), (C, 1)):
        node.acknowledge(peer, 1)
        assert node.raft.commit_index == committed, peer


def test_6_new_servers_join_without_a_vote() -> None:
    cluster = Cluster(Configuration((A, B, C), (), (D,)))
    leader = cluster.elect(A)
    cluster.write(leader, b"x")
    assert cluster[D].executed == [b"", b"x"]
    assert of(m.PreVoteRequest, cluster[D].ticks(100)) == []


def test_6_a_leader_outside_the_new_configuration_steps_down_once_that_is_committed() -> None:
    cluster = Cluster(Configuration((A, B, C)))
    cluster.steps(enter=Configuration((A, B, C), (B, C)), leave=Configuration((B, C), (), (A,)))
    leader = cluster.elect(A)
    cluster.change(leader, "enter")
    assert leader.raft.role is Role.LEADER
    cluster.change(leader, "leave")
    cluster.tick(3)
    assert leader.raft.role is Role.FOLLOWER
    assert cluster.until_leader().node_id in (B, C)


def test_6_a_removed_server_disturbs_nobody() -> None:
    node = Node(B)
    node.hear(A, m.Heartbeat(1, 0, 0))
    assert node.hear(D, m.VoteRequest(9, 99, 9, 0)) == []
    assert node.raft.term == 1


def test_7_a_follower_too_far_behind_gets_a_snapshot() -> None:
    cluster = Cluster()
    leader = cluster.elect(A)
    cluster.isolate(C)
    cluster.write(leader, b"1", b"2")
    leader.raft.compact(3)
    cluster.settle()
    cluster.heal()
    progress = leader.raft.progress(C)
    assert progress is not None and progress.flow is Flow.SNAPSHOT
    assert cluster[C].wanted is not None
    assert cluster[C].load(leader, 3)
    cluster.settle()
    assert cluster[C].executed == leader.executed
    assert progress.flow is Flow.REPLICATE


def test_7_a_snapshot_of_a_prefix_keeps_the_entries_after_it() -> None:
    node = Node(B, log=LOG, term=3)
    node.load(Node(A, log=LOG, term=3, commit=4), 2)
    assert (node.raft.last_index, node.raft.entry(4)) == (4, LOG[3])


def test_7_a_snapshot_with_new_information_replaces_the_log() -> None:
    node = Node(B, log=made(2, 2), term=3)
    node.load(Node(A, log=LOG, term=3, commit=4), 4)
    assert (node.raft.last_index, node.raft.compacted_index) == (4, 4)


def test_8_clients_are_told_who_leads() -> None:
    node = Node(B)
    node.hear(A, m.Heartbeat(1, 0, 0))
    assert node.raft.propose(b"x") == ProposalRefused("not-leader", A)


def test_8_a_leader_begins_its_term_with_an_empty_entry() -> None:
    node = Node(A, ONE)
    node.raft.campaign()
    node.settle()
    assert (node.executed, node.raft.term_at(1)) == ([b""], 1)


def test_8_a_read_waits_for_an_entry_of_the_term_and_a_round_of_heartbeats() -> None:
    node = Node(A, log=LOG, term=3)
    node.lead()
    node.raft.read_index(1)
    node.settle()
    node.hear(B, m.HeartbeatReply(4, 0))
    assert node.reads == []
    node.acknowledge(B, 5)
    assert node.reads == []
    node.hear(B, m.HeartbeatReply(4, 1))
    assert [(read.token, read.index) for read in node.reads] == [(1, 5)]
