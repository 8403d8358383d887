"""From signatures to certificates: each node assembles its own, so no leader can withhold one.

Rule 1. This node signs the checkpoint at the end of each block it executes: once per height, only
        upwards, and the signature leaves only after the batch that holds it and its block is
        durable.
Rule 2. A certificate is valid signatures on one checkpoint by a majority of the voters in force
        before its block, and for a block that changes voters also of those after it; while joint,
        of both sets (`ledger.certificates`).
Rule 3. No block above an uncertified change of voters is certified before that change is.
Rule 4. A certificate covers every earlier block, so only the newest height that can reach a
        majority is worth checking signatures for.

What other nodes sign ahead of this node's execution waits here, at most `SIGNATURES_PER_NODE_MAX`
a node; beyond it the oldest height goes, because a later one covers it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ledger.certificates import Certificate
from ledger.checkpoints import Checkpoint, Cosignature, cosignature_message
from ledger.types import Height, NodeId
from node.messages import SignedCheckpoint
from node.ports import SignatureJob

DAY_S = 86_400

SIGNATURES_PER_NODE_MAX = 1_024
"""Limit of one node's signatures that wait for execution or a majority."""


@dataclass(frozen=True, slots=True)
class Executed:
    """A block that is executed and not certified: its checkpoint, and who must agree on it."""

    checkpoint: Checkpoint
    required: tuple[tuple[NodeId, ...], ...]
    changes_voters: bool


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A node's valid signature on another content than this node executed at that height."""

    node_id: NodeId
    height: Height
    theirs: Checkpoint
    cosignature: Cosignature


@dataclass(slots=True)
class _Claim:
    """A signature as received; `valid` is None until it has been checked."""

    signed: SignedCheckpoint
    valid: bool | None = None
    asked: bool = False


@dataclass(slots=True)
class Certification:
    """Signatures on blocks above the newest certificate, and the certificate.

    Invariants: every height in `_executed` and `_claims` is above `certified_height`;
    `_claims[node]` holds at most SIGNATURES_PER_NODE_MAX heights.
    """

    ledger_id: bytes
    node_id: NodeId
    certificate: Certificate | None = None
    certified_height: Height = Height(0)
    _executed: dict[Height, Executed] = field(default_factory=dict)
    _claims: dict[NodeId, dict[Height, _Claim]] = field(default_factory=dict)
    _newest: dict[NodeId, SignedCheckpoint] = field(default_factory=dict)

    def executed(self, block: Executed, own: SignedCheckpoint) -> None:
        """This node executed and signed the next block; `own` counts as checked."""
        height = Height(block.checkpoint.height)
        self._executed[height] = block
        self._claim(self.node_id, own).valid = True

    def received(self, node_id: NodeId, signed: SignedCheckpoint) -> None:
        """A node's signature arrived; the connection proves nothing about it, only its check."""
        newest = self._newest.get(node_id)
        if newest is None or newest.height < signed.height:
            self._newest[node_id] = signed
        if signed.height > self.certified_height and node_id != self.node_id:
            known = self._claims.get(node_id, {}).get(Height(signed.height))
            if known is None or (known.valid is not True and known.signed != signed):
                self._claim(node_id, signed)

    def _claim(self, node_id: NodeId, signed: SignedCheckpoint) -> _Claim:
        claims = self._claims.setdefault(node_id, {})
        claim = _Claim(signed)
        claims[Height(signed.height)] = claim
        if len(claims) > SIGNATURES_PER_NODE_MAX:
            del claims[min(claims)]
        return claim

    def jobs(self) -> list[tuple[NodeId, Height, SignatureJob]]:
        """Signatures worth checking now, each handed out once: those that could decide something.

        They are the ones on the newest height that would be certified if all were valid (rule 4),
        and every one that differs from what this node executed.
        """
        wanted = self._differing()
        height = self._candidate()
        if height is not None:
            wanted += [
                (node_id, height, claims[height])
                for node_id, claims in sorted(self._claims.items())
                if height in claims and self._agrees(claims[height], height)
            ]
        jobs = []
        for node_id, at, claim in wanted:
            if claim.valid is None and not claim.asked:
                claim.asked = True
                message = cosignature_message(
                    claim.signed.checkpoint(self.ledger_id), claim.signed.timestamp_s
                )
                jobs.append((node_id, at, SignatureJob(node_id, message, claim.signed.signature)))
        return jobs

    def _differing(self) -> list[tuple[NodeId, Height, _Claim]]:
        return [
            (node_id, height, claim)
            for node_id, claims in sorted(self._claims.items())
            for height, claim in claims.items()
            if claim.valid is None
            and not claim.asked
            and height in self._executed
            and not self._agrees(claim, height)
        ]

    def checked(self, node_id: NodeId, height: Height, valid: bool) -> Contradiction | None:
        """A job's result. A valid signature on other content is returned: it is evidence."""
        claim = self._claims.get(node_id, {}).get(height)
        if claim is None or not claim.asked:
            return None
        if not valid:
            del self._claims[node_id][height]
            return None
        claim.valid = True
        if height in self._executed and not self._agrees(claim, height):
            theirs = claim.signed.checkpoint(self.ledger_id)
            cosignature = Cosignature(node_id, claim.signed.timestamp_s, claim.signed.signature)
            del self._claims[node_id][height]
            return Contradiction(node_id, height, theirs, cosignature)
        return None

    def assemble(self) -> Certificate | None:
        """The certificate of the newest block that has one and had none; None if nothing is new."""
        for height in sorted(self._eligible(), reverse=True):
            block = self._executed[height]
            signers = self._signers(height, checked_only=True)
            if _majorities(block.required, signers):
                certificate = Certificate.of(
                    block.checkpoint,
                    [
                        Cosignature(
                            node_id,
                            self._claims[node_id][height].signed.timestamp_s,
                            self._claims[node_id][height].signed.signature,
                        )
                        for node_id in signers
                        if any(node_id in voters for voters in block.required)
                    ],
                )
                self.adopt(certificate)
                return certificate
        return None

    def adopt(self, certificate: Certificate) -> None:
        """A checked certificate of a block that this node executed becomes the newest."""
        height = Height(certificate.checkpoint.height)
        if height <= self.certified_height:
            return
        self.certificate = certificate
        self.certified_height = height
        self._executed = {at: block for at, block in self._executed.items() if at > height}
        for node_id, claims in self._claims.items():
            self._claims[node_id] = {at: claim for at, claim in claims.items() if at > height}

    def required(self, height: Height) -> Executed | None:
        """The executed, uncertified block at `height`, if certifying it now keeps rule 3."""
        return self._executed.get(height) if height in self._eligible() else None

    def newest_of(self, node_id: NodeId) -> SignedCheckpoint | None:
        """The highest signature of a node that came here, checked or not, to be shown to it."""
        return self._newest.get(node_id)

    def own_signatures(self) -> list[SignedCheckpoint]:
        """This node's signatures above the newest certificate, oldest first, for a new peer."""
        claims = self._claims.get(self.node_id, {})
        return [claims[height].signed for height in sorted(claims)]

    def _eligible(self) -> list[Height]:
        barrier = min(
            (at for at, block in self._executed.items() if block.changes_voters), default=None
        )
        return [at for at in self._executed if barrier is None or at <= barrier]

    def _candidate(self) -> Height | None:
        for height in sorted(self._eligible(), reverse=True):
            signers = self._signers(height, checked_only=False)
            if _majorities(self._executed[height].required, signers):
                return height
        return None

    def _signers(self, height: Height, *, checked_only: bool) -> list[NodeId]:
        return sorted(
            node_id
            for node_id, claims in self._claims.items()
            if height in claims
            and self._agrees(claims[height], height)
            and (claims[height].valid is True or not checked_only)
        )

    def _agrees(self, claim: _Claim, height: Height) -> bool:
        return claim.signed.checkpoint(self.ledger_id) == self._executed[height].checkpoint


def is_same_day(one: Certificate, other: Certificate) -> bool:
    """Whether two certificates are of one day (UTC), by the earliest of each's signers' clocks.

    The last certificate of each day is kept for good.
    """
    days = [
        min(entry.timestamp_s for entry in certificate.signers) // DAY_S
        for certificate in (one, other)
    ]
    return days[0] == days[1]


def _majorities(required: Sequence[Sequence[NodeId]], signers: Sequence[NodeId]) -> bool:
    present = frozenset(signers)
    return all(
        2 * sum(node_id in present for node_id in voters) > len(voters) for voters in required
    )
