"""This node as a witness of other ledgers (c2sp.org/tlog-witness).

For each log that is configured it remembers the size and root of the newest checkpoint that it
cosigned, in a file beside its keys, so that it never outlives them and no backup brings an old one
back. What is remembered is durable before the cosignature exists. A log that shows a smaller tree,
or another one, gets no signature; what it sent is logged, for it may be evidence.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Literal

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from ledger.errors import Malformed, ProofMismatch
from ledger.notes import COSIGNATURE_TYPE, ED25519_TYPE, Note, NoteSignature, verifier_key
from ledger.proofs import check_consistency
from ledger.types import TreeSize
from ledger.witnesses import (
    ML_DSA_44_TYPE,
    AddCheckpoint,
    LogCheckpoint,
    VerifierKey,
    cosigned_message,
    cosigned_text,
    parse_add_checkpoint,
    parse_log_checkpoint,
    signed_by_log,
)
from node.errors import ConfigInvalid, StoreCorrupt
from node.identity import Identity

EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves (RFC 9162 §2.1.1)."""

log = structlog.get_logger("concordat")

Fault = Literal["malformed", "unknown", "unsigned", "conflict", "inconsistent"]


class WitnessRefused(Exception):
    """A checkpoint that is not cosigned. size: of the newest one that was, for a conflict."""

    def __init__(self, fault: Fault, detail: str, *, size: int = 0) -> None:
        super().__init__(detail)
        self.fault = fault
        self.size = size


@dataclass(frozen=True, slots=True)
class _Cosigner:
    """One key of the witness."""

    key: VerifierKey
    sign: Callable[[LogCheckpoint, bytes, int], bytes]


class Witness:
    """Cosigns checkpoints of the logs that it knows. Safe from any thread.

    name: the key name. folder: where it remembers what it cosigned. now_ms: Unix time.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        name: str,
        ml_dsa_44: bool,
        logs: Mapping[str, tuple[VerifierKey, ...]],
        folder: Path,
        now_ms: Callable[[], int],
    ) -> None:
        """Raises ConfigInvalid if ML-DSA-44 is asked for and not to be had."""
        self._logs = logs
        self._folder = folder
        self._now_ms = now_ms
        self._lock = Lock()
        self._cosigners = [_ed25519(identity, name)]
        if ml_dsa_44:
            self._cosigners.append(_ml_dsa_44(identity, name))
        folder.mkdir(mode=0o700, exist_ok=True)

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """What others know it by."""
        return tuple(cosigner.key for cosigner in self._cosigners)

    def add(self, body: bytes) -> bytes:
        """Signature lines for a checkpoint that continues the newest one cosigned.

        Raises WitnessRefused, or StoreCorrupt if what was remembered cannot be read or written.
        """
        try:
            asked = parse_add_checkpoint(body)
            checkpoint = parse_log_checkpoint(asked.note.text)
        except Malformed as error:
            raise WitnessRefused("malformed", str(error)) from None
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            raise WitnessRefused("unknown", f"{checkpoint.origin} is no log that is witnessed here")
        if not signed_by_log(asked.note, keys):
            raise WitnessRefused("unsigned", f"no key of {checkpoint.origin} signed the checkpoint")
        if asked.old_size > checkpoint.tree_size:
            raise WitnessRefused("malformed", "the old size is larger than the checkpoint's")
        with self._lock:
            self._check(asked, checkpoint)
            self._remember(checkpoint)
            return self._cosign(asked.note, checkpoint)

    def _check(self, asked: AddCheckpoint, checkpoint: LogCheckpoint) -> None:
        """The checkpoint continues the newest one cosigned; the specification's steps, in order."""
        known = self._recall(checkpoint.origin)
        if asked.old_size != known.tree_size:
            words = f"the newest checkpoint cosigned here has {known.tree_size} leaves"
            raise WitnessRefused("conflict", words, size=known.tree_size)
        if checkpoint.tree_size == known.tree_size:
            if asked.proof:
                raise WitnessRefused("inconsistent", "equal sizes take no proof")
            if checkpoint.root != known.root:
                self._suspect(checkpoint, known)
                words = "another tree of this size was cosigned here"
                raise WitnessRefused("conflict", words, size=known.tree_size)
            return
        try:
            if known.tree_size == 0:
                if asked.proof:
                    raise ProofMismatch(
                        "consistency proof", "from an empty tree it takes no hashes"
                    )
            else:
                check_consistency(
                    old_size=TreeSize(known.tree_size),
                    old_root=known.root,
                    new_size=TreeSize(checkpoint.tree_size),
                    new_root=checkpoint.root,
                    proof=asked.proof,
                )
        except ProofMismatch as error:
            self._suspect(checkpoint, known)
            raise WitnessRefused("inconsistent", str(error)) from None

    def _cosign(self, note: Note, checkpoint: LogCheckpoint) -> bytes:
        timestamp_s = self._now_ms() // 1_000
        lines = tuple(
            NoteSignature(
                cosigner.key.name,
                cosigner.key.key_id,
                timestamp_s.to_bytes(8, "big") + cosigner.sign(checkpoint, note.text, timestamp_s),
            )
            for cosigner in self._cosigners
        )
        return Note(b"", lines).to_bytes().removeprefix(b"\n")

    def _suspect(self, checkpoint: LogCheckpoint, known: LogCheckpoint) -> None:
        log.warning(
            "a witnessed log does not continue what was cosigned",
            origin=checkpoint.origin,
            cosigned_size=known.tree_size,
            cosigned_root=known.root.hex(),
            shown_size=checkpoint.tree_size,
            shown_root=checkpoint.root.hex(),
        )

    # What is remembered.

    def _path(self, origin: str) -> Path:
        return self._folder / f"{sha256(origin.encode()).hexdigest()}.json"

    def _recall(self, origin: str) -> LogCheckpoint:
        path = self._path(origin)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return LogCheckpoint(origin, int(content["size"]), bytes.fromhex(content["root"]))
        except FileNotFoundError:
            return LogCheckpoint(origin, 0, EMPTY_ROOT)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreCorrupt(f"{path}: {error}") from None

    def _remember(self, checkpoint: LogCheckpoint) -> None:
        """Durable when it returns."""
        path = self._path(checkpoint.origin)
        content = {
            "origin": checkpoint.origin,
            "size": checkpoint.tree_size,
            "root": checkpoint.root.hex(),
        }
        try:
            temporary = path.with_suffix(".new")
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            directory = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise StoreCorrupt(f"{path}: {error.strerror}") from None


def _ed25519(identity: Identity, name: str) -> _Cosigner:
    def sign(_: LogCheckpoint, text: bytes, timestamp_s: int) -> bytes:
        return identity.sign_witness(cosigned_text(text, timestamp_s=timestamp_s))

    return _Cosigner(VerifierKey(name, COSIGNATURE_TYPE, identity.witness_key), sign)


def _ml_dsa_44(identity: Identity, name: str) -> _Cosigner:
    try:
        private = MLDSA44PrivateKey.from_seed_bytes(identity.post_quantum_witness_seed())
    except UnsupportedAlgorithm:
        raise ConfigInvalid("witness.post_quantum: this installation has no ML-DSA-44") from None

    def sign(checkpoint: LogCheckpoint, _: bytes, timestamp_s: int) -> bytes:
        return private.sign(cosigned_message(name, checkpoint, timestamp_s=timestamp_s))

    public = private.public_key().public_bytes_raw()
    return _Cosigner(VerifierKey(name, ML_DSA_44_TYPE, public), sign)


def witness_keys(identity: Identity, name: str, *, ml_dsa_44: bool) -> list[str]:
    """The verifier keys by which others know this node as a witness. Raises ConfigInvalid."""
    cosigners = [_ed25519(identity, name)]
    if ml_dsa_44:
        cosigners.append(_ml_dsa_44(identity, name))
    return [str(cosigner.key) for cosigner in cosigners]


def log_key(identity: Identity, origin: str) -> str:
    """The verifier key by which other witnesses know this node's ledger."""
    return verifier_key(origin, ED25519_TYPE, identity.publication_key)
