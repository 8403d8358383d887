"""A node that kills itself at one point: `dying.py POINT concordat-node run …`.

SIGKILL, in the middle of the product's own code, as if somebody had pulled the plug there:

    chunk         the provider has let the third chunk of a release go
    key           the provider holds the consumer's certified acknowledgement, and no key is out
    acknowledge   the consumer holds sealed content and its certified receipt, and says nothing yet
"""

import os
import runpy
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from node.exchange.consumer import Consumer
from node.exchange.provider import Provider

CHUNKS = 3


def die(*_given: Any, **_named: Any) -> Any:
    """Ends this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def _chunk() -> None:
    honest = Provider._leaving
    left = 0

    def leaving(
        self: Provider, opened: Any, *chunks: bytes, size_bytes: int
    ) -> Callable[[], Sequence[bytes]]:
        nonlocal left
        left += size_bytes > 0
        if left > CHUNKS:
            die()
        return honest(self, opened, *chunks, size_bytes=size_bytes)

    Provider._leaving = leaving  # type: ignore[method-assign]


def _key() -> None:
    Provider._hand_over_key = die  # type: ignore[method-assign]


def _acknowledge() -> None:
    Consumer._acknowledge = die  # type: ignore[method-assign]


POINTS = {"chunk": _chunk, "key": _key, "acknowledge": _acknowledge}


def main(point: str, program: list[str]) -> None:
    """Runs the program as if it had been called directly."""
    POINTS[point]()
    sys.argv = program
    runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
