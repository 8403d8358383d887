"""A process that judges segments, one after the other: `python -m audit.judging`.

A frame is a length (8 bytes, big-endian) and so many bytes. For each frame on standard input, a
segment, one comes back on standard output, what was found (`audit.segments.judge_bytes`). The
process imports little, so it starts in a tenth of a second, and it ends where its input does.
"""

import gc
import signal
import sys
from typing import IO

from audit.segments import judge_bytes


def write_frame(stream: IO[bytes], data: bytes) -> None:
    """Writes a frame. Raises OSError."""
    stream.write(len(data).to_bytes(8, "big"))
    stream.write(data)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next frame's bytes; None where the stream ends before it does."""
    size = stream.read(8)
    if len(size) != 8:
        return None
    length = int.from_bytes(size, "big")
    data = stream.read(length)
    return data if len(data) == length else None


def main() -> None:
    """Judges until the input ends; who interrupts the parent does not interrupt this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    while (data := read_frame(sys.stdin.buffer)) is not None:
        write_frame(sys.stdout.buffer, judge_bytes(data))


if __name__ == "__main__":
    main()
