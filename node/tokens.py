"""Bearer tokens: who may ask this node for what. Only their hashes are kept.

| role       | may                                                                     |
|------------|-------------------------------------------------------------------------|
| `app`      | exchange data, read the catalogue, grants and single records             |
| `steward`  | what an app may; publish datasets, request and decide grants             |
| `delegate` | propose, vote and change the department's record keys, in its name       |
| `auditor`  | read everything on the ledger                                            |
| `operator` | see the node's state and metrics                                         |

A token is 32 random bytes; its file holds SHA-256 of it, so the file lets nobody in.
"""

import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

from node.errors import ConfigInvalid

Role = Literal["app", "steward", "delegate", "auditor", "operator"]
ROLES: tuple[str, ...] = get_args(Role)
PREFIX = "cct_"


@dataclass(frozen=True, slots=True)
class Token:
    """One token. name: for people, and the actor of what it does.

    expires_at_ms: Unix time. datasets: those that exchanges may use, "publisher/name"; empty: all.
    """

    name: str
    role: Role
    sha256: str
    expires_at_ms: int
    datasets: tuple[str, ...] = ()


class Tokens:
    """The token file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._tokens: dict[str, Token] = {}

    def find(self, secret: str) -> Token | None:
        """The token of this secret, expired or not; None if it is unknown."""
        self._refresh()
        digest = _digest(secret)
        found = self._tokens.get(digest)
        if found is not None and hmac.compare_digest(found.sha256, digest):
            return found
        return None

    def all(self) -> tuple[Token, ...]:
        """All tokens, by name."""
        self._refresh()
        return tuple(sorted(self._tokens.values(), key=lambda token: token.name))

    def add(
        self, *, name: str, role: Role, expires_at_ms: int, datasets: tuple[str, ...] = ()
    ) -> str:
        """A new token's secret, shown once. Raises ConfigInvalid if the name is taken."""
        self._refresh()
        if any(token.name == name for token in self._tokens.values()):
            raise ConfigInvalid(f"there is a token named {name} already", remedy="Revoke it first.")
        secret = PREFIX + secrets.token_urlsafe(32)
        token = Token(name, role, _digest(secret), expires_at_ms, datasets)
        self._write([*self._tokens.values(), token])
        return secret

    def revoke(self, name: str) -> bool:
        """Removes a token; whether there was one."""
        self._refresh()
        kept = [token for token in self._tokens.values() if token.name != name]
        if len(kept) == len(self._tokens):
            return False
        self._write(kept)
        return True

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._tokens, self._stamp = {}, None
            return
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp == self._stamp:
            return
        if status.st_mode & 0o077:
            raise ConfigInvalid(f"{self._path} can be read by others", remedy="chmod 600 it.")
        try:
            entries = json.loads(self._path.read_text(encoding="utf-8"))
            tokens = [
                Token(
                    name=str(entry["name"]),
                    role=entry["role"],
                    sha256=str(entry["sha256"]),
                    expires_at_ms=int(entry["expires_at_ms"]),
                    datasets=tuple(entry["datasets"]),
                )
                for entry in entries
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigInvalid(f"{self._path} is unreadable: {error}") from None
        self._tokens = {token.sha256: token for token in tokens}
        self._stamp = stamp

    def _write(self, tokens: list[Token]) -> None:
        temporary = self._path.with_suffix(".new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump([asdict(token) for token in tokens], file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        self._stamp = None
        self._refresh()


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
