"""The Raft log in the node's store, and the node's word on proposals: consensus' two ports."""

from typing import TypeVar

import msgspec

from consensus import Entry as RaftEntry
from consensus import EntryPoint, HardState, Logged, Verdict
from consensus.ready import Unwritten
from contracts import consortium
from ledger import store_keys
from ledger.entries import Entry, parse_entry
from ledger.errors import Malformed
from ledger.statements import entry_hash, proposal_statement, transfer_statement
from node.chain import Chain
from node.errors import StoreCorrupt
from node.ports import Outside, StoreReader
from node.write_buffer import WriteBuffer

FUTURE_MS_MAX = 2_000
"""How far an entry's or a candidate's clock may be ahead of this node's, in milliseconds."""

PAST_MS_MAX = 4_000
"""How far a candidate's clock may be behind this node's, in milliseconds, with the message's way.

Less than records may be ahead of the ledger's time (`record-skew-ms`): by the blocks of a leader
that is slower, records with the right time would be from the future.
"""

Value = TypeVar("Value")

_ENCODER = msgspec.msgpack.Encoder()
_LOGGED = msgspec.msgpack.Decoder(Logged)
_HARD_STATE = msgspec.msgpack.Decoder(HardState)
_START = msgspec.msgpack.Decoder(EntryPoint)


class RaftLog:
    """Entries and hard state over the write buffer (`consensus.log.LogStorage`)."""

    def __init__(self, buffer: WriteBuffer, store: StoreReader, *, ledger_id: bytes) -> None:
        self._buffer = buffer
        start = buffer.get(store_keys.FIRST_ENTRY_MARK)
        self._start = (
            EntryPoint(0, 0, ledger_id) if start is None else _decode(_START, start, "log start")
        )
        last = next(
            iter(store.scan(store_keys.ENTRY, bytes([store_keys.ENTRY[0] + 1]), reverse=True)),
            None,
        )
        self._first = self._start.index + 1
        self._last = self._start.index if last is None else store_keys.read_number(last[0][1:])

    def hard_state(self) -> HardState:
        """The stored hard state."""
        return read_hard_state(self._buffer.get(store_keys.HARD_STATE_MARK))

    def compacted(self) -> EntryPoint:
        """The place before the first stored entry; in a whole log its hash is the ledger id."""
        return self._start

    def last_index(self) -> int:
        """The last stored entry's index, that of `compacted()` if there is none."""
        return self._last

    def entry(self, index: int) -> Logged | None:
        """The stored entry at `index`."""
        value = self._buffer.get(store_keys.entry_key(index))
        return None if value is None else _decode(_LOGGED, value, f"Raft entry {index}")

    def write(self, unwritten: Unwritten) -> None:
        """Adds what consensus wants durable to the buffer's next batch."""
        if unwritten.hard_state is not None:
            self._buffer.put(store_keys.HARD_STATE_MARK, _ENCODER.encode(unwritten.hard_state))
        for logged in unwritten.entries:
            self._buffer.put(store_keys.entry_key(logged.entry.index), _ENCODER.encode(logged))
        for index in range(unwritten.last_index + 1, self._last + 1):
            self._buffer.delete(store_keys.entry_key(index))
        if unwritten.log_start is not None:
            self._start = unwritten.log_start
            self._buffer.put(store_keys.FIRST_ENTRY_MARK, _ENCODER.encode(self._start))
            for index in range(self._first, min(self._start.index, self._last) + 1):
                self._buffer.delete(store_keys.entry_key(index))
            self._first = self._start.index + 1
        self._last = unwritten.last_index


def read_hard_state(value: bytes | None) -> HardState:
    """The hard state that a store holds under its mark. Raises StoreCorrupt."""
    return HardState() if value is None else _decode(_HARD_STATE, value, "hard state")


def _decode(decoder: msgspec.msgpack.Decoder[Value], value: bytes, what: str) -> Value:
    try:
        return decoder.decode(value)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"{what} is unreadable: {error}") from None


class NodeProposals:
    """Signs this node's proposals and judges those of others (`consensus.ready.Proposals`)."""

    def __init__(self, ledger_id: bytes, chain: Chain, outside: Outside) -> None:
        self._ledger_id = ledger_id
        self._chain = chain
        self._outside = outside

    def sign(self, *, term: int, index: int, previous_hash: bytes, data: bytes) -> bytes:
        """The proposal key's signature."""
        return self._outside.signer.sign_proposal(
            proposal_statement(
                self._ledger_id, term=term, index=index, previous_hash=previous_hash, data=data
            )
        )

    def entry_hash(self, entry: RaftEntry, previous_hash: bytes) -> bytes:
        """The entry's hash (`ledger.statements.entry_hash`)."""
        return entry_hash(
            self._ledger_id,
            term=entry.term,
            index=entry.index,
            previous_hash=previous_hash,
            data=entry.data,
        )

    def check(self, entry: RaftEntry, previous_hash: bytes) -> Verdict:
        """Whether the entry is its proposer's and is one at all, and is not from the future."""
        proposer = consortium.node(self._chain.view, entry.proposer)
        if proposer is None:
            return Verdict.FORGED
        statement = proposal_statement(
            self._ledger_id,
            term=entry.term,
            index=entry.index,
            previous_hash=previous_hash,
            data=entry.data,
        )
        if not self._outside.check(proposer.description.proposal_key, statement, entry.signature):
            return Verdict.FORGED
        try:
            content: Entry = parse_entry(entry.data)
        except Malformed:
            return Verdict.FORGED
        return Verdict.EARLY if self.is_early(content.time_ms) else Verdict.ACCEPT

    def sign_transfer(self, *, term: int, target: bytes) -> bytes:
        """The proposal key's signature."""
        return self._outside.signer.sign_proposal(
            transfer_statement(self._ledger_id, term=term, target=target)
        )

    def check_transfer(self, *, leader: bytes, term: int, target: bytes, signature: bytes) -> bool:
        """Whether the leader signed that `target` may campaign at once."""
        known = consortium.node(self._chain.view, leader)
        if known is None:
            return False
        statement = transfer_statement(self._ledger_id, term=term, target=target)
        return self._outside.check(known.description.proposal_key, statement, signature)

    def now_ms(self) -> int:
        """This node's clock."""
        return self._outside.clock.now_ms()

    def is_early(self, time_ms: int) -> bool:
        """Whether a time is too far ahead of this node's clock.

        One that is not later than the executed tip's never is.
        """
        return time_ms > max(self.now_ms() + FUTURE_MS_MAX, self._chain.tip.time_ms)

    def is_late(self, time_ms: int) -> bool:
        """Whether a candidate's clock is too far behind this node's."""
        return time_ms < self.now_ms() - PAST_MS_MAX
