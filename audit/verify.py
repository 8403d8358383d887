"""The whole ledger, proved from its bytes in numbered steps. Pure: bytes come from a `Source`.

    1  genesis       every founder signed it; keys and settings are within the rules
    2  files         the store's files are what their checksums say (a data directory only)
    3  leaves        canonical bytes, authors' signatures, attachments
    4  blocks        heights, links, times, tree sizes and roots
    5  contracts     every record is one that the contracts accept there; every state root
    6  store         every stored key and value follows from the blocks (a data directory only)
    7  agreement     the Raft log is what leaders signed, and what blocks were made of (likewise)
    8  certificates  majorities of the voters in force vouch for checkpoints of this tree, and for
                     every change of the voters (`audit.certified`)
    9  memory        the ledger continues the checkpoint that this auditor saw last

A finding does not end the audit unless nothing after it could mean anything.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from audit.certified import VoterHistory, judge_certificates
from audit.findings import Finding
from audit.progress import MARK, Progress, ProgressRefused, chained, seal, unseal
from audit.raft_log import RaftLog
from audit.reading import judged_segments
from audit.replay import Replay
from audit.scratch import Scratch, Table
from audit.segments import Judge, Leaf, judge_at_once, reread
from audit.stored import KINDS, after, name_of
from contracts.consortium import check_genesis, next_step, node
from contracts.machine import Candidate, tip_after
from ledger import store_keys
from ledger.blocks import BlockHeader, block_hash
from ledger.certificates import Certificate
from ledger.checkpoints import Checkpoint, Cosignature, check_cosignature
from ledger.entries import ENTRY_RECORDS_MAX, Step
from ledger.errors import LedgerError
from ledger.genesis import GenesisFile
from ledger.records import Record
from ledger.types import LeafIndex

PROGRESS_LEAVES = 50_000
"""How far an audit that can be continued goes on at most before its progress is written."""

FINDINGS_MAX = 1_000
"""An audit that finds more stops there."""

STEPS = (
    "genesis",
    "files",
    "leaves",
    "blocks",
    "contracts",
    "store",
    "agreement",
    "certificates",
    "memory",
)

_DERIVED = (
    store_keys.ATTACHED,
    store_keys.BLOCK,
    store_keys.DOCUMENT,
    store_keys.LIST_ITEM,
    store_keys.LEAF,
    store_keys.NONCE,
    store_keys.RECORD,
    store_keys.TILE,
)


class Unreadable(Exception):
    """The source cannot go on giving bytes. remedy: what to do now."""

    remedy = "Name the directory of a stopped node or a copy, or a running node's URL and --token."

    def __init__(self, text: str, remedy: str | None = None) -> None:
        super().__init__(text)
        self.remedy = remedy or self.remedy


class Unreachable(Unreadable):
    """A running node does not answer."""

    remedy = "Is the node running, and the address right? A copy of its data directory does too."


class Source(Protocol):
    """Where a ledger's bytes come from."""

    @property
    def whole(self) -> bool:
        """Whether it is a node's whole store, so that every key can be compared."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`. Raises Unreadable."""

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start ≤ key < stop, in order. Raises Unreadable."""

    def damage(self) -> Iterable[tuple[str, str]]:
        """Places in its files that contradict their checksums, and how."""


Level = Literal["structure", "signatures", "full"]
"""How much is checked, from fast to full:

structure    genesis, files, links, tree and certificates: that the voters vouch for these bytes
signatures   also every author's signature and what is attached
full         also the contracts' results, every derived key and the Raft log
"""


@dataclass(slots=True)
class Report:
    """What an audit saw. holds: nothing was found.

    checkpoint: at the end of the last whole block. certified: the newest valid certificate's.
    signers: departments whose nodes signed it. resumed_height: up to which an earlier audit that
    this one continued had checked everything; 0 if none. steps: by name what was checked.
    """

    ledger_id: bytes
    fingerprint: str
    height: int = 0
    tree_size: int = 0
    root: bytes = b""
    records: int = 0
    time_ms: int = 0
    resumed_height: int = 0
    certified: Checkpoint | None = None
    signers: tuple[str, ...] = ()
    steps: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether everything that was checked is right."""
        return not self.findings


class _Enough(Exception):
    """Nothing after this could mean anything, or too much was found."""


class Audit:
    """One audit of one source."""

    def __init__(
        self,
        genesis: GenesisFile,
        source: Source,
        *,
        judge: Judge = judge_at_once,
        level: Level = "full",
        remembered: Checkpoint | None = None,
        scratch: Scratch | None = None,
        secret: bytes | None = None,
        progress: Callable[[str, int], None] = lambda step, done: None,
    ) -> None:
        """judge: where segments are judged. scratch: a store for what outgrows memory.

        secret: 32 bytes that seal how far the audit came (`audit.progress`): at the full level it
        continues the one whose progress the scratch store holds. Without it, the store is empty.
        progress(step, done): called with the number of leaves done.
        """
        self._genesis = genesis
        self._source = source
        self._judge = judge
        self._level = level
        self._remembered = remembered
        self._progress = progress
        self._scratch = scratch
        self._secret = secret if level == "full" else None
        self._replay = Replay(genesis, derive=source.whole, scratch=scratch)
        self._tip = self._replay.tip
        self._ends = Table(scratch, store_keys.BLOCK)
        self._ends_digest = bytes(32)
        self._saved_size = 0
        self._voters = VoterHistory([self._replay.tip.voters])
        self._due_steps: dict[int, Step] = {}
        self._attachments = 0
        self.report = Report(genesis.ledger_id, genesis.fingerprint)

    def run(self) -> Report:
        """All steps in order."""
        try:
            self._step_genesis()
            self._step_files()
            self._step_ledger()
            if self._source.whole and self._level == "full":
                self._step_store()
                self._step_agreement()
            self._step_certificates()
            self._step_memory()
        except _Enough:
            pass
        except Unreadable as error:
            self.report.findings.append(Finding("store-unreadable", "store", str(error)))
        return self.report

    def _find(self, code: str, place: str, detail: str) -> None:
        self.report.findings.append(Finding(code, place, detail))
        if len(self.report.findings) >= FINDINGS_MAX:
            raise _Enough

    # Steps 1 and 2.

    def _step_genesis(self) -> None:
        try:
            self._genesis.check()
            check_genesis(self._genesis.genesis)
        except LedgerError as error:
            self._find("genesis-invalid", "genesis", str(error))
            raise _Enough from None
        founders = len(self._genesis.genesis.departments)
        self.report.steps["genesis"] = f"signed by all {founders} founders"

    def _step_files(self) -> None:
        if not self._source.whole:
            return
        damages = 0
        for place, what in self._source.damage():
            damages += 1
            self._find("file-damaged", place, what)
        if damages == 0:
            self.report.steps["files"] = "every checksum fits"
        stored = self._source.get(store_keys.GENESIS_MARK)
        if stored != self._genesis.genesis_bytes:
            detail = "it holds no ledger" if stored is None else "its genesis is another one"
            self._find("other-ledger", "store", detail)
            raise _Enough

    # Steps 3 to 5.

    def _step_ledger(self) -> None:
        self._continue()
        deep = self._level != "structure"
        read = judged_segments(
            self._source,
            self._judge,
            first=self._tip.tree_size,
            signatures=deep,
            attachments=deep,
        )
        block: list[Leaf] = []
        for segment, judged in read:
            for leaf in reread(segment, judged):
                if leaf.finding is not None:
                    self._find(leaf.finding.code, leaf.finding.place, leaf.finding.detail)
                if leaf.parsed is None:
                    raise _Enough
                block.append(leaf)
                if len(block) > ENTRY_RECORDS_MAX + 1:
                    detail = f"more than {ENTRY_RECORDS_MAX} records have no block header"
                    self._find("incomplete-block", f"leaf {self._tip.tree_size}", detail)
                    raise _Enough
                if isinstance(leaf.parsed, BlockHeader):
                    self._block(block, leaf.parsed)
                    block = []
                    self._save()
            self._progress("ledger", segment.first + len(segment.leaves))
        if block:
            self.report.records += len(block)
            place = f"leaf {self._tip.tree_size}"
            self._find("incomplete-block", place, f"{len(block)} records have no block header")
        for index in self._replay.repeated_nonces():
            detail = "replayed: its key has used its nonce before"
            self._find("record-refused", f"leaf {index}", detail)
        self._report_ledger()

    def _continue(self) -> None:
        """Takes up the progress that the scratch store holds, if there is any."""
        if self._scratch is None or self._secret is None:
            return
        kept = self._scratch.get(MARK)
        if not kept:
            for prefix in (store_keys.STATE_VALUE, store_keys.NONCE, store_keys.BLOCK):
                self._scratch.clear(prefix)
            return
        progress = unseal(kept, self._secret)
        tip = progress.replayed.tip
        last = self._source.get(store_keys.leaf_key(LeafIndex(tip.tree_size - 1)))
        if (
            progress.ledger_id != self._genesis.ledger_id
            or progress.whole != self._source.whole
            or last is None
            or block_hash(last) != tip.block_hash
        ):
            raise ProgressRefused(f"this ledger has no such block {tip.height}: it is another one")
        self._replay.restore(progress.replayed)
        for _, end in self._scratch.scan(store_keys.BLOCK, after(store_keys.BLOCK)):
            self._ends_digest = chained(self._ends_digest, end)
        if self._ends_digest != progress.ends_digest:
            raise ProgressRefused("the scratch store holds other blocks than the progress says")
        self._tip, self._saved_size = tip, tip.tree_size
        self._voters = VoterHistory(progress.voter_sets, progress.voter_heights)
        self._due_steps = dict(progress.due_steps)
        self._attachments = progress.attachments
        self.report.records, self.report.resumed_height = progress.records, tip.height

    def _save(self) -> None:
        """After a block: writes what is too much for memory, and how far the audit came."""
        if self._scratch is None:
            return
        due = self._tip.tree_size - self._saved_size >= PROGRESS_LEAVES
        if not (self._replay.is_full or self._ends.is_full or (due and self._secret is not None)):
            return
        puts = self._replay.unsaved() | self._ends.unsaved()
        puts[MARK] = b""
        if self._secret is not None and self.report.holds:
            progress = Progress(
                version=1,
                ledger_id=self._genesis.ledger_id,
                whole=self._source.whole,
                replayed=self._replay.progress(),
                records=self.report.records,
                attachments=self._attachments,
                ends_digest=self._ends_digest,
                voter_heights=(0, *self._voters.changes),
                voter_sets=self._voters.sets,
                due_steps=tuple(sorted(self._due_steps.items())),
            )
            puts[MARK] = seal(progress, self._secret)
        self._scratch.write(puts)
        self._saved_size = self._tip.tree_size

    def _end(self, height: int) -> tuple[int, bytes] | None:
        """Tree size and root after a block; None if there is no such block."""
        end = self._ends.get(height.to_bytes(8, "big")) if 0 <= height < 1 << 63 else None
        return None if end is None else (store_keys.read_number(end[:8]), end[8:])

    def _report_ledger(self) -> None:
        tip, report = self._tip, self.report
        report.height, report.tree_size = tip.height, tip.tree_size
        report.root, report.time_ms = tip.tree().root(), tip.time_ms
        report.steps["leaves"] = (
            f"{report.records} records, their signatures not checked"
            if self._level == "structure"
            else f"{report.records} records with valid signatures, {self._attachments} attachments"
        )
        report.steps["blocks"] = f"{tip.height} blocks link up to genesis"
        if self._level == "full":
            report.steps["contracts"] = f"replayed; state root {tip.state_root.hex()[:16]}…"

    def _block(self, leaves: list[Leaf], header: BlockHeader) -> None:
        """One block: its authors, its links, and at the full level its execution.

        leaves: its records' and, last, its header's.
        """
        place = f"block {header.height}"
        last = leaves.pop()
        records = [leaf.parsed for leaf in leaves if isinstance(leaf.parsed, Record)]
        self.report.records += len(records)
        for leaf, record in zip(leaves, records, strict=True):
            self._attachments += record.attached is not None
            if not leaf.signed:
                self._find("bad-signature", f"leaf {leaf.index}", f"of {record.header.department}")
        self._links(place, last.index - len(records), header, len(records))
        if self._level == "full":
            candidates = [
                Candidate(record, "", leaf.signed, leaf.leaf_hash)
                for leaf, record in zip(leaves, records, strict=True)
            ]
            self._execute(place, last.data, header, candidates)
        else:
            hashes = [leaf.leaf_hash for leaf in (*leaves, last)]
            self._tip = tip_after(header, last.data, self._tip.tree().extend(hashes))
        tip = self._tip
        end = tip.tree_size.to_bytes(8, "big") + tip.tree().root()
        self._ends.update({tip.height.to_bytes(8, "big"): end})
        self._ends_digest = chained(self._ends_digest, end)
        self._voters.block(header)

    def _execute(
        self, place: str, data: bytes, header: BlockHeader, candidates: list[Candidate]
    ) -> None:
        """Step 5 for one block, and what a store derives from it."""
        due = next_step(self._replay.view(), self._replay.tip.voters)
        if due is not None:
            self._due_steps[header.height] = due
        replayed = self._replay.execute_judged(header, candidates, attachments_judged=True)
        for refused in replayed.block.refused:
            refusal = refused.refusal
            if refusal.code != "bad-signature":
                name = "?" if refused.record_id is None else refused.record_id.hex()[:16]
                detail = f"record {name}…: {refusal.code}: {refusal.detail}"
                self._find("record-refused", place, detail)
        if replayed.block.header_bytes != data:
            self._find("wrong-block", place, _difference(replayed.block.header, header))
            raise _Enough
        self._tip = self._replay.tip
        if self._source.whole:
            for key, value in replayed.stored:
                self._compare(key, value, place)

    def _links(self, place: str, first: int, header: BlockHeader, count: int) -> None:
        tip = self._tip
        checks: tuple[tuple[str, Any, Any], ...] = (
            ("ledger id", header.ledger_id, self._genesis.ledger_id),
            ("height", header.height, tip.height + 1),
            ("previous hash", header.previous_hash, tip.block_hash),
            ("tree size", header.tree_size, first),
            ("tree root", header.tree_root, tip.tree().root()),
            ("record count", header.record_count, count),
        )
        wrong = [name for name, said, true in checks if said != true]
        if header.time_ms < tip.time_ms:
            wrong.append("time")
        if header.term < tip.term:
            wrong.append("term")
        if wrong:
            self._find("broken-link", place, f"wrong: {', '.join(wrong)}")
            raise _Enough

    # Step 6.

    def _compare(self, key: bytes, value: bytes, place: str) -> None:
        if key[:1] == store_keys.LEAF:
            return  # that is where it was read from
        stored = self._source.get(key)
        if stored is None:
            self._find("key-missing", f"{place}, {name_of(key)}", "it is not in the store")
        elif stored != value:
            self._find("key-differs", f"{place}, {name_of(key)}", "the store holds another value")

    def _step_store(self) -> None:
        for prefix in _DERIVED:
            count = sum(1 for _ in self._source.scan(prefix, after(prefix)))
            expected = self._replay.counts.get(prefix, 0)
            if count > expected:
                detail = f"{count - expected} more than follow from the blocks"
                self._find("key-unexpected", f"{KINDS[prefix]} keys", detail)
        self._compare_all(store_keys.STATE_VALUE, self._replay.state)
        self._compare_all(store_keys.STATE_PAGE, self._replay.pages)
        if self._source.get(store_keys.TIP_MARK) != self._replay.tip.to_bytes():
            self._find("mark-invalid", "mark tip", "it is not the last block's")
        known = b"".join((*_DERIVED, b"cemopvwx"))
        for key, _ in self._source.scan(b"", b"\xff"):
            if key[0] not in known:
                self._find("key-unexpected", name_of(key), "no such kind of key exists")
        self.report.steps["store"] = "every key follows from the blocks"

    def _compare_all(self, prefix: bytes, expected: Table) -> None:
        seen = 0
        for key, value in self._source.scan(prefix, after(prefix)):
            seen += 1
            right = expected.get(key[1:])
            if right is None:
                self._find("key-unexpected", name_of(key), "it does not follow from the blocks")
            elif right != value:
                self._find("key-differs", name_of(key), "the store holds another value")
        count = sum(1 for _ in expected.items())
        if seen < count:
            self._find("key-missing", f"{KINDS[prefix]} keys", f"{count - seen} missing")

    # Step 7.

    def _step_agreement(self) -> None:
        log = RaftLog(
            self._source,
            self._genesis.ledger_id,
            tip_height=self._replay.tip.height,
            view=self._replay.view(),
            due_steps=self._due_steps,
            voters=self._voters,
            block_end=self._end,
            find=self._find,
        )
        kept = log.check()
        if kept is not None:
            self.report.steps["agreement"] = kept

    # Steps 8 and 9.

    def _step_certificates(self) -> None:
        made = judge_certificates(
            self._source.scan(store_keys.CERTIFICATE, after(store_keys.CERTIFICATE)),
            ledger_id=self._genesis.ledger_id,
            history=self._voters,
            block_end=self._end,
        )
        for finding in made.findings:
            self._find(finding.code, finding.place, finding.detail)
        if made.newest is None:
            self._find("certificate-missing", "certificates", "there is no valid one")
            return
        self.report.certified = made.newest.checkpoint
        self.report.signers = self._departments(made.newest)
        changes = len(self._voters.changes)
        self.report.steps["certificates"] = (
            f"{made.count} valid; the newest covers height {made.newest.height}"
            + (f"; the voters changed {changes} times" if changes else "")
        )

    def _departments(self, certificate: Certificate) -> tuple[str, ...]:
        found = []
        for entry in certificate.cosignatures:
            cosignature = Cosignature(entry.node_id, entry.timestamp_s, entry.signature)
            assert check_cosignature(certificate.checkpoint, cosignature)
            state = node(self._replay.view(), entry.node_id)
            found.append("?" if state is None else state.department)
        return tuple(sorted(found))

    def _step_memory(self) -> None:
        seen = self._remembered
        if seen is None:
            self.report.steps["memory"] = "no earlier checkpoint is remembered"
            return
        place = f"block {seen.height}"
        end = self._end(seen.height)
        if end is None:
            self._find("ledger-shorter", place, f"the ledger ends at {self.report.height}")
        elif end != (seen.tree_size, seen.root):
            self._find("ledger-forked", place, "it is another block than the one seen earlier")
        else:
            self.report.steps["memory"] = f"continues the checkpoint of height {seen.height}"


def _difference(made: BlockHeader, said: BlockHeader) -> str:
    names = [name for name in made.__struct_fields__ if getattr(made, name) != getattr(said, name)]
    return f"executing its records gives another {', '.join(names) or 'spelling'}"
