"""A store's Raft log against its blocks: step 7 of `audit.verify`.

Every kept entry continues the hash of the one before it and was signed by its leader, and its block
was made of it. A node's own signatures are on blocks of this ledger.
"""

from collections.abc import Callable, Mapping

import msgspec

from audit.certified import BlockEnd, VoterHistory
from audit.forks import Readable
from audit.stored import after, name_of
from contracts.consortium import node
from contracts.state import View
from ledger import store_keys
from ledger.blocks import parse_block_header
from ledger.entries import Step, parse_entry
from ledger.errors import Malformed
from ledger.signatures import verify as verify_signature
from ledger.statements import entry_hash, proposal_statement
from ledger.types import Height


class RaftLog:
    """The log of a store whose blocks have been executed.

    due_steps: configuration steps by the height at which each was due. find(code, place, detail):
    takes what is wrong.
    """

    def __init__(
        self,
        source: Readable,
        ledger_id: bytes,
        *,
        tip_height: int,
        view: View,
        due_steps: Mapping[int, Step],
        voters: VoterHistory,
        block_end: BlockEnd,
        find: Callable[[str, str, str], None],
    ) -> None:
        self._source = source
        self._ledger_id = ledger_id
        self._tip_height = tip_height
        self._view = view
        self._due_steps = due_steps
        self._voters = voters
        self._block_end = block_end
        self._find = find

    def check(self) -> str | None:
        """What was checked, in words; None if the log breaks off."""
        previous, expected = self._log_start()
        first = expected
        for key, value in self._source.scan(store_keys.ENTRY, after(store_keys.ENTRY)):
            place = f"Raft entry {expected}"
            if key != store_keys.entry_key(expected):
                self._find("entry-invalid", place, "the log has a gap")
                return None
            digest = self._entry(place, expected, value, previous)
            if digest is None:
                return None
            previous = digest
            expected += 1
        if expected <= self._tip_height:
            self._find("entry-invalid", f"Raft entry {expected}", "the log ends before the blocks")
        self._own_signatures()
        kept = f"{expected - first} entries as their leaders signed them"
        return kept if first == 1 else f"{kept}, from {first} on"

    def _log_start(self) -> tuple[bytes, int]:
        """The hash before the first kept entry, and that entry's index."""
        stored = self._source.get(store_keys.FIRST_ENTRY_MARK)
        if stored is None:
            return self._ledger_id, 1
        try:
            index, _, digest = msgspec.msgpack.decode(stored, type=tuple[int, int, bytes])
        except msgspec.MsgspecError as error:
            self._find("mark-invalid", "mark first-entry", str(error))
            return self._ledger_id, 1
        if self._entry_hash(index) != digest:
            self._find("mark-invalid", "mark first-entry", "no block was made of that entry")
        return digest, index + 1

    def _entry_hash(self, height: int) -> bytes | None:
        """Of the entry that a block was made of, as the leaves say; None if there is no block."""
        if not 0 < height <= self._tip_height:
            return None
        place = self._source.get(store_keys.block_key(Height(height)))
        leaf = None if place is None else self._source.get(store_keys.LEAF + place)
        if leaf is None:
            return None
        try:
            return parse_block_header(leaf).entry_hash
        except Malformed:
            return None

    def _entry(self, place: str, index: int, value: bytes, previous: bytes) -> bytes | None:
        """An entry's hash if it is right; None ends the walk."""
        try:
            (term, own_index, data, proposer, signature), digest = msgspec.msgpack.decode(
                value, type=tuple[tuple[int, int, bytes, bytes, bytes], bytes]
            )
        except msgspec.MsgspecError as error:
            self._find("entry-invalid", place, str(error))
            return None
        spelled = msgspec.msgpack.encode(((term, own_index, data, proposer, signature), digest))
        state = node(self._view, proposer)
        statement = proposal_statement(
            self._ledger_id, term=term, index=index, previous_hash=previous, data=data
        )
        made = entry_hash(
            self._ledger_id, term=term, index=index, previous_hash=previous, data=data
        )
        if spelled != value or own_index != index or made != digest:
            self._find("entry-invalid", place, "its hash or place is wrong")
            return None
        if (
            state is None
            or state.since_height >= index
            or not verify_signature(state.description.proposal_key, statement, signature)
        ):
            self._find("entry-invalid", place, "its proposer did not sign it")
        if index <= self._tip_height and self._entry_hash(index) != digest:
            self._find("entry-invalid", place, "its block was made of another entry")
        try:
            step = parse_entry(data).step
        except Malformed as error:
            self._find("entry-invalid", place, str(error))
            return digest
        executed = step if step == self._due_steps.get(index) else None
        if index <= self._tip_height and executed != self._voters.step_at(index):
            self._find("entry-invalid", place, "its block changed the voters in another way")
        return digest

    def _own_signatures(self) -> None:
        for key, value in self._source.scan(
            store_keys.OWN_SIGNATURE, after(store_keys.OWN_SIGNATURE)
        ):
            place = name_of(key)
            try:
                height, size, root, _, _ = msgspec.msgpack.decode(
                    value, type=tuple[int, int, bytes, int, bytes]
                )
            except msgspec.MsgspecError as error:
                self._find("mark-invalid", place, str(error))
                continue
            if self._block_end(height) != (size, root):
                self._find("mark-invalid", place, "it is on another block than the store holds")
