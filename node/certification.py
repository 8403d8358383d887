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

Rule 5. A valid signature on another content than this node executed at that height is evidence
        against somebody; a majority's is a certificate that contradicts this node's ledger.

What other nodes sign ahead of this node's execution waits here, at most `SIGNATURES_PER_NODE_MAX`
a node; beyond it the oldest height goes, because a later one covers it. What contradicts is kept
apart, at most `CONTRARY_PER_NODE_MAX` heights a node.
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

CONTRARY_PER_NODE_MAX = 64
"""Limit of one node's signatures that contradict what this node executed; the oldest go."""


@dataclass(frozen=True, slots=True)
class Executed:
    """A block that is executed and not certified: its checkpoint, and who must agree on it."""

    checkpoint: Checkpoint
    required: tuple[tuple[NodeId, ...], ...]
    changes_voters: bool


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A node's valid signature on another content than this node executed at that height.

    ours: what this node executed. own: that node's valid signature on `ours`, if it came here.
    """

    node_id: NodeId
    theirs: SignedCheckpoint
    ours: Checkpoint
    own: SignedCheckpoint | None


@dataclass(slots=True)
class _Claim:
    """A signature as received; `valid` is None until it has been checked."""

    signed: SignedCheckpoint
    checkpoint: Checkpoint
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
    _contrary: dict[NodeId, dict[Height, _Claim]] = field(default_factory=dict)

    def executed(self, block: Executed, own: SignedCheckpoint | None) -> None:
        """This node executed, and unless `own` is None signed, a block; `own` needs no check."""
        height = Height(block.checkpoint.height)
        self._executed[height] = block
        if own is not None:
            self.vouched(own)
        for node_id, claims in self._claims.items():
            if height in claims and not self._agrees(claims[height], height):
                self._contradicts(node_id, claims.pop(height).signed)

    def vouched(self, own: SignedCheckpoint) -> None:
        """This node signed a block that it has executed; that needs no check."""
        self._claim(self.node_id, own).valid = True

    def received(
        self, node_id: NodeId, signed: SignedCheckpoint, *, ours: Checkpoint | None
    ) -> None:
        """A node's signature arrived; the connection proves nothing about it, only its check.

        ours: this node's own checkpoint of that height; None if it is still to be executed.
        """
        if node_id == self.node_id:
            return
        if ours is not None and signed.checkpoint(self.ledger_id) != ours:
            self._contradicts(node_id, signed)
        elif signed.height > self.certified_height:
            known = self._claims.get(node_id, {}).get(Height(signed.height))
            if known is None or (known.valid is not True and known.signed != signed):
                self._claim(node_id, signed)

    def _claim(self, node_id: NodeId, signed: SignedCheckpoint) -> _Claim:
        claims = self._claims.setdefault(node_id, {})
        claim = _Claim(signed, signed.checkpoint(self.ledger_id))
        claims[Height(signed.height)] = claim
        if len(claims) > SIGNATURES_PER_NODE_MAX:
            del claims[min(claims)]
        return claim

    def _contradicts(self, node_id: NodeId, signed: SignedCheckpoint) -> None:
        claims = self._contrary.setdefault(node_id, {})
        known = claims.get(Height(signed.height))
        if known is None or known.signed != signed:
            claims[Height(signed.height)] = _Claim(signed, signed.checkpoint(self.ledger_id))
        if len(claims) > CONTRARY_PER_NODE_MAX:
            del claims[min(claims)]

    def jobs(self) -> list[tuple[NodeId, SignedCheckpoint, SignatureJob]]:
        """Signatures worth checking now, each handed out once: those that could decide something.

        They are the ones on the newest height that would be certified if all were valid (rule 4),
        and every one that differs from what this node executed (rule 5).
        """
        if not self._executed and not self._contrary:
            return []
        wanted = [
            (node_id, claim)
            for node_id, claims in sorted(self._contrary.items())
            for claim in claims.values()
        ]
        height = self._candidate()
        if height is not None:
            wanted += [
                (node_id, claims[height])
                for node_id, claims in sorted(self._claims.items())
                if height in claims and self._agrees(claims[height], height)
            ]
        jobs = []
        for node_id, claim in wanted:
            if claim.valid is None and not claim.asked:
                claim.asked = True
                message = cosignature_message(claim.checkpoint, claim.signed.timestamp_s)
                job = SignatureJob(node_id, message, claim.signed.signature)
                jobs.append((node_id, claim.signed, job))
        return jobs

    def checked(
        self, node_id: NodeId, signed: SignedCheckpoint, *, valid: bool, ours: Checkpoint | None
    ) -> Contradiction | None:
        """A job's result; a valid signature on other content is returned: it is evidence."""
        height = Height(signed.height)
        found: Contradiction | None = None
        for kept in (self._claims, self._contrary):
            claim = kept.get(node_id, {}).get(height)
            if claim is None or claim.signed != signed:
                continue
            if not valid:
                del kept[node_id][height]
                continue
            claim.valid = True
            if kept is self._contrary and ours is not None:
                own = self._claims.get(node_id, {}).get(height)
                signed_ours = None if own is None or own.valid is not True else own.signed
                found = Contradiction(node_id, signed, ours, signed_ours)
        return found

    def contradicting(
        self, theirs: Checkpoint, required: Sequence[Sequence[NodeId]]
    ) -> Certificate | None:
        """A certificate of another content than this node executed, if there is one (rule 5).

        required: the sets of voters in force before the block of that height in this ledger.
        """
        signers = {
            node_id: claim.signed
            for node_id, claims in sorted(self._contrary.items())
            for claim in claims.values()
            if claim.valid is True and claim.signed.checkpoint(self.ledger_id) == theirs
        }
        if not _majorities(required, sorted(signers)):
            return None
        return Certificate.of(
            theirs,
            [
                Cosignature(node_id, signed.timestamp_s, signed.signature)
                for node_id, signed in signers.items()
                if any(node_id in voters for voters in required)
            ],
        )

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

    def uncertified_changes(self) -> list[Height]:
        """Executed changes of voters that are not certified: nothing above them can be (rule 3)."""
        return sorted(at for at, block in self._executed.items() if block.changes_voters)

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
        return claim.checkpoint == self._executed[height].checkpoint


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
