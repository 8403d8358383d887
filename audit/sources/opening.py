"""What a person names on a command line, opened: a directory, a node's address, or a file.

A file is an old checkpoint: a signed note, a certificate's bytes, or what an auditor's memory kept.
"""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from audit.memory import parse_remembered
from audit.sources.directory import DirectorySource
from audit.sources.exported import ExportSource
from audit.sources.live import LiveSource
from audit.verify import Source, Unreadable
from ledger.certificates import CERTIFICATE_BYTES_MAX, parse_certificate
from ledger.checkpoints import Checkpoint, Cosignature, from_note
from ledger.errors import Malformed
from ledger.notes import NOTE_BYTES_MAX, parse_note


@dataclass(frozen=True, slots=True)
class OldCheckpoint:
    """A checkpoint from a file, and the signatures that came with it, unchecked."""

    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]


def is_live(target: str) -> bool:
    """Whether the target is a running node's address."""
    return target.startswith(("http://", "https://"))


def open_ledger(
    target: str, token: str | None, *, statements: bool = False, first: int = 0
) -> AbstractContextManager[Source]:
    """A ledger in a data directory or an export, or of a running node. Raises Unreadable.

    token: of an auditor, or `@file`; needed for a running node. statements: whether a running node
    is also asked for what nodes have signed; a directory has it anyway. first: leaf from which on
    the caller reads; a running node is not asked for earlier ones.
    """
    if not is_live(target):
        if not Path(target).is_dir():
            there = Path(target).exists()
            what = "neither a directory nor a node's URL" if there else "not there"
            raise Unreadable(f"{target} is {what}")
        if (Path(target) / "checkpoint").is_file():
            return ExportSource(Path(target))
        return DirectorySource(Path(target))
    if token is None:
        raise Unreadable(
            f"{target} asks for an auditor's token",
            "Give --token or set CONCORDAT_TOKEN; `concordat-node token add` makes one.",
        )
    if token.startswith("@"):
        try:
            token = Path(token[1:]).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Unreadable(
                f"the token's file {token[1:]} cannot be read: {error.strerror}", "Check the path."
            ) from None
    return LiveSource(target, token, statements=statements, first=first)


def read_checkpoint(path: Path) -> OldCheckpoint:
    """An old checkpoint from a file. Raises Unreadable."""
    try:
        with path.open("rb") as file:
            data = file.read(max(NOTE_BYTES_MAX, CERTIFICATE_BYTES_MAX) + 1)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from None
    try:
        return OldCheckpoint(*from_note(parse_note(data)))
    except Malformed:
        pass
    try:
        certificate = parse_certificate(data)
        return OldCheckpoint(certificate.checkpoint, certificate.cosignatures)
    except Malformed:
        pass
    try:
        return OldCheckpoint(parse_remembered(bytes.fromhex(path.stem), json.loads(data)), ())
    except (ValueError, KeyError, TypeError):
        raise Unreadable(
            f"{path} is neither a signed note, nor a certificate, nor a remembered checkpoint"
        ) from None
