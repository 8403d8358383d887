"""What a node keeps for ever against others, so that it can be judged elsewhere.

    evidence = tagged array: 1 proposed twice, 2 committed replaced, 3 signed twice,
               4 signed other, 5 certified other

`ProposedTwice` and `SignedTwice` prove a lie by themselves: two signatures of one key on what no
honest node says both of. The others say what a node met; they become proof together with another
node's ledger.
"""

from typing import Annotated

from msgspec import Meta

from ledger.codec import Decoder, Format, encode
from ledger.entries import ENTRY_BYTES_MAX
from ledger.types import Hash, Natural, NodeId, Signature

EVIDENCE_BYTES_MAX = 2 * ENTRY_BYTES_MAX + 4096
"""Limit of one piece of evidence, in bytes: two entries and what belongs to them."""

CheckpointText = Annotated[bytes, Meta(max_length=1024)]


class SignedProposal(Format, frozen=True):
    """A Raft entry as its leader proposed and signed it (`ledger.statements.proposal_statement`).

    previous_hash: hash of the entry before it, which the signature covers too.
    """

    term: Natural
    index: Natural
    previous_hash: Hash
    data: Annotated[bytes, Meta(max_length=ENTRY_BYTES_MAX)]
    proposer: NodeId
    signature: Signature


class SignedText(Format, frozen=True):
    """A node's signature on a checkpoint. text: the checkpoint's (`ledger.checkpoints`)."""

    text: CheckpointText
    timestamp_s: Natural
    signature: Signature


class ProposedTwice(Format, frozen=True, tag=1):
    """One leader signed two proposals of one term that exclude each other: a proof against it.

    They are for one index, or `kept` is for the index after `refused` and does not build on it.
    """

    kept: SignedProposal
    refused: SignedProposal


class CommittedReplaced(Format, frozen=True, tag=2):
    """`sender` sent an entry in the place of one that is committed where this is kept.

    Either proposal is its proposer's; neither is a lie by itself if their terms differ.
    """

    sender: NodeId
    kept: SignedProposal
    refused: SignedProposal


class SignedTwice(Format, frozen=True, tag=3):
    """A node signed two checkpoints of one height that differ: a proof against it."""

    node_id: NodeId
    one: SignedText
    other: SignedText


class SignedOther(Format, frozen=True, tag=4):
    """A node signed another checkpoint than the keeper executed at that height.

    ours: the text of the keeper's own checkpoint there.
    """

    node_id: NodeId
    theirs: SignedText
    ours: CheckpointText


class CertifiedOther(Format, frozen=True, tag=5):
    """A certificate that contradicts the keeper's ledger, for which the keeper stopped serving.

    theirs: the certificate. ours: the text of the keeper's checkpoint at `path`'s old size, or at
    the certificate's own height if there is no path. path: RFC 9162 consistency path from the size
    of `ours` into the certificate's root. our_certificate: the keeper's newest, if it had one.
    """

    theirs: Annotated[bytes, Meta(max_length=64 * 1024)]
    ours: CheckpointText
    path: Annotated[tuple[Hash, ...], Meta(max_length=128)]
    our_certificate: Annotated[bytes, Meta(max_length=64 * 1024)] | None


Evidence = ProposedTwice | CommittedReplaced | SignedTwice | SignedOther | CertifiedOther

_EVIDENCE: Decoder[Evidence] = Decoder(Evidence, what="evidence", bytes_max=EVIDENCE_BYTES_MAX)


def parse_evidence(data: bytes) -> Evidence:
    """A piece of evidence from its bytes; no signature in it is checked. Raises Malformed."""
    return _EVIDENCE.decode(data)


def evidence_bytes(evidence: Evidence) -> bytes:
    """A piece of evidence as it is kept."""
    return encode(evidence)
