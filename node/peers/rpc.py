"""Requests and streamed answers over one connection, many at a time.

A caller that goes away cancels its request at the other side, where the handler is closed. A
handler's answer flows no faster than the connection takes it, and answers take turns chunk by
chunk. Requests beyond the limit are refused as "busy".

The answers on a connection share one stream: a caller that does not take its chunks holds up the
others after ANSWER_CHUNKS_MAX of them, until it takes them or goes away.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

from ledger.errors import Malformed
from ledger.text import text_fault
from node.errors import NodeError
from node.peers.frames import (
    CHUNK,
    ENDED,
    FAILED,
    GOODBYE,
    REQUEST,
    Chunk,
    Ended,
    Failed,
    FrameType,
    Request,
    frame_of,
    read_frame,
)

ANSWER_CHUNKS_MAX = 16
"""Chunks of one answer that wait at the caller before the connection is read no further."""

Part = bytes | Callable[[], Sequence[bytes]]
"""A chunk of an answer, or what is asked for chunks in the very turn in which they are written,
together; that raises RpcError if they may not leave any more."""

RpcHandler = Callable[[bytes, bytes], AsyncIterator[Part]]
"""(sender's node id, body) -> chunks of the answer; raises RpcError to refuse."""


class RpcError(Exception):
    """The other node's answer is an error. code: machine-readable; detail: for a person."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class PeerUnavailable(NodeError):
    """The peer cannot be reached, or the connection broke."""

    remedy = "Try again; see `concordat node status` for which peers are connected."


class _ConnectionGone(Exception):
    """The caller cannot be reached; apart from OSError, which a handler's own work may raise."""


class _Answer:
    """What has come for one call: chunks in their order, then the end.

    Chunks that wait are limited, the end is not: it never takes the place of a chunk.
    """

    def __init__(self) -> None:
        self._parts: asyncio.Queue[bytes | RpcError | PeerUnavailable | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(ANSWER_CHUNKS_MAX)
        self._wanted = True

    async def add(self, chunk: bytes) -> None:
        """Waits for room; a chunk that nobody wants any more is dropped."""
        await self._room.acquire()
        if self._wanted:
            self._parts.put_nowait(chunk)

    def end(self, fault: RpcError | PeerUnavailable | None) -> None:
        """Nothing comes after this. fault: None if the answer is complete."""
        self._parts.put_nowait(fault)

    async def next(self) -> bytes | RpcError | PeerUnavailable | None:
        """The next chunk, or the end."""
        part = await self._parts.get()
        if isinstance(part, bytes):
            self._room.release()
        return part

    def abandon(self) -> None:
        """The caller went away: whoever waits for room goes on."""
        self._wanted = False
        self._room.release()


class RpcClient:
    """The calling side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answers: dict[int, _Answer] = {}
        self._number = 0
        self._fault = "it was closed"
        self._task = asyncio.create_task(self._read())
        self._task.add_done_callback(self._end)
        self.closed = False

    async def call(self, method: str, body: bytes) -> AsyncGenerator[bytes, None]:
        """The chunks of an answer. Raises RpcError or PeerUnavailable."""
        if self.closed:
            raise self._broken()
        self._number += 1
        number = self._number
        answer = self._answers[number] = _Answer()
        finished = False
        try:
            self._writer.write(frame_of(FrameType.REQUEST, Request(number, method, body)))
            await self._writer.drain()
            while True:
                part = await answer.next()
                if isinstance(part, bytes):
                    yield part
                    continue
                finished = True
                if part is not None:
                    raise part
                return
        except OSError as error:
            raise PeerUnavailable(f"the connection broke: {error}") from None
        finally:
            del self._answers[number]
            answer.abandon()
            if not finished and not self.closed:
                self._writer.write(frame_of(FrameType.CANCEL, Ended(number)))

    async def close(self) -> None:
        """Ends the connection; open calls fail."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._writer.transport.abort()

    async def _read(self) -> None:
        try:
            while True:
                kind, payload = await read_frame(self._reader)
                await self._deliver(kind, payload)
        except asyncio.IncompleteReadError:
            self._fault = "the other side closed it"
        except (OSError, Malformed) as error:
            self._fault = str(error)

    def _broken(self) -> PeerUnavailable:
        return PeerUnavailable(f"the connection broke: {self._fault}")

    def _end(self, _: asyncio.Task[None]) -> None:
        self.closed = True
        self._writer.close()
        for answer in self._answers.values():
            answer.end(self._broken())

    async def _deliver(self, kind: FrameType, payload: bytes) -> None:
        match kind:
            case FrameType.CHUNK:
                chunk = CHUNK.decode(payload)
                if (answer := self._answers.get(chunk.number)) is not None:
                    await answer.add(chunk.data)
            case FrameType.END:
                if (answer := self._answers.get(ENDED.decode(payload).number)) is not None:
                    answer.end(None)
            case FrameType.ERROR:
                failed = FAILED.decode(payload)
                if (answer := self._answers.get(failed.number)) is not None:
                    answer.end(RpcError(failed.code, failed.detail))
            case FrameType.GOODBYE:
                goodbye = GOODBYE.decode(payload)
                raise ConnectionAbortedError(f"{goodbye.code}: {goodbye.detail}")
            case _:
                raise Malformed("frame", f"{kind.name.lower()} has no place in an answer")


class RpcServer:
    """The answering side of a connection."""

    def __init__(
        self,
        sender: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        handlers: Mapping[str, RpcHandler],
        in_flight_max: int,
    ) -> None:
        self._sender = sender
        self._reader = reader
        self._writer = writer
        self._handlers = handlers
        self._in_flight_max = in_flight_max
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Answers until the connection ends. Raises Malformed and connection errors."""
        try:
            while True:
                kind, payload = await read_frame(self._reader)
                if kind is FrameType.REQUEST:
                    await self._begin(REQUEST.decode(payload))
                elif kind is FrameType.CANCEL:
                    task = self._tasks.get(ENDED.decode(payload).number)
                    if task is not None:
                        task.cancel()
                else:
                    raise Malformed("frame", f"{kind.name.lower()} has no place among requests")
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, request: Request) -> None:
        """Starts an answer. A refusal is sent first: who reads no refusals is read no further."""
        number = request.number
        if number in self._tasks:
            raise Malformed("request", f"number {number} is under way")
        handler = self._handlers.get(request.method)
        if handler is None:
            await self._fail(number, RpcError("unknown-method", request.method))
        elif len(self._tasks) >= self._in_flight_max:
            detail = f"{self._in_flight_max} requests are under way"
            await self._fail(number, RpcError("busy", detail))
        else:
            task = asyncio.create_task(self._answer(number, handler(self._sender, request.body)))
            self._tasks[number] = task
            task.add_done_callback(lambda _: self._tasks.pop(number, None))

    async def _answer(self, number: int, answer: AsyncIterator[Part]) -> None:
        try:
            async for part in answer:
                await self._send_part(number, part)
            await self._send(frame_of(FrameType.END, Ended(number)))
        except RpcError as error:
            await self._fail(number, error)
        except _ConnectionGone:
            return
        except Exception as error:
            await self._fail(number, RpcError("internal-error", type(error).__name__))
            raise
        finally:
            if isinstance(answer, AsyncGenerator):
                await answer.aclose()

    async def _fail(self, number: int, error: RpcError) -> None:
        failed = Failed(number, error.code[:64], _sendable(error.detail)[:2000])
        with contextlib.suppress(_ConnectionGone):
            await self._send(frame_of(FrameType.ERROR, failed))

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            await self._write(data)

    async def _send_part(self, number: int, part: Part) -> None:
        async with self._sending:
            chunks = (part,) if isinstance(part, bytes) else part()
            frames = [frame_of(FrameType.CHUNK, Chunk(number, chunk)) for chunk in chunks]
            await self._write(b"".join(frames))

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        try:
            await self._writer.drain()
        except OSError as error:
            raise _ConnectionGone from error


def _sendable(detail: str) -> str:
    """A handler's words within the rules for text: one broken rule would end the connection."""
    return detail if text_fault(detail) is None else ascii(detail)
