"""Ledgers in memory whose makers hold every key: whole stores that forge, fork and certify.

A `Branch` is what one node's store would hold, made by the contracts and signed by whomever a test
names. It can be copied at any height and go on differently.
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import plyvel
from builders import START_MS, Consortium

from audit.replay import Replay
from contracts.consortium import next_step, voters_after
from contracts.governance import Ballot, Propose
from contracts.membership import Action
from ledger import store_keys
from ledger.blocks import BlockHeader
from ledger.certificates import Certificate
from ledger.checkpoints import Checkpoint, Cosignature, cosignature_message
from ledger.codec import encode
from ledger.entries import Entry, Step
from ledger.records import Record
from ledger.signatures import verify
from ledger.state_tree import StateTree
from ledger.statements import entry_hash, proposal_statement
from ledger.types import Height


def cosign(consortium: Consortium, department: str, checkpoint: Checkpoint) -> Cosignature:
    """The department's node's signature on any checkpoint."""
    signer = consortium.checkpoint_signer(department)
    timestamp_s = START_MS // 1000 + checkpoint.height
    message = cosignature_message(checkpoint, timestamp_s)
    return Cosignature(signer.public_key, timestamp_s, signer.sign(message))


class Branch:
    """One store; a source for the auditor."""

    whole = True

    def __init__(self, consortium: Consortium) -> None:
        self.consortium = consortium
        self.genesis = consortium.genesis_file
        self.replay = Replay(self.genesis)
        self.values: dict[bytes, bytes] = {
            store_keys.GENESIS_MARK: self.genesis.genesis_bytes,
            store_keys.FORMAT_MARK: b"concordat-store/1",
        }
        self.damages: list[tuple[str, str]] = []
        self._previous_hash = self.genesis.ledger_id
        self._keep()

    # As a source.

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(key for key in self.values if start <= key < stop):
            yield key, self.values[key]

    def damage(self) -> Iterable[tuple[str, str]]:
        return self.damages

    # As its makers.

    def copy(self) -> "Branch":
        """The same ledger, to be continued differently."""
        other = object.__new__(Branch)
        other.consortium, other.genesis = self.consortium, self.genesis
        other.values, other.damages = dict(self.values), list(self.damages)
        other._previous_hash = self._previous_hash
        other.replay = deepcopy(self.replay)
        other.replay._tree = StateTree(other.replay.pages.get)
        return other

    @property
    def checkpoint(self) -> Checkpoint:
        """At the end of the last block."""
        tip = self.replay.tip
        return Checkpoint(self.genesis.ledger_id, tip.height, tip.tree_size, tip.tree().root())

    def block(
        self,
        *records: Record,
        time_ms: int | None = None,
        term: int = 1,
        leader: str | None = None,
        log: bool = True,
        steps: bool = False,
        step: Step | None = None,
    ) -> None:
        """The next block, of records that the contracts accept, with its Raft entry.

        steps: whether the entry has the configuration step that is due; step: another one.
        """
        tip = self.replay.tip
        step = next_step(self.replay.view(), tip.voters) if steps else step
        height = tip.height + 1
        time_ms = START_MS + 10_000 + 100 * height if time_ms is None else time_ms
        data = encode(Entry(time_ms, step, tuple(record.to_bytes() for record in records)))
        statement = proposal_statement(
            self.genesis.ledger_id,
            term=term,
            index=height,
            previous_hash=self._previous_hash,
            data=data,
        )
        digest = entry_hash(
            self.genesis.ledger_id,
            term=term,
            index=height,
            previous_hash=self._previous_hash,
            data=data,
        )
        header = BlockHeader(
            version=1,
            ledger_id=self.genesis.ledger_id,
            height=height,
            previous_hash=tip.block_hash,
            term=term,
            entry_hash=digest,
            time_ms=time_ms,
            tree_size=tip.tree_size,
            tree_root=tip.tree().root(),
            state_root=bytes(32),
            voters=voters_after(self.replay.view(), tip.voters, step),
            record_count=len(records),
        )
        valid = [
            verify(record.header.key, record.statement(), record.signature) for record in records
        ]
        made = self.replay.execute(header, records, valid)
        assert not made.block.refused, made.block.refused
        self.values.update(made.stored)
        if log:
            department = leader or self.consortium.departments[0]
            signature = self.consortium.proposal_signer(department).sign(statement)
            proposer = self.consortium.checkpoint_signer(department).public_key
            entry = ((term, height, data, proposer, signature), digest)
            self.values[store_keys.entry_key(height)] = encode(entry)
        self._previous_hash = digest
        self._keep()

    def decide(self, action: Action, *, ballots: int | None = None) -> None:
        """Two blocks in which founding departments approve the action; ballots: of how many others.

        By default two thirds of all, which is what changes of nodes take.
        """
        proposer, *others = self.consortium.departments
        proposal = self.consortium.record(
            proposer, "consortium.propose", Propose(action, "a test"), created_ms=START_MS + 9_000
        )
        self.block(proposal)
        needed = 2 * len(self.consortium.departments) // 3 if ballots is None else ballots
        ballot = Ballot(proposal.record_id, True)
        self.block(
            *(
                self.consortium.record(
                    name, "consortium.ballot", ballot, created_ms=START_MS + 9_000
                )
                for name in others[:needed]
            )
        )

    def change_voters(self) -> None:
        """The next block executes the step that is due."""
        step = next_step(self.replay.view(), self.replay.tip.voters)
        assert step is not None
        self.block(step=step)

    def certify(self, departments: Sequence[str]) -> Certificate:
        """A certificate of the last block by these departments' nodes, whatever it takes."""
        checkpoint = self.checkpoint
        certificate = Certificate.of(
            checkpoint, [cosign(self.consortium, name, checkpoint) for name in departments]
        )
        key = store_keys.certificate_key(Height(checkpoint.height))
        self.values[key] = certificate.to_bytes()
        return certificate

    def sign_own(self, department: str) -> None:
        """The store's own signature on the last block."""
        checkpoint = self.checkpoint
        entry = cosign(self.consortium, department, checkpoint)
        key = store_keys.own_signature_key(Height(checkpoint.height))
        self.values[key] = encode(
            (
                checkpoint.height,
                checkpoint.tree_size,
                checkpoint.root,
                entry.timestamp_s,
                entry.signature,
            )
        )

    def _keep(self) -> None:
        for key, value in self.replay.state.items():
            self.values[store_keys.state_key(key)] = value
        for path, page in self.replay.pages.items():
            self.values[store_keys.state_page_key(path)] = page
        self.values[store_keys.TIP_MARK] = self.replay.tip.to_bytes()


def write_store(branch: Branch, folder: Path) -> Path:
    """The branch as a stopped node's data directory."""
    with plyvel.DB(str(folder), create_if_missing=True) as db, db.write_batch() as batch:
        for key, value in branch.values.items():
            batch.put(key, value)
    return folder
