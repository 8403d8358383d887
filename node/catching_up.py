"""Catching up by certified blocks: what Raft's InstallSnapshot is here (Raft §7, P41).

    offer ── ask ──> blocks and certificate ── check ──> waiting ── signatures ──> execute, install

1. Nothing is executed that a certificate does not prove: the blocks link to this ledger's end, and
   the tree at their own end leads by a consistency path into the certificate's root.
2. The certificate is judged by the voters at the place the blocks begin at, so no block before its
   own may change voters; if its own does, the set after it has to have signed too.
3. Every block is executed like any other, records' signatures included, and must come out as it
   came in. What was executed is installed in the core in the same batch, so every crash leaves a
   ledger and a log that fit (P40).

Nobody is trusted, so anybody may be asked: the leader first, then every other member in turn.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.machine import Candidate
from ledger.blocks import BlockHeader, VoterSets, block_hash, parse_block_header
from ledger.certificates import Certificate, check_form, parse_certificate, required_sets
from ledger.checkpoints import Checkpoint, contradict, cosignature_message
from ledger.errors import CertificateRefused, Malformed, ProofMismatch
from ledger.proofs import check_consistency
from ledger.records import parse_record
from ledger.tree import CompactRange, leaf_hash
from ledger.types import NodeId, TreeSize
from node.chain import Chain
from node.messages import BlocksWanted, CertifiedBlocks, ServedBlock
from node.ports import SignatureChecker

LEADERLESS_TICKS = 50
"""Ticks without a leader after which this node asks whether there are blocks that it lacks."""

ASK_AGAIN_TICKS = 20
"""Ticks without an answer after which another member is asked."""

WAITING_BYTES_MAX = 2 * 1024 * 1024
"""Bytes of checked blocks that wait for execution before no more are asked for."""


@dataclass(frozen=True, slots=True)
class ProvedBlock:
    """A block that a certificate proves. certificate: set if it is of this very block.

    candidates: the records, parsed, with their leaves' hashes.
    """

    header: BlockHeader
    header_bytes: bytes
    records: tuple[bytes, ...]
    candidates: tuple[Candidate, ...]
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class Contradicted:
    """A good certificate that no ledger can have together with this node's (`evidence`)."""

    certificate: Certificate
    ours: Checkpoint
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _End:
    """The end of what is proved so far, from which the next blocks are judged."""

    height: int
    block_hash: bytes
    tree: CompactRange
    voters: VoterSets


class CatchingUp:
    """One node's way to the end of the ledger, while the core says that it is behind the log.

    wanted: the height that has to be reached, 0 while nothing is wanted. waiting: proved blocks, to
    be executed in order; the first is right after the chain's tip. Invariant: `_end` is None, or
    above the chain's tip.
    """

    __slots__ = (
        "_asked",
        "_chain",
        "_check",
        "_checked",
        "_end",
        "_leaderless_ticks",
        "_ledger_id",
        "_node_id",
        "_since_asked",
        "_turn",
        "_waiting_bytes",
        "waiting",
        "wanted",
    )

    def __init__(
        self, ledger_id: bytes, node_id: NodeId, chain: Chain, check: SignatureChecker
    ) -> None:
        self._ledger_id = ledger_id
        self._check = check
        self._checked = b""
        self._node_id = node_id
        self._chain = chain
        self.wanted = 0
        self.waiting: deque[ProvedBlock] = deque()
        self._waiting_bytes = 0
        self._asked: NodeId | None = None
        self._since_asked = 0
        self._leaderless_ticks = 0
        self._turn = 0
        self._end: _End | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is wanted and nothing waits."""
        return not self.waiting and not self.wanted

    @property
    def is_leaderless(self) -> bool:
        """Whether no leader was known for LEADERLESS_TICKS.

        Everyone whom this node knows may have been replaced meanwhile: then strangers are asked.
        """
        return self._leaderless_ticks >= LEADERLESS_TICKS

    def want(self, height: int) -> None:
        """The core needs the state at `height` or later."""
        self.wanted = max(self.wanted, height)

    def executed(self) -> None:
        """The chain has grown, by these blocks or by others: what lies below its tip goes."""
        height = self._chain.tip.height
        while self.waiting and self.waiting[0].header.height <= height:
            self._waiting_bytes -= sum(map(len, self.waiting.popleft().records))
        if not self.waiting:
            self._waiting_bytes = 0
            if self._end is not None and self._end.height <= height:
                self._end = None
        if self.wanted <= height:
            self.wanted = 0

    def start_over(self) -> None:
        """What waits does not follow the chain's tip: another branch, or other bytes."""
        self.waiting.clear()
        self._waiting_bytes = 0
        self._asked = None
        self._end = None

    def tick(self, *, leaderless: bool) -> None:
        """One tick has passed. leaderless: whether no leader is known.

        Only the leader says how far the log is, and whoever leads now may be nobody that this node
        knows yet: a newcomer knows those whom genesis names. So it also asks by itself.
        """
        self._leaderless_ticks = self._leaderless_ticks + 1 if leaderless else 0
        if leaderless and self._leaderless_ticks % LEADERLESS_TICKS == 0:
            self.want(self._chain.tip.height + 1)
        self._since_asked += 1
        if self._asked is not None and self._since_asked >= ASK_AGAIN_TICKS:
            self._asked = None
            self._turn += 1

    def ask(
        self, members: Sequence[NodeId], leader: NodeId | None
    ) -> tuple[NodeId, BlocksWanted] | None:
        """Whom to ask for what now; None while nothing is wanted or an answer is on its way."""
        if not self.wanted or self._asked is not None or self._waiting_bytes >= WAITING_BYTES_MAX:
            return None
        end = self._proved_end()
        if self.wanted <= end.height:
            return None
        others = [node for node in members if node != self._node_id]
        if leader in others:
            others.remove(leader)
            others.insert(0, leader)
        if not others:
            return None
        self._asked = others[self._turn % len(others)]
        self._since_asked = 0
        return self._asked, BlocksWanted(end.height, end.tree.size)

    def receive(
        self, sender: NodeId, message: CertifiedBlocks
    ) -> tuple[ProvedBlock, ...] | Contradicted:
        """Blocks arrived: those that are proved, now waiting, or what contradicts this ledger.

        From anyone who was not asked, or who proves nothing, they are none; the next member is
        asked then, after ASK_AGAIN_TICKS.
        """
        if sender != self._asked or message.height != self._proved_end().height:
            return ()
        found = self.take(message)
        if found and not isinstance(found, Contradicted):
            self._asked = None
        return found

    def take(self, message: CertifiedBlocks) -> tuple[ProvedBlock, ...] | Contradicted:
        """The same for blocks from anyone at all, who need not have been asked."""
        start = self._proved_end()
        if message.height != start.height:
            return ()
        try:
            end, proved, certificate = prove(self._ledger_id, start, message)
            self._check_signatures(certificate)
        except (Malformed, ProofMismatch, CertificateRefused):
            return self._contradicted(start, message) or ()
        self._end = end
        self.waiting.extend(proved)
        self._waiting_bytes += sum(len(raw) for block in proved for raw in block.records)
        return proved

    def next_question(self) -> BlocksWanted:
        """What anyone would be asked who has newer blocks."""
        end = self._proved_end()
        return BlocksWanted(end.height, end.tree.size)

    def _contradicted(self, start: _End, message: CertifiedBlocks) -> Contradicted | None:
        """Whether the certificate itself, good by the voters here, proves another branch."""
        tip = self._chain.tip
        if start.height != tip.height or not message.path_before:
            return None
        ours = self._chain.checkpoint()
        try:
            certificate = parse_certificate(message.certificate)
            sets = tip.voters.sets()
            check_form(certificate, ledger_id=self._ledger_id, voter_sets=sets)
            self._check_signatures(certificate)
        except (Malformed, CertificateRefused):
            return None
        if contradict(ours, certificate.checkpoint, message.path_before):
            return Contradicted(certificate, ours, message.path_before)
        return None

    def _check_signatures(self, certificate: Certificate) -> None:
        """Raises CertificateRefused if one does not fit; the one checked last is good."""
        data = certificate.to_bytes()
        if data == self._checked:
            return
        for entry in certificate.signers:
            message = cosignature_message(certificate.checkpoint, entry.timestamp_s)
            if not self._check(entry.node_id, message, entry.signature):
                raise CertificateRefused("certificate", "a signature does not fit")
        self._checked = data

    def _proved_end(self) -> _End:
        """The end of the proved blocks that wait, or the chain's while none do."""
        if self._end is not None:
            return self._end
        tip = self._chain.tip
        return _End(tip.height, tip.block_hash, tip.tree(), tip.voters)


def prove(
    ledger_id: bytes, start: _End, message: CertifiedBlocks
) -> tuple[_End, tuple[ProvedBlock, ...], Certificate]:
    """The blocks that the certificate proves, where they end, and the certificate (rules 1 and 2).

    Its signatures are still to be checked.

    Raises Malformed, ProofMismatch or CertificateRefused if they are not proved.
    """
    if not message.blocks:
        raise Malformed("certified blocks", "there are none")
    certificate = parse_certificate(message.certificate)
    end = start
    proved: list[ProvedBlock] = []
    for block in message.blocks:
        if end.voters != start.voters:
            raise Malformed("certified blocks", "voters change before the certificate's block")
        header, candidates, end = _next(ledger_id, end, block)
        own = certificate if header.height == certificate.height else None
        proved.append(ProvedBlock(header, block.header, block.records, candidates, own))
    if end.voters != start.voters and end.height != certificate.height:
        raise Malformed("certified blocks", "voters change before the certificate's block")
    if end.height == certificate.height and end.tree.size != certificate.tree_size:
        raise ProofMismatch("certified blocks", "the certificate has another tree size")
    check_consistency(
        old_size=end.tree.size,
        old_root=end.tree.root(),
        new_size=TreeSize(certificate.tree_size),
        new_root=certificate.root,
        proof=message.path,
    )
    sets = required_sets(start.voters, end.voters)
    check_form(certificate, ledger_id=ledger_id, voter_sets=sets)
    return end, tuple(proved), certificate


def _next(
    ledger_id: bytes, end: _End, block: ServedBlock
) -> tuple[BlockHeader, tuple[Candidate, ...], _End]:
    """The block's header and records, if it follows `end`, and the end after it."""
    header = parse_block_header(block.header)
    follows = (
        header.ledger_id == ledger_id
        and header.height == end.height + 1
        and header.previous_hash == end.block_hash
        and header.tree_size == end.tree.size
        and header.record_count == len(block.records)
    )
    if not follows:
        raise Malformed("certified blocks", f"block {header.height} does not follow")
    records = [parse_record(raw) for raw in block.records]
    hashes = [leaf_hash(record.leaf_bytes) for record in records]
    candidates = tuple(
        Candidate(record, "", signature_valid=False, leaf_hash=hashed)
        for record, hashed in zip(records, hashes, strict=True)
    )
    tree = end.tree.extend((*hashes, leaf_hash(block.header)))
    return header, candidates, _End(header.height, block_hash(block.header), tree, header.voters)
