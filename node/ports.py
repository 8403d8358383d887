"""What goes into the replica and what comes out of it: the whole boundary between core and shell.

The replica (`node.replica`) is one synchronous object. The shell feeds it inputs by calling its
methods, then takes its effects with `effects()` and carries them out. Nothing else crosses:

| input (method)                   | when                                                        |
|----------------------------------|-------------------------------------------------------------|
| `tick()`                         | every `tick_ms`                                             |
| `receive(sender, message)`       | a peer message arrived, from an authenticated node          |
| `connected(peer)`                | a connection to a peer came up                              |
| `submit(record)`                 | a client of this node wants a record on the ledger          |
| `read_barrier(token)`            | a client wants to read what is committed now                |
| `verified(token, results)`       | the signatures of a `Verify` effect have been checked       |
| `persisted(number)`              | the batch of a `Persist` effect is durable                  |
| `hold()` … `release()`           | around inputs that came together: they share one turn       |

| effect        | the shell must                                                                |
|---------------|-------------------------------------------------------------------------------|
| `Send`        | hand the message to the peer's queue; it may be lost                           |
| `Persist`     | write the batch, synced, all or nothing; then `persisted(number)`; one at a time|
| `Verify`      | check the signatures, anywhere; then `verified(token, results)`                |
| `Settled`     | tell whoever waits for that record                                             |
| `Executed`    | blocks are durable here: tell streams and gateways                             |
| `Certified`   | every block up to that height is certified                                     |
| `BarrierReady`| the reader may read                                                            |
| `Alarm`       | tell the operator                                                              |
| `ClockApart`  | tell the operator, or that it is over                                           |
| `MembersChanged` | connect to who takes part now, and to nobody else                           |
| `KeySpent`    | mark it beside the key, for every later start                                  |

`Settled`, `Executed` and `Certified` only ever speak of blocks that are durable on this node; what
certifies them is durable at its signers, and here with the next batch (`node.outgoing`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from consensus import NodeId as ConsensusNodeId
from ledger.types import Height, LeafIndex


class Clock(Protocol):
    """The wall clock, which may jump; consensus counts ticks instead."""

    def now_ms(self) -> int:
        """Unix time in milliseconds."""


class StoreReader(Protocol):
    """Reads what is durable: only whole batches are ever visible."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start ≤ key < stop, in order of keys or in reverse."""


class NodeSigner(Protocol):
    """Signs with this node's own keys; never shows them."""

    def sign_checkpoint(self, message: bytes) -> bytes:
        """Ed25519 signature by the checkpoint key, 64 bytes."""

    def sign_proposal(self, message: bytes) -> bytes:
        """Ed25519 signature by the proposal key, 64 bytes."""


class SignatureChecker(Protocol):
    """`ledger.signatures.verify`, or a faster stand-in of the simulator with the same meaning."""

    def __call__(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is `public_key`'s over `message`."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the replica's parts have of the outside."""

    store: StoreReader
    clock: Clock
    signer: NodeSigner
    check: SignatureChecker


@dataclass(frozen=True, slots=True)
class SignatureJob:
    """One signature to check."""

    public_key: bytes
    message: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Watermark:
    """What the node must not fall behind: written beside its keys after each durable batch.

    batch_number: of the batch it belongs to. signed_height: highest checkpoint signed, 0 if none.
    """

    batch_number: int
    term: int
    vote: bytes | None
    signed_height: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One synced write: all of it or nothing.

    number: 1, 2, 3 … over the store's whole life.
    puts: new values. deletes: keys that go; no key is in both.
    """

    number: int
    puts: Mapping[bytes, bytes]
    deletes: tuple[bytes, ...]
    watermark: Watermark


@dataclass(frozen=True, slots=True)
class Send:
    """A message (`node.messages.PeerMessage`) for a peer."""

    peer: ConsensusNodeId
    message: object


@dataclass(frozen=True, slots=True)
class Persist:
    """A batch to write; the next comes only after `persisted(batch.number)`."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class Verify:
    """Signatures to check; answer with one bool per job in the same order."""

    token: int
    jobs: tuple[SignatureJob, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The record is in the ledger."""

    height: Height
    leaf_index: LeafIndex


@dataclass(frozen=True, slots=True)
class Rejected:
    """The record is not in the ledger, and this try of it never will be.

    code: a refusal code of the contracts, or one of `node.replica`'s own.
    retry_after_ms: when another try makes sense; None where it does not.
    """

    code: str
    detail: str
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a record that this node submitted."""

    record_id: bytes
    outcome: Accepted | Rejected


@dataclass(frozen=True, slots=True)
class Executed:
    """Blocks up to `height` are executed and durable on this node; first ≤ last."""

    first: Height
    last: Height


@dataclass(frozen=True, slots=True)
class Certified:
    """Every block up to `height` is certified, and durable on this node."""

    height: Height


@dataclass(frozen=True, slots=True)
class BarrierReady:
    """The reader of `token` may read; None as height: there was no leader to ask, try again."""

    token: int
    height: Height | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something an operator must look at."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class ClockApart:
    """A peer's clock is this far ahead of this node's (behind if negative); 0: it is well again."""

    peer: ConsensusNodeId
    apart_ms: int


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """`Replica.members`, or their addresses and keys in the state, are others now."""


@dataclass(frozen=True, slots=True)
class KeySpent:
    """This node must never again use its key. standing: a final one of `node.standing`."""

    standing: str
    detail: str


Effect = (
    Send
    | Persist
    | Verify
    | Settled
    | Executed
    | Certified
    | BarrierReady
    | Alarm
    | ClockApart
    | MembersChanged
    | KeySpent
)
