"""Operations as clients saw them, and their file."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec


class Operation(msgspec.Struct, frozen=True):
    """One operation. start_ns, end_ns: before it was asked, after it was answered or given up."""

    client: int
    op: str
    args: dict[str, Any]
    start_ns: int
    end_ns: int
    result: dict[str, Any]

    @property
    def is_ok(self) -> bool:
        """Whether it certainly happened."""
        return "ok" in self.result

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows if it happened, or will."""
        return "unknown" in self.result


class Recorder:
    """Writes operations to a file as they end; for use from many threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._lock = threading.Lock()
        self.count = 0

    def add(self, operation: Operation) -> None:
        """Writes one."""
        line = json.dumps(msgspec.to_builtins(operation), ensure_ascii=False)
        with self._lock:
            self._file.write(line + "\n")
            self.count += 1

    def close(self) -> None:
        """The file is complete."""
        self._file.close()


def read_history(path: Path) -> Iterator[Operation]:
    """The operations of a file."""
    decoder = msgspec.json.Decoder(Operation)
    with path.open("rb") as file:
        for line in file:
            yield decoder.decode(line)
