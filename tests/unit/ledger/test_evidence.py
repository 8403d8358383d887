"""`ledger.evidence`: each kind has its number, and reads back as it is kept."""

import pytest

from ledger.errors import Malformed
from ledger.evidence import (
    CertifiedOther,
    CommittedReplaced,
    Evidence,
    ProposedTwice,
    SignedOther,
    SignedProposal,
    SignedText,
    SignedTwice,
    evidence_bytes,
    parse_evidence,
)

PROPOSAL = SignedProposal(3, 7, bytes(32), b"entry", bytes(32), bytes(64))
TEXT = SignedText(b"checkpoint", 5, bytes(64))
KINDS: tuple[Evidence, ...] = (
    ProposedTwice(PROPOSAL, PROPOSAL),
    CommittedReplaced(bytes(32), PROPOSAL, PROPOSAL),
    SignedTwice(bytes(32), TEXT, TEXT),
    SignedOther(bytes(32), TEXT, b"ours"),
    CertifiedOther(b"theirs", b"ours", (bytes(32),), None),
)


@pytest.mark.parametrize(("tag", "evidence"), list(enumerate(KINDS, start=1)))
def test_each_kind_has_its_number_and_reads_back(tag: int, evidence: Evidence) -> None:
    kept = evidence_bytes(evidence)
    assert kept[1] == tag
    assert parse_evidence(kept) == evidence


def test_a_kind_that_nobody_knows_is_malformed() -> None:
    with pytest.raises(Malformed, match="^evidence: "):
        parse_evidence(b"\x91\x06")
