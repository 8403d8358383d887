"""Certificates: a majority of the voters vouches for one checkpoint, and so for all before it.

    certificate = [ledger id, height, tree size, root, [[node id, timestamp, signature] …]]

Who must have signed is not for the certificate to say (`required_sets` does). Whoever checks a
certificate brings those sets, derived from genesis without gaps, and lets a ledger count only up to
its first block that changes voters and has no certificate.
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from ledger.blocks import VoterSets
from ledger.checkpoints import Checkpoint, Cosignature, check_cosignature, from_note, to_note
from ledger.codec import Decoder, Format, encode
from ledger.errors import CertificateRefused
from ledger.notes import Note
from ledger.types import Hash, Natural, NodeId, Signature

CERTIFICATE_BYTES_MAX = 64 * 1024
"""Limit of a certificate, in bytes."""

SIGNERS_MAX = 128
"""Limit of the signatures in one certificate: two sets of voters."""


class _Signer(Format, frozen=True):
    node_id: NodeId
    timestamp_s: Natural
    signature: Signature


class Certificate(Format, frozen=True):
    """Signatures on one checkpoint, sorted by node id, each node at most once."""

    ledger_id: Hash
    height: Natural
    tree_size: Natural
    root: Hash
    signers: Annotated[tuple[_Signer, ...], Meta(min_length=1, max_length=SIGNERS_MAX)]

    @classmethod
    def of(cls, checkpoint: Checkpoint, cosignatures: Sequence[Cosignature]) -> "Certificate":
        """The certificate of a checkpoint and its cosignatures, in any order."""
        return cls(
            ledger_id=checkpoint.ledger_id,
            height=checkpoint.height,
            tree_size=checkpoint.tree_size,
            root=checkpoint.root,
            signers=tuple(
                _Signer(entry.node_id, entry.timestamp_s, entry.signature)
                for entry in sorted(cosignatures, key=lambda entry: entry.node_id)
            ),
        )

    @property
    def checkpoint(self) -> Checkpoint:
        """What the signatures are on."""
        return Checkpoint(self.ledger_id, self.height, self.tree_size, self.root)

    @property
    def cosignatures(self) -> tuple[Cosignature, ...]:
        """The signatures, sorted by node id."""
        return tuple(
            Cosignature(entry.node_id, entry.timestamp_s, entry.signature) for entry in self.signers
        )

    def to_bytes(self) -> bytes:
        """The certificate as it is stored and sent."""
        return encode(self)

    def to_note(self) -> Note:
        """The certificate as a signed note for transparency-log tools."""
        return to_note(self.checkpoint, self.cosignatures)


_CERTIFICATE: Decoder[Certificate] = Decoder(
    Certificate, what="certificate", bytes_max=CERTIFICATE_BYTES_MAX
)


def parse_certificate(data: bytes) -> Certificate:
    """A certificate from its bytes; nothing is checked but the format. Raises Malformed."""
    return _CERTIFICATE.decode(data)


def certificate_from_note(note: Note) -> Certificate:
    """A certificate from a note, with every node's signature on it. Raises Malformed."""
    checkpoint, cosignatures = from_note(note)
    return Certificate.of(checkpoint, cosignatures)


def required_sets(before: VoterSets, after: VoterSets) -> tuple[tuple[NodeId, ...], ...]:
    """The sets of which each must have signed a block by majority, each once.

    before, after: the voters in force before and after the block. A change without the old voters'
    majority would let anybody replace them; one without the new ones' would leave a ledger that
    nobody can continue.
    """
    return tuple(dict.fromkeys(before.sets() + after.sets()))


def check_form(
    certificate: Certificate, *, ledger_id: bytes, voter_sets: Sequence[Sequence[NodeId]]
) -> None:
    """Everything about a certificate but its signatures. Raises CertificateRefused.

    voter_sets: the sets of which each must have signed by majority; none may be empty.
    """
    if certificate.ledger_id != ledger_id:
        raise CertificateRefused("certificate", "it is another ledger's")
    signers = [entry.node_id for entry in certificate.signers]
    if signers != sorted(set(signers)):
        raise CertificateRefused("certificate", "its signers are not sorted and unique")
    if not voter_sets or not all(voter_sets):
        raise CertificateRefused("certificate", "there are no voters to judge it by")
    present = frozenset(signers)
    if not present.issubset(node_id for voters in voter_sets for node_id in voters):
        raise CertificateRefused("certificate", "a signer does not vote on this block")
    for voters in voter_sets:
        signed = sum(node_id in present for node_id in voters)
        if 2 * signed <= len(voters):
            raise CertificateRefused(
                "certificate", f"{signed} of {len(voters)} voters signed, which is no majority"
            )


def check_certificate(
    certificate: Certificate, *, ledger_id: bytes, voter_sets: Sequence[Sequence[NodeId]]
) -> None:
    """The certificate is one of this ledger, judged by these voters. Raises CertificateRefused."""
    check_form(certificate, ledger_id=ledger_id, voter_sets=voter_sets)
    for cosignature in certificate.cosignatures:
        if not check_cosignature(certificate.checkpoint, cosignature):
            raise CertificateRefused(
                "certificate", f"the signature of {cosignature.node_id.hex()[:16]}… does not fit"
            )
