"""What this auditor saw last of each ledger: a checkpoint in a small file, never rolled back.

Beside them lies a secret of this auditor's own, with which unfinished audits are sealed.
"""

import json
import os
import secrets
from pathlib import Path
from typing import Any

from ledger.checkpoints import Checkpoint

_SECRET_BYTES = 32


class MemoryDamaged(Exception):
    """The file that remembers a checkpoint cannot be read."""

    remedy = "Compare with another auditor's; only then remove the file named here."


def default_folder() -> Path:
    """Where checkpoints are remembered: CONCORDAT_AUDIT_MEMORY, or the user's state folder."""
    chosen = os.environ.get("CONCORDAT_AUDIT_MEMORY")
    if chosen:
        return Path(chosen)
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "concordat" / "audit"


def parse_remembered(ledger_id: bytes, content: Any) -> Checkpoint:
    """A checkpoint from the JSON of its file. Raises ValueError, KeyError or TypeError."""
    return Checkpoint(
        ledger_id,
        int(content["height"]),
        int(content["tree_size"]),
        bytes.fromhex(content["root"]),
    )


class CheckpointMemory:
    """One file for each ledger."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, ledger_id: bytes) -> Checkpoint | None:
        """The highest certified checkpoint seen so far. Raises MemoryDamaged."""
        path = self._path(ledger_id)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return parse_remembered(ledger_id, content)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MemoryDamaged(f"{path}: {error}") from None

    def remember(self, checkpoint: Checkpoint) -> None:
        """Keeps a checkpoint, if it is higher than the one that is kept."""
        known = self.recall(checkpoint.ledger_id)
        if known is not None and known.height >= checkpoint.height:
            return
        path = self._path(checkpoint.ledger_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        content = {
            "height": checkpoint.height,
            "tree_size": checkpoint.tree_size,
            "root": checkpoint.root.hex(),
        }
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
        temporary.replace(path)

    def secret(self) -> bytes:
        """This auditor's own 32 bytes, drawn when first asked for. Raises MemoryDamaged."""
        path = self._folder / "progress.key"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(_SECRET_BYTES))
        except FileExistsError:
            pass
        except OSError as error:
            raise MemoryDamaged(f"{path}: {error}") from None
        found = path.read_bytes()
        if len(found) != _SECRET_BYTES:
            raise MemoryDamaged(f"{path}: {len(found)} bytes instead of {_SECRET_BYTES}")
        return found

    def _path(self, ledger_id: bytes) -> Path:
        return self._folder / f"{ledger_id.hex()}.json"
