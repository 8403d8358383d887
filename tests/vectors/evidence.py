"""Vectors of evidence: each kind with real signatures by the keys of the test consortium."""

from collections.abc import Iterator

from vectors.plain import Vector, packed
from vectors.sample import CERTIFICATE, CITY

from ledger.checkpoints import Checkpoint, cosignature_message
from ledger.codec import encode
from ledger.entries import Entry
from ledger.evidence import (
    CertifiedOther,
    CommittedReplaced,
    ProposedTwice,
    SignedOther,
    SignedProposal,
    SignedText,
    SignedTwice,
)
from ledger.statements import proposal_statement

LIAR = "health"
OURS = CERTIFICATE.checkpoint
OTHER = Checkpoint(CITY.ledger_id, OURS.height, OURS.tree_size, bytes(range(32)))


def _proposed(*, term: int, time_ms: int) -> SignedProposal:
    data = encode(Entry(time_ms, None, ()))
    previous_hash = bytes(31) + b"\x01"
    statement = proposal_statement(
        CITY.ledger_id, term=term, index=7, previous_hash=previous_hash, data=data
    )
    key = CITY.proposal_signer(LIAR)
    node_id = CITY.checkpoint_signer(LIAR).public_key
    return SignedProposal(term, 7, previous_hash, data, node_id, key.sign(statement))


def _signed(checkpoint: Checkpoint) -> SignedText:
    key = CITY.checkpoint_signer(LIAR)
    signature = key.sign(cosignature_message(checkpoint, 1_790_000_020))
    return SignedText(checkpoint.body(), 1_790_000_020, signature)


EVIDENCE = SignedTwice(CITY.checkpoint_signer(LIAR).public_key, _signed(OURS), _signed(OTHER))


def evidence_vectors() -> Iterator[Vector]:
    """One of each kind."""
    node_id = CITY.checkpoint_signer(LIAR).public_key
    one, other = _proposed(term=3, time_ms=1), _proposed(term=3, time_ms=2)
    later = _proposed(term=4, time_ms=2)
    certificate = CERTIFICATE.to_bytes()
    yield packed(
        "evidence/proposed-twice",
        "evidence",
        "One leader's two proposals for one term and index.",
        ProposedTwice(one, other),
    )
    yield packed(
        "evidence/committed-replaced",
        "evidence",
        "An entry that came in the place of a committed one.",
        CommittedReplaced(node_id, one, later),
    )
    yield packed(
        "evidence/signed-twice",
        "evidence",
        "One node's signatures on two checkpoints of one height.",
        EVIDENCE,
    )
    yield packed(
        "evidence/signed-other",
        "evidence",
        "A node's signature on another checkpoint than the keeper's.",
        SignedOther(node_id, _signed(OTHER), OURS.body()),
    )
    yield packed(
        "evidence/certified-other",
        "evidence",
        "A certificate that contradicts the keeper's ledger at its own height.",
        CertifiedOther(certificate, OTHER.body(), (), None),
    )
