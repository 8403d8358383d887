"""Lies: P20, A1, A6 and A12 as far as the core sees them."""

import pytest
from raft_cluster import A, B, C, Node, SignedProposals, appended, made, of, point

from consensus import Entry, Logged, Role
from consensus import messages as m
from consensus.ready import CommittedReplaced, Equivocation


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


def test_a1_an_early_second_proposal_is_evidence_as_well() -> None:
    node = Node(B, term=1)
    node.hear(A, appended(LOG, term=1, previous=0, last=2))
    node.hear(A, m.Append(1, 1, 1, (proposed(LOG, 2, b"soon"),), 0))
    assert len(node.evidence) == 1


def test_entries_that_are_forged_or_of_somebody_else_are_not_taken() -> None:
    node = Node(B, term=1)
    assert node.hear(A, m.Append(1, 0, 0, (Entry(1, 1, b"x", A, b"forged"),), 0)) == []
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
    assert node.hear(C, m.Append(2, 1, 1, (forged,), 2)) == []
    assert node.evidence == []
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
