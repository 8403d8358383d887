"""Lies: P20, A1, A6 and A12 as far as the core sees them."""

import pytest
from raft_cluster import (
    THREE,
    A,
    B,
    C,
    Cluster,
    Node,
    SignedProposals,
    appended,
    made,
    of,
    point,
)

from consensus import Entry, Flow, Logged, Role
from consensus import messages as m
from consensus.ready import CommittedReplaced, Equivocation
from consensus.types import NO_HASH


def proposed(log: list[Logged], index: int, data: bytes, *, term: int = 1, by: bytes = A) -> Entry:
    """Another entry for a place in this log, signed by `by`."""
    previous = log[index - 2].hash if index > 1 else bytes(32)
    signature = SignedProposals(by).sign(term=term, index=index, previous_hash=previous, data=data)
    return Entry(term, index, data, by, signature)


LOG = made(1, 1, 1)


def test_a1_two_signed_proposals_for_one_place_are_evidence_and_end_obedience() -> None:
    node = Node(B, term=1)
    node.hear(A, appended(LOG, term=1, previous=0, last=2))
    second = proposed(LOG, 2, b"other")
    assert node.hear(A, m.Append(1, 1, 1, (second,), 0)) == []
    previous = LOG[0].hash
    assert node.evidence == [Equivocation(LOG[1].entry, second, previous, previous)]
    assert node.raft.entry(2) == LOG[1]
    for message in (
        appended(LOG, term=1, previous=2),
        m.Heartbeat(1, 2, 3),
        m.SnapshotOffer(1, 9, 1, bytes(32)),
    ):
        assert node.hear(A, message) == []
    assert (node.raft.last_index, node.raft.commit_index, node.wanted) == (2, 0, None)
    assert len(node.evidence) == 1


def test_a1_whoever_caught_its_leader_campaigns_and_follows_the_next_one() -> None:
    node = Node(B, term=1)
    node.hear(A, appended(LOG, term=1, previous=0, last=2))
    node.hear(A, m.Append(1, 1, 1, (proposed(LOG, 2, b"other"),), 0))
    for _ in range(10):
        node.hear(A, m.Heartbeat(1, 0, 0))
        sent = node.ticks(1)
    assert node.raft.role is Role.PRE_CANDIDATE
    assert of(m.PreVoteRequest, sent, C) == [m.PreVoteRequest(2, 2, 1, 0)]
    assert node.hear(C, m.Heartbeat(2, 0, 4)) == [(C, m.HeartbeatReply(2, 4))]


def test_a1_a_second_proposal_in_one_append_with_good_ones_is_found_too() -> None:
    node = Node(B, term=1)
    node.hear(A, appended(LOG, term=1, previous=0, last=3))
    second = proposed(LOG, 3, b"other")
    node.hear(A, m.Append(1, 1, 1, (LOG[1].entry, second), 3))
    assert [found.refused for found in node.evidence] == [second]
    assert node.raft.commit_index == 0


@pytest.mark.parametrize(
    "second",
    [
        Entry(1, 2, b"other", A, b"forged"),
        Entry(1, 2, LOG[1].entry.data, A, b"forged"),
        proposed(LOG, 2, b"other", by=C),
    ],
)
def test_a1_nothing_that_its_author_did_not_sign_is_evidence(second: Entry) -> None:
    node = Node(B, term=1)
    node.hear(A, appended(LOG, term=1, previous=0, last=2))
    assert node.hear(A, m.Append(1, 1, 1, (second,), 0)) == []
    assert node.evidence == []
    assert node.hear(A, appended(LOG, term=1, previous=2)) == [
        (A, m.AppendReply(1, 3, LOG[2].hash))
    ]


ONE = [LOG[0], *made(1, 1, data="one", start=point(LOG, 1))]
TWO = [LOG[0], *made(1, 1, data="two", start=point(LOG, 1))]
LATER = [*TWO, *made(2, start=point(TWO, 3), by=lambda term: C)]


def test_a1_what_an_earlier_leader_signed_twice_is_evidence_and_the_present_copy_counts() -> None:
    node = Node(B, log=ONE, term=1)
    sent = node.hear(C, appended(LATER, term=2, previous=1, commit=4))
    previous = LOG[0].hash
    assert node.evidence == [Equivocation(ONE[1].entry, TWO[1].entry, previous, previous)]
    assert sent == [(C, m.AppendReply(2, 4, LATER[3].hash))]
    assert [node.raft.entry(index) for index in (1, 2, 3, 4)] == LATER
    assert node.hear(C, m.Heartbeat(2, 4, 0)) == [(C, m.HeartbeatReply(2, 0))]


def test_a1_what_is_committed_of_two_is_not_replaced_by_any_leader() -> None:
    node = Node(B, log=ONE, term=1, commit=2)
    assert node.hear(C, appended(LATER, term=2, previous=1, commit=4)) == []
    assert [found.refused for found in node.evidence] == [TWO[1].entry]
    assert node.raft.entry(2) == ONE[1]
    assert node.hear(C, m.Heartbeat(2, 4, 0)) == []


def test_a1_a_copy_of_an_earlier_leader_that_is_forged_replaces_nothing() -> None:
    node = Node(B, log=ONE, term=1)
    forged = Entry(1, 2, b"x", A, b"forged")
    sent = node.hear(C, m.Append(2, 1, 1, (forged,), 0))
    assert sent == [(C, m.AppendReply(2, 1, LOG[0].hash))]
    assert (node.evidence, node.raft.entry(2)) == ([], ONE[1])


def test_a1_a_follower_that_holds_another_log_of_the_same_terms_says_so_by_its_hash() -> None:
    node = Node(B, log=ONE, term=1)
    sent = node.hear(C, appended(LATER, term=2, previous=3))
    assert sent == [(C, m.AppendReply(2, 3, ONE[2].hash))]
    assert node.raft.last_index == 3


def test_a1_a_leader_goes_back_before_the_term_whose_leader_signed_two_logs() -> None:
    old = made(1, 2, 2, by=lambda term: C)
    node = Node(A, log=old, term=2)
    node.lead()
    other = made(1, 2, 2, data="other", by=lambda term: C)
    (append,) = of(m.Append, node.hear(B, m.AppendReply(3, 3, other[2].hash)), B)
    assert (append.previous_index, len(append.entries)) == (1, 3)
    progress = node.raft.progress(B)
    assert progress is not None and (progress.match, progress.next) == (0, 2)
    assert node.hear(B, m.AppendReply(3, 3, other[2].hash)) == []
    node.acknowledge(B, 4)
    assert node.hear(B, m.AppendReply(3, 3, other[2].hash)) == []
    assert (progress.match, progress.next, progress.flow) == (4, 5, Flow.REPLICATE)


def test_a1_nodes_that_a_liar_divided_meet_again_under_the_next_leader() -> None:
    cluster = Cluster()
    for name, log in ((A, LOG[:1]), (B, ONE), (C, TWO)):
        cluster.nodes[name] = Node(name, THREE, log=log, term=1)
    cluster.down.add(A)
    cluster.elect(C)
    cluster.tick(8)
    assert cluster[B].executed == cluster[C].executed
    assert [logged.entry.data for logged in TWO] == cluster[B].executed[:3]
    assert len(cluster[B].evidence) == 1
    cluster.write(cluster[C], b"x")
    assert cluster[B].executed[-1] == b"x"


def test_a1_an_early_second_proposal_is_evidence_as_well() -> None:
    node = Node(B, term=1)
    node.hear(A, appended(LOG, term=1, previous=0, last=2))
    node.hear(A, m.Append(1, 1, 1, (proposed(LOG, 2, b"soon"),), 0))
    assert len(node.evidence) == 1


def by_turns(term: int) -> bytes:
    """Who leads which term in these logs: A the first, B the second, C the third."""
    return (A, B, C)[term - 1]


FIRST = made(1, 1, 1, 3, by=by_turns)
SECOND = [FIRST[0], *made(2, 2, 3, start=point(FIRST, 1), by=by_turns)]
"""C signed the fourth entry of both, with the same data, on what two others proposed before."""


def pair(index: int, other: int) -> Equivocation:
    """What C signed at `index` of FIRST and at `other` of SECOND."""
    return Equivocation(
        FIRST[index - 1].entry,
        SECOND[other - 1].entry,
        FIRST[index - 2].hash,
        SECOND[other - 2].hash,
    )


def test_a1_what_was_signed_twice_behind_another_conflict_is_kept_before_it_goes() -> None:
    node = Node(B, log=FIRST, term=3)
    sent = node.hear(A, appended(SECOND, term=4, previous=1))
    assert node.evidence == [pair(4, 4)]
    assert sent == [(A, m.AppendReply(4, 4, SECOND[3].hash))]
    assert [node.raft.entry(index) for index in (1, 2, 3, 4)] == SECOND


def test_a1_a_leader_that_takes_back_what_it_signed_replaces_nothing_and_is_left() -> None:
    node = Node(B, log=FIRST, term=3)
    assert node.hear(C, appended(SECOND, term=3, previous=1, commit=4)) == []
    assert node.evidence == [pair(4, 4)]
    assert (node.raft.entry(4), node.raft.commit_index) == (FIRST[3], 0)
    assert node.hear(C, m.Heartbeat(3, 0, 0)) == []
    assert node.hear(A, m.Heartbeat(4, 0, 0)) == [(A, m.HeartbeatReply(4, 0))]


def test_a1_a_leader_takes_nothing_of_its_term_back_also_before_that_is_proved() -> None:
    node = Node(B, log=FIRST, term=3)
    assert node.hear(C, appended(SECOND, term=3, previous=1, last=2)) == []
    assert (node.evidence, node.raft.entry(2), node.raft.last_index) == ([], FIRST[1], 4)
    assert node.hear(C, m.Heartbeat(3, 0, 0)) == [(C, m.HeartbeatReply(3, 0))]
    node.hear(C, appended(SECOND, term=3, previous=1))
    assert node.evidence == [pair(4, 4)]


@pytest.mark.parametrize("term", [3, 4])
def test_a1_an_entry_on_which_the_next_does_not_build_is_evidence_by_itself(term: int) -> None:
    node = Node(B, log=FIRST, term=3)
    early = made(3, start=point(FIRST, 2), by=by_turns)
    node.hear(C if term == 3 else A, m.Append(term, 2, 1, (early[0].entry,), 0))
    kept, refused = FIRST[3].entry, early[0].entry
    assert node.evidence == [Equivocation(kept, refused, FIRST[2].hash, FIRST[1].hash)]
    assert node.raft.entry(3) == (FIRST[2] if term == 3 else early[0])


def test_a1_an_entry_two_places_on_proves_nothing_by_itself() -> None:
    node = Node(B, log=FIRST, term=3)
    early = made(3, start=point(FIRST, 1), by=by_turns)
    node.hear(A, m.Append(4, 1, 1, (early[0].entry,), 0))
    assert (node.evidence, node.raft.last_index, node.raft.entry(2)) == ([], 2, early[0])


def test_a1_what_several_messages_prove_waits_until_it_is_taken() -> None:
    node = Node(B, log=ONE, term=1)
    second = proposed(ONE, 2, b"other")
    node.raft.step(A, m.Append(1, 1, 1, (second,), 0))
    node.raft.step(C, appended(LATER, term=2, previous=1, commit=4))
    node.settle()
    assert [found.refused for found in node.evidence] == [second, TWO[1].entry]


def test_a1_one_piece_for_each_term_is_enough() -> None:
    log = made(1, 2, 2, 3, 3, by=by_turns)
    other = [log[0], *made(2, 2, 3, 3, data="x", start=point(log, 1), by=by_turns)]
    node = Node(B, log=log, term=3)
    node.hear(A, appended(other, term=4, previous=1))
    assert [found.refused for found in node.evidence] == [other[1].entry, other[3].entry]


def test_a1_two_that_led_one_term_have_each_signed_once() -> None:
    other = [FIRST[0], *made(2, 2, 3, start=point(FIRST, 1), by=lambda term: B)]
    node = Node(B, log=FIRST, term=3)
    node.hear(A, appended(other, term=4, previous=1))
    assert (node.evidence, node.raft.entry(4)) == ([], other[3])


def test_a1_what_is_forged_behind_another_conflict_is_no_evidence() -> None:
    forged = Entry(3, 4, b"x", C, b"forged")
    node = Node(B, log=FIRST, term=3)
    sent = node.hear(A, m.Append(4, 1, 1, (SECOND[1].entry, SECOND[2].entry, forged), 4))
    assert sent == [(A, m.AppendReply(4, 3, SECOND[2].hash))]
    assert (node.evidence, node.raft.last_index) == ([], 3)


def test_a1_a_later_term_behind_a_committed_entry_is_evidence_beside_the_alarm() -> None:
    node = Node(B, log=FIRST, term=3, commit=2)
    assert node.hear(A, appended(SECOND, term=4, previous=1)) == []
    before = FIRST[0].hash
    replaced = CommittedReplaced(A, FIRST[1].entry, SECOND[1].entry, before, before)
    assert node.evidence == [pair(4, 4), replaced]
    assert [node.raft.entry(index) for index in (1, 2, 3, 4)] == FIRST


def test_a1_what_two_leaders_of_one_term_signed_replaces_nothing_committed() -> None:
    other = made(1, data="other", start=point(LOG, 1), by=lambda term: C)
    node = Node(B, log=LOG, term=1, commit=2)
    assert node.hear(C, m.Append(2, 1, 1, (other[0].entry,), 2)) == []
    before = LOG[0].hash
    assert node.evidence == [CommittedReplaced(C, LOG[1].entry, other[0].entry, before, before)]
    assert node.raft.entry(2) == LOG[1]


def test_a1_what_is_early_and_signed_twice_is_kept_and_replaces_nothing_yet() -> None:
    soon = made(1, data="soon", start=point(LOG, 1))
    node = Node(B, log=LOG, term=1)
    (refused,) = of(m.AppendRefused, node.hear(C, m.Append(2, 1, 1, (soon[0].entry,), 0)))
    assert refused.early and node.raft.entry(2) == LOG[1]
    before = LOG[0].hash
    assert node.evidence == [Equivocation(LOG[1].entry, soon[0].entry, before, before)]
    assert len(node.hear(C, m.Heartbeat(2, 0, 0))) == 1


def test_entries_that_are_forged_or_of_somebody_else_are_not_taken() -> None:
    node = Node(B, term=1)
    forged = Entry(1, 1, b"x", A, b"forged")
    assert node.hear(A, m.Append(1, 0, 0, (forged,), 0)) == [(A, m.AppendReply(1, 0, NO_HASH))]
    assert node.hear(A, m.Append(1, 0, 0, (proposed(LOG, 1, b"x", by=C),), 0)) == []
    assert (node.raft.last_index, node.evidence) == (0, [])
    mixed = (LOG[0].entry, Entry(1, 2, b"x", A, b"forged"))
    assert node.hear(A, m.Append(1, 0, 0, mixed, 2)) == [(A, m.AppendReply(1, 1, LOG[0].hash))]
    assert (node.raft.last_index, node.raft.commit_index) == (1, 1)


def test_entries_of_earlier_terms_keep_their_proposers() -> None:
    old = made(1, by=lambda term: C)
    node = Node(B, term=2)
    node.hear(A, appended(old, term=2, previous=0))
    assert node.raft.entry(1).entry.proposer == C


# P20, A12: what is committed stays.


def test_p20_an_append_that_would_replace_a_committed_entry_is_refused_and_kept() -> None:
    node = Node(B, log=LOG, term=1, commit=2)
    other = [LOG[0], *made(2, 2, data="other", start=point(LOG, 1), by=lambda term: C)]
    assert node.hear(C, appended(other, term=2, previous=1, commit=3)) == []
    before = LOG[0].hash
    assert node.evidence == [CommittedReplaced(C, LOG[1].entry, other[1].entry, before, before)]
    assert (node.raft.last_index, node.raft.commit_index) == (3, 2)
    assert node.hear(C, m.Heartbeat(2, 3, 0)) == []
    assert node.hear(A, m.Heartbeat(3, 0, 0)) == [(A, m.HeartbeatReply(3, 0))]


def test_p20_one_forged_append_stops_nobody() -> None:
    node = Node(B, log=LOG, term=1, commit=2)
    forged = Entry(2, 2, b"x", C, b"forged")
    assert node.hear(C, m.Append(2, 1, 1, (forged,), 2)) == [(C, m.AppendReply(2, 1, LOG[0].hash))]
    assert (node.evidence, node.raft.commit_index, node.raft.last_index) == ([], 2, 3)
    assert len(node.hear(C, m.Heartbeat(2, 0, 0))) == 1


def test_p20_a_suffix_that_is_not_committed_may_go() -> None:
    node = Node(B, log=LOG, term=1, commit=2)
    other = [*LOG[:2], *made(2, data="other", start=point(LOG, 2), by=lambda term: C)]
    assert len(node.hear(C, appended(other, term=2, previous=2))) == 1
    assert (node.raft.entry(3), node.evidence) == (other[2], [])


def test_a12_a_false_committed_is_never_rolled_back_and_stops_nobody_for_ever() -> None:
    node = Node(B, term=1)
    node.hear(A, appended(LOG, term=1, previous=0, last=2, commit=2))
    assert node.executed == [b"1@1", b"2@1"]
    true = [LOG[0], *made(2, data="true", start=point(LOG, 1), by=lambda term: C)]
    for _ in range(2):
        node.hear(C, appended(true, term=2, previous=1, commit=2))
    (found,) = node.evidence
    assert isinstance(found, CommittedReplaced) and found.kept == LOG[1].entry
    assert node.executed == [b"1@1", b"2@1"]
    assert (node.raft.commit_index, node.raft.entry(2)) == (2, LOG[1])
    node.hear(C, appended(true, term=3, previous=1, commit=2))
    assert len(node.evidence) == 2
    assert node.raft.term == 3


# A6: an honest leader signs one entry for one place.


def test_a6_over_all_its_terms_a_node_signs_one_proposal_for_one_term_and_index() -> None:
    node = Node(A)
    signed: dict[tuple[int, int], bytes] = {}
    for number in range(6):
        node.lead()
        node.propose(b"%d" % number)
        node.settle()
        if number % 2:
            node.hear(C, m.VoteReply(node.raft.term + 3, False))
        else:
            node.raft.abdicate()
        for term, index, data in node.proposals.signed:
            assert signed.setdefault((term, index), data) == data
        if number == 3:
            node.boot()
    assert len(signed) == 12


@pytest.mark.parametrize("landed", [True, False])
def test_a6_after_a_crash_between_signing_and_writing_it_signs_nothing_in_that_term(
    landed: bool,
) -> None:
    node = Node(A)
    node.lead()
    node.disk_works = False
    node.propose(b"x")
    node.settle()
    if landed:
        node.write_begins()
        node.write_lands(heard=False)
    node.boot()
    assert (node.raft.role, node.raft.term, node.raft.vote) == (Role.FOLLOWER, 1, A)
    node.lead()
    assert node.raft.term == 2
    assert {term for term, _, _ in node.proposals.signed} == {2}
