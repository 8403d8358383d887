"""How far an audit came, so that a later one continues: sealed by the auditor, and checked again.

What is kept lies in a scratch store (`audit.scratch`), written together after a block:

    "!"                     the seal (HMAC-SHA-256, 32 bytes) and the `Progress` that it is over
    "v" state key           the state's values           checked by the state root of the tip
    "p" page path           pages of the state tree      made again from the values
    "n" run, chunk          nonces seen so far           checked by a digest for each run
    "b" height              each block's tree            checked by one digest over all

The seal's key is the auditor's own (`audit.memory`), so a progress that somebody else made, or that
was changed, is refused, and so is one of another ledger or branch: the block where it ends has to
be in the ledger that is read.
"""

import hmac
from hashlib import sha256
from typing import Literal

import msgspec

from audit.scratch import Scratch
from contracts.machine import Tip
from ledger.blocks import VoterSets
from ledger.entries import Step

MARK = b"!"

_SEAL_BYTES = 32


class ProgressRefused(Exception):
    """What was kept of an earlier audit does not count here."""

    remedy = "Name another folder, or remove this one, and the audit starts at genesis."


class Replayed(msgspec.Struct, frozen=True, array_like=True):
    """What a replay knows beside its tables. edge: unfinished tiles, a level each."""

    tip: Tip
    runs: tuple[bytes, ...]
    edge: tuple[bytes, ...]
    documents: tuple[bytes, ...]
    counts: tuple[tuple[bytes, int], ...]


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """An audit after some block in which nothing was found so far.

    whole: of a store whose every key is compared. ends_digest: over each block's tree.
    voter_heights, voter_sets: who votes from which height on.
    """

    version: Literal[1]
    ledger_id: bytes
    whole: bool
    replayed: Replayed
    records: int
    attachments: int
    ends_digest: bytes
    voter_heights: tuple[int, ...]
    voter_sets: tuple[VoterSets, ...]
    due_steps: tuple[tuple[int, Step], ...]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Progress)


def seal(progress: Progress, secret: bytes) -> bytes:
    """The bytes to keep. secret: the auditor's, 32 bytes."""
    content = _ENCODER.encode(progress)
    return hmac.digest(secret, content, "sha256") + content


def unseal(data: bytes, secret: bytes) -> Progress:
    """The progress that this auditor has sealed. Raises ProgressRefused."""
    content = data[_SEAL_BYTES:]
    if not hmac.compare_digest(data[:_SEAL_BYTES], hmac.digest(secret, content, "sha256")):
        raise ProgressRefused("this auditor has not sealed the progress: it was changed or foreign")
    try:
        return _DECODER.decode(content)
    except msgspec.MsgspecError as error:
        raise ProgressRefused(f"another version wrote the progress: {error}") from None


def chained(digest: bytes, value: bytes) -> bytes:
    """The digest over a row of values, one more value long; 32 bytes."""
    return sha256(digest + value).digest()


def leaves_done(scratch: Scratch, secret: bytes) -> int:
    """How many leaves need not be read again, but for the last of them. Raises ProgressRefused."""
    kept = scratch.get(MARK)
    return unseal(kept, secret).replayed.tip.tree_size if kept else 0
