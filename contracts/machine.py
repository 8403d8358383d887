"""Executes entries: records in order, each accepted or refused, then the block that says so.

    tip + entry ── checks ── contracts ── state ──> block, writes, next tip

The result is a function of the tip, the state and the entry alone. Checks that every record has to
pass come before its contract, cheapest first, and each has a refusal code of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from contracts.consortium import (
    department_of_key,
    genesis_voters,
    out_of_force,
    setting,
    voters_after,
)
from contracts.context import Context
from contracts.exchanges import lines_fault, single_line_fault
from contracts.refusals import Refusal
from contracts.registry import CONTRACTS
from contracts.state import Overlay, View
from ledger.attachments import attached_fault, parse_items
from ledger.blocks import BlockHeader, VoterSets, block_hash
from ledger.codec import Decoder, Format, encode
from ledger.entries import Entry
from ledger.errors import Malformed
from ledger.genesis import GenesisFile
from ledger.records import Record, parse_record
from ledger.state_tree import StateTree
from ledger.tree import CompactRange, leaf_hash
from ledger.types import Hash, Height, LeafIndex, Natural, TreeSize, next_height, next_leaf_index

_CONTRACT_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What a contract's own mistake raises; it strikes every replica alike. A damaged store raises
something else, and lack of memory too: those must end the node instead."""


class Tip(Format, frozen=True):
    """The end of the executed ledger: everything the next block builds on.

    tree_size, tree_hashes: the compact range over all leaves. time_ms: the block's.
    """

    height: Natural
    term: Natural
    time_ms: Natural
    block_hash: Hash
    tree_size: Natural
    tree_hashes: tuple[Hash, ...]
    state_root: Hash
    voters: VoterSets

    def to_bytes(self) -> bytes:
        """The tip as a store keeps it."""
        return encode(self)

    def tree(self) -> CompactRange:
        """The tree so far."""
        return CompactRange(TreeSize(self.tree_size), self.tree_hashes)


_TIP: Decoder[Tip] = Decoder(Tip, what="tip", bytes_max=64 * 1024)


def parse_tip(data: bytes) -> Tip:
    """A tip from its bytes. Raises Malformed."""
    return _TIP.decode(data)


def genesis_tip(genesis: GenesisFile, *, state_root: bytes) -> Tip:
    """Height 0: no leaf yet; the first block's previous hash is the ledger id."""
    return Tip(
        height=0,
        term=0,
        time_ms=genesis.genesis.created_ms,
        block_hash=genesis.ledger_id,
        tree_size=0,
        tree_hashes=(),
        state_root=state_root,
        voters=genesis_voters(genesis.genesis),
    )


def tip_after(header: BlockHeader, header_bytes: bytes, tree: CompactRange) -> Tip:
    """The tip that a block makes. tree: with all its leaves."""
    return Tip(
        height=header.height,
        term=header.term,
        time_ms=header.time_ms,
        block_hash=block_hash(header_bytes),
        tree_size=tree.size,
        tree_hashes=tree.hashes,
        state_root=header.state_root,
        voters=header.voters,
    )


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A record on its way in. record: None if the bytes are none, and then `fault` says why.

    signature_valid: whether its signature is its header's key's, by `ledger.signatures.verify`.
    leaf_hash: of its leaf, None if it is still to be hashed.
    """

    record: Record | None
    fault: str
    signature_valid: bool
    leaf_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that is not in the ledger. record_id: None if its bytes are no record."""

    record_id: bytes | None
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class ExecutedBlock:
    """What one entry made.

    accepted: in order; their leaves start at `first_leaf_index`, the header's leaf follows.
    leaf_hashes: of all new leaves. writes: state values by key. pages: of the state tree by path.
    list_items: (list key, number, item) appended to growing lists.
    """

    header: BlockHeader
    header_bytes: bytes
    first_leaf_index: LeafIndex
    accepted: tuple[Record, ...]
    refused: tuple[Refused, ...]
    leaf_hashes: tuple[bytes, ...]
    writes: dict[bytes, bytes]
    pages: dict[bytes, bytes]
    list_items: tuple[tuple[bytes, int, bytes], ...]
    tip: Tip

    @property
    def height(self) -> Height:
        """The block's height."""
        return Height(self.header.height)


def candidate(raw: bytes) -> Candidate:
    """A record's bytes as a candidate whose signature is still to be checked."""
    try:
        return Candidate(parse_record(raw), "", signature_valid=False)
    except Malformed as error:
        return Candidate(None, str(error), signature_valid=False)


class Execution:
    """One block while its records are judged, in order."""

    def __init__(
        self,
        *,
        ledger_id: bytes,
        height: Height,
        time_ms: int,
        view: View,
        voters: VoterSets,
        nonce_used: Callable[[bytes, bytes], bool],
        attachments_may_be_missing: bool = False,
        attachments_judged: bool = False,
        decoded: dict[bytes, Any] | None = None,
    ) -> None:
        """voters: in force after the entry's step.

        decoded: what the executions of all blocks before this one were given; None for a new one.
        attachments_judged: whether what is attached was compared with its header and lines before.
        nonce_used(key, nonce): whether an earlier block accepted a record with both.
        """
        self._ledger_id = ledger_id
        self._height = height
        self._time_ms = time_ms
        self._state = Overlay(view, decoded)
        self._voters = voters
        self._nonce_used = nonce_used
        self._lenient = attachments_may_be_missing
        self._judged = attachments_judged
        self._window_ms = setting(view, "record-window-ms")
        self._skew_ms = setting(view, "record-skew-ms")
        self._quota = setting(view, "records-per-block")
        self._nonces: set[tuple[bytes, bytes]] = set()
        self._counts: dict[str, int] = {}

    @property
    def writes(self) -> dict[bytes, bytes]:
        """State values written so far."""
        return self._state.writes

    @property
    def list_items(self) -> tuple[tuple[bytes, int, bytes], ...]:
        """Items appended to growing lists so far."""
        return tuple(self._state.items)

    def judge(self, entry: Candidate) -> Refusal | None:
        """Accepts the next record and applies its writes, or says why not."""
        record = entry.record
        if record is None:
            return Refusal("malformed-record", entry.fault)
        header = record.header
        self._state.begin()
        standing = out_of_force(self._state, header.department)
        refusal = self._envelope(record, standing, signature_valid=entry.signature_valid)
        if refusal is not None:
            return refusal
        contract = CONTRACTS.get(header.kind)
        if contract is None:
            return Refusal("unknown-kind", header.kind)
        if standing is not None and not contract.while_suspended:
            return standing
        try:
            body = contract.body.decode(bytes(header.body))
        except Malformed as error:
            return Refusal("malformed-body", str(error))
        attached = self._attached(record, contract.attaches, body)
        if attached is not None:
            return attached
        context = self._context(record)
        self._state.begin()
        try:
            refusal = contract.judge(context, body)
        except _CONTRACT_FAILURES as error:
            refusal = Refusal("internal-error", f"{header.kind}: {type(error).__name__}")
        if refusal is not None:
            self._state.drop()
        else:
            self._state.keep()
            self._nonces.add((header.key, header.nonce))
            self._counts[header.department] = self._counts.get(header.department, 0) + 1
        return refusal

    def _envelope(
        self, record: Record, standing: Refusal | None, *, signature_valid: bool
    ) -> Refusal | None:
        """standing: why its department is out of force, None if it is not."""
        header = record.header
        if header.ledger_id != self._ledger_id:
            return Refusal("wrong-ledger", header.ledger_id.hex())
        if standing is not None and standing.code != "department-suspended":
            return standing
        if department_of_key(self._state, header.key) != header.department:
            return Refusal("unknown-key", f"{header.key.hex()} for {header.department}")
        window_ms = header.valid_until_ms - header.created_ms
        if not 0 < window_ms <= self._window_ms:
            return Refusal("window-too-long", f"{window_ms} ms, 1 to {self._window_ms} allowed")
        if header.created_ms > self._time_ms + self._skew_ms:
            return Refusal("not-yet-valid", f"{header.created_ms - self._time_ms} ms ahead")
        if self._time_ms >= header.valid_until_ms:
            return Refusal("expired", f"{self._time_ms - header.valid_until_ms} ms ago")
        nonce = (header.key, header.nonce)
        if nonce in self._nonces or self._nonce_used(*nonce):
            return Refusal("replayed", header.nonce.hex())
        if self._counts.get(header.department, 0) >= self._quota:
            return Refusal("quota-exceeded", f"{self._quota} records a block")
        if not signature_valid:
            return Refusal("bad-signature", header.key.hex())
        return None

    def _attached(self, record: Record, wanted: str | None, body: Any) -> Refusal | None:
        announced = record.header.attached
        form = None if announced is None else announced.form
        if form != wanted:
            return Refusal("attachment-mismatch", f"{wanted or 'nothing'} belongs to this kind")
        if announced is None:
            return None
        fault = single_line_fault(body.lines, announced) if form == "items" else None
        if fault is None and record.attached is None:
            fault = None if self._lenient and form == "items" else "it is missing"
        elif fault is None and not self._judged and record.attached is not None:
            fault = attached_fault(announced, record.attached)
            if fault is None and form == "items" and len(body.lines) > 1:
                fault = lines_fault(body.lines, parse_items(record.attached))
        return None if fault is None else Refusal("attachment-mismatch", fault)

    def _context(self, record: Record) -> Context:
        announced = record.header.attached
        is_document = announced is not None and announced.form == "document"
        return Context(
            ledger_id=self._ledger_id,
            voters=self._voters,
            state=self._state,
            department=record.header.department,
            actor=record.header.actor,
            record_id=record.record_id,
            time_ms=self._time_ms,
            height=self._height,
            document=record.attached if is_document else None,
            items=announced.count if announced is not None and not is_document else 0,
        )


def _judge_all(
    execution: Execution, candidates: Sequence[Candidate]
) -> tuple[list[Record], list[bytes], list[Refused]]:
    """Accepted records, their leaves' hashes, and refused records, each in order."""
    accepted: list[Record] = []
    hashes: list[bytes] = []
    refused: list[Refused] = []
    for each in candidates:
        refusal = execution.judge(each)
        if refusal is None:
            assert each.record is not None
            accepted.append(each.record)
            hashes.append(each.leaf_hash or leaf_hash(each.record.leaf_bytes))
        else:
            record_id = None if each.record is None else each.record.record_id
            refused.append(Refused(record_id, refusal))
    return accepted, hashes, refused


def execute_entry(
    *,
    ledger_id: bytes,
    tip: Tip,
    term: int,
    entry_hash: bytes,
    entry: Entry,
    candidates: Sequence[Candidate],
    view: View,
    state_tree: StateTree,
    nonce_used: Callable[[bytes, bytes], bool],
    attachments_may_be_missing: bool = False,
    attachments_judged: bool = False,
    decoded: dict[bytes, Any] | None = None,
) -> ExecutedBlock:
    """The block of the entry after `tip`. candidates: of `entry.records`, in order.

    entry.time_ms before the tip's time counts as the tip's. view, state_tree: as of the tip, and so
    is the decision that an entry's step has to match; the step is executed before the records.
    decoded: the caller's own, empty at first and given with every block, if it executes them all.
    """
    height = next_height(Height(tip.height))
    voters = voters_after(view, tip.voters, entry.step)
    execution = Execution(
        ledger_id=ledger_id,
        height=height,
        time_ms=max(entry.time_ms, tip.time_ms),
        view=view,
        voters=voters,
        nonce_used=nonce_used,
        attachments_may_be_missing=attachments_may_be_missing,
        attachments_judged=attachments_judged,
        decoded=decoded,
    )
    accepted, hashes, refused = _judge_all(execution, candidates)
    update = state_tree.update(execution.writes)
    tree = tip.tree()
    header = BlockHeader(
        version=1,
        ledger_id=ledger_id,
        height=height,
        previous_hash=tip.block_hash,
        term=term,
        entry_hash=entry_hash,
        time_ms=max(entry.time_ms, tip.time_ms),
        tree_size=tip.tree_size,
        tree_root=tree.root(),
        state_root=update.root,
        voters=voters,
        record_count=len(accepted),
    )
    header_bytes = header.to_bytes()
    hashes.append(leaf_hash(header_bytes))
    grown = tree.extend(hashes)
    return ExecutedBlock(
        header=header,
        header_bytes=header_bytes,
        first_leaf_index=next_leaf_index(TreeSize(tip.tree_size)),
        accepted=tuple(accepted),
        refused=tuple(refused),
        leaf_hashes=tuple(hashes),
        writes=execution.writes,
        pages=update.pages,
        list_items=execution.list_items,
        tip=tip_after(header, header_bytes, grown),
    )
