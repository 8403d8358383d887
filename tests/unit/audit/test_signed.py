"""`audit.signed`, `audit.blame`: what counts as signed, and which pairs contradict each other."""

from dataclasses import replace

import msgspec
import pytest
from branches import Branch
from builders import Consortium
from recorded import dataset

from audit.blame import TwoProposals, blame
from audit.signed import (
    SignedProposal,
    parse_shown_proposal,
    show_proposal,
    signatories_of,
    statements_of,
)
from ledger import store_keys
from ledger.errors import Malformed
from ledger.evidence import ProposedTwice, SignedOther, SignedText, evidence_bytes
from ledger.evidence import SignedProposal as KeptProposal
from ledger.types import Height

CITY = Consortium()
LIARS = ("civil-affairs", "health", "transport")


def branch_of(blocks: int) -> Branch:
    branch = Branch(CITY)
    for number in range(blocks):
        branch.block(dataset(CITY, "health", f"table-{number}"), leader="transport")
    return branch


def entry_at(branch: Branch, index: int) -> bytes:
    return branch.values[store_keys.entry_key(index)]


def test_a_proposal_is_shown_with_what_its_leader_signed() -> None:
    branch = branch_of(2)
    ledger_id = branch.genesis.ledger_id
    for index, before in ((1, None), (2, entry_at(branch, 1))):
        stored = entry_at(branch, index)
        (term, _, _, proposer, signature), _ = msgspec.msgpack.decode(stored)
        shown = show_proposal(stored, before, ledger_id)
        assert shown is not None
        assert len(msgspec.msgpack.decode(shown)) == 6
        parsed = parse_shown_proposal(shown, ledger_id)
        assert (parsed.ledger_id, parsed.node_id) == (ledger_id, proposer)
        assert (parsed.term, parsed.index, parsed.signature) == (term, index, signature)
        assert before is None or parsed.previous_hash == msgspec.msgpack.decode(before)[1]
        assert parsed.entry_hash == msgspec.msgpack.decode(stored)[1]
        signatory = signatories_of(branch.genesis.genesis)[proposer]
        assert signatory.department == "transport"
        assert blame({}, ledger_id, [branch]) == ()


def test_what_does_not_say_what_was_signed_is_not_shown() -> None:
    branch = branch_of(2)
    ledger_id = branch.genesis.ledger_id
    assert show_proposal(entry_at(branch, 2), None, ledger_id) is None
    assert show_proposal(b"\xc1", None, ledger_id) is None
    assert show_proposal(entry_at(branch, 2), b"\xc1", ledger_id) is None
    with pytest.raises(Malformed, match=r"^proposal: .*Expected `array`"):
        parse_shown_proposal(b"\x01", ledger_id)


def proposal(**changes: object) -> SignedProposal:
    made = SignedProposal(bytes(32), b"n" * 32, 7, 5, b"p" * 32, b"d" * 32, bytes(64))
    return replace(made, **changes)


FIRST = proposal()
NEXT = proposal(index=6, previous_hash=FIRST.entry_hash)


@pytest.mark.parametrize(
    ("other", "contradicts"),
    [
        (FIRST, False),
        (proposal(signature=b"s" * 64), False),
        (proposal(digest=b"e" * 32), True),
        (proposal(previous_hash=b"q" * 32), True),
        (proposal(digest=b"e" * 32, node_id=b"m" * 32), False),
        (proposal(digest=b"e" * 32, ledger_id=b"l" * 32), False),
        (proposal(digest=b"e" * 32, term=8), False),
        (NEXT, False),
        (proposal(index=6, previous_hash=b"q" * 32), True),
        (proposal(index=6, previous_hash=b"q" * 32, term=8), False),
        (proposal(index=7, previous_hash=b"q" * 32), False),
        (proposal(index=4, digest=b"e" * 32), True),
        (proposal(index=3, digest=b"e" * 32), False),
    ],
)
def test_two_proposals_contradict_each_other_in_one_place_or_the_next_of_one_term(
    other: SignedProposal, contradicts: bool
) -> None:
    assert TwoProposals(FIRST, other).contradict() is contradicts
    assert TwoProposals(other, FIRST).contradict() is contradicts


def test_what_cannot_be_read_hides_nothing_that_comes_after_it() -> None:
    one, other = branch_of(2), branch_of(2)
    for branch, name in ((one, "mine"), (other, "yours")):
        branch.block(dataset(CITY, "health", name), leader="transport")
        branch.certify(LIARS)
        branch.sign_own("housing")
        branch.values[store_keys.certificate_key(Height(0))] = b"\xc1"
        branch.values[store_keys.own_signature_key(Height(0))] = b"\xc1"
        branch.values[store_keys.entry_key(0)] = b"\xc1" + name.encode()
    ledger_id, signatories = one.genesis.ledger_id, signatories_of(one.genesis.genesis)
    found = blame(signatories, ledger_id, [one, other])
    named = {signatories[each.node_id].department for each in found}
    assert named == {*LIARS, "housing"}
    assert any(isinstance(each, TwoProposals) for each in found)


def test_every_piece_of_evidence_counts_whatever_lies_beside_it() -> None:
    branch = branch_of(1)
    checkpoint = branch.checkpoint
    text = SignedText(checkpoint.body(), 5, bytes(64))
    node_id = CITY.node_ids[0]
    kept = KeptProposal(1, 1, bytes(32), b"one", node_id, bytes(64))
    refused = KeptProposal(1, 1, bytes(32), b"other", node_id, bytes(64))
    for number, evidence in (
        (1, evidence_bytes(ProposedTwice(kept, refused))),
        (2, b"\xc1"),
        (3, evidence_bytes(SignedOther(node_id, text, checkpoint.body()))),
    ):
        branch.values[store_keys.evidence_key(number)] = evidence
    statements = statements_of([branch], branch.genesis.ledger_id, {})
    assert [each.index for each in statements.proposals] == [1, 1]
    assert [each.checkpoint for each in statements.checkpoints] == [checkpoint]
