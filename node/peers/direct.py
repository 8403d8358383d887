"""Messages of a peer, handed on as their bytes come, without a task that waits for each.

A connection begins as a stream, for both hellos. From then on whatever comes goes straight to
`Heard.feed`; the task that looks after the connection only reads what had come before, sees the
end, and watches the silence.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import SupportsIndex

from ledger.errors import Malformed
from node.peers.frames import FrameBuffer, FrameType, frame
from node.peers.lines import FULL_BYTES, PeerLimits


class DirectReader(asyncio.StreamReader):
    """A stream whose bytes may go to a function instead; what it raises, `read` raises."""

    _take: Callable[[bytes], None] | None = None

    def hand_to(self, take: Callable[[bytes], None] | None) -> None:
        """From now on what comes is given to `take`; None: it waits to be read again.

        What waits already is still to be read, before anything else has a chance to come.
        """
        self._take = take

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """Bytes have come."""
        if self._take is None:
            super().feed_data(data)
            return
        try:
            self._take(bytes(data))
        except Malformed as error:
            self._take = None
            self.set_exception(error)


class Heard:
    """What a peer says on one connection.

    due_s: by the loop's clock, when it has been silent for too long; None: it may be. It never
    falls below one silence after what came last.
    """

    def __init__(
        self,
        sender: bytes,
        writer: asyncio.StreamWriter,
        *,
        limits: PeerLimits,
        silence_s: float | None,
        clock: Callable[[], float],
        take: Callable[[bytes, bytes], None],
    ) -> None:
        """silence_s: between frames; None: any. take(sender, payload): a message is there."""
        self._sender = sender
        self._writer = writer
        self._limits = limits
        self._silence_s = silence_s
        self._clock = clock
        self._take = take
        self._frames = FrameBuffer()
        self.due_s = None if silence_s is None else clock() + silence_s

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises Malformed."""
        frames = self._frames
        missing = frames.missing
        for kind, payload in frames.feed(data):
            missing = None
            if kind is FrameType.MESSAGE:
                self._take(self._sender, payload)
            elif kind is FrameType.PING:
                self._answer_ping()
            else:
                raise Malformed("frame", f"{kind.name.lower()} has no place here")
        if frames.missing is None:
            self.due_s = None if self._silence_s is None else self._clock() + self._silence_s
        elif missing is None or frames.missing > missing:
            patience_s = self._limits.silence_s
            self.due_s = (
                self._clock() + patience_s + frames.missing / self._limits.frame_bytes_per_s_min
            )

    def _answer_ping(self) -> None:
        """Unless the answers before are not read: whoever pings without end fills no memory."""
        if self._writer.transport.get_write_buffer_size() <= FULL_BYTES:
            self._writer.write(frame(FrameType.PING))
