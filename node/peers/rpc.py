"""Requests and streamed answers over one connection, many at a time.

A caller that goes away cancels its request at the other side. A handler's answer flows no faster
than the connection takes it. Requests beyond the limit are refused as "busy".
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from node.errors import NodeError
from node.peers.frames import (
    CHUNK,
    ENDED,
    FAILED,
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

RpcHandler = Callable[[bytes, bytes], AsyncIterator[bytes]]
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


class RpcClient:
    """The calling side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answers: dict[int, asyncio.Queue[bytes | RpcError | PeerUnavailable | None]] = {}
        self._number = 0
        self._task = asyncio.create_task(self._read())
        self.closed = False

    async def call(self, method: str, body: bytes) -> AsyncIterator[bytes]:
        """The chunks of an answer. Raises RpcError or PeerUnavailable."""
        self._number += 1
        number = self._number
        answer: asyncio.Queue[bytes | RpcError | PeerUnavailable | None] = asyncio.Queue(
            ANSWER_CHUNKS_MAX
        )
        self._answers[number] = answer
        finished = False
        try:
            self._writer.write(frame_of(FrameType.REQUEST, Request(number, method, body)))
            await self._writer.drain()
            while True:
                part = await answer.get()
                if part is None:
                    finished = True
                    return
                if isinstance(part, Exception):
                    finished = True
                    raise part
                yield part
        except (ConnectionError, OSError) as error:
            raise PeerUnavailable(f"the connection broke: {error}") from None
        finally:
            del self._answers[number]
            if not finished and not self.closed:
                self._writer.write(frame_of(FrameType.CANCEL, Ended(number)))

    async def close(self) -> None:
        """Ends the connection; open calls fail."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while True:
                kind, payload = await read_frame(self._reader)
                await self._deliver(kind, payload)
        except (asyncio.IncompleteReadError, ConnectionError, OSError, ValueError):
            pass
        except Exception as error:
            if type(error).__name__ != "Malformed":
                raise
        finally:
            self.closed = True
            self._writer.close()
            for answer in self._answers.values():
                if answer.full():
                    answer.get_nowait()
                answer.put_nowait(PeerUnavailable("the connection broke"))

    async def _deliver(self, kind: FrameType, payload: bytes) -> None:
        part: bytes | RpcError | None
        match kind:
            case FrameType.CHUNK:
                chunk = CHUNK.decode(payload)
                number, part = chunk.number, chunk.data
            case FrameType.END:
                number, part = ENDED.decode(payload).number, None
            case FrameType.ERROR:
                failed = FAILED.decode(payload)
                number, part = failed.number, RpcError(failed.code, failed.detail)
            case _:
                return
        answer = self._answers.get(number)
        if answer is not None:
            await answer.put(part)


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
                    self._begin(REQUEST.decode(payload))
                elif kind is FrameType.CANCEL:
                    task = self._tasks.get(ENDED.decode(payload).number)
                    if task is not None:
                        task.cancel()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _begin(self, request: Request) -> None:
        if request.number in self._tasks:
            return
        task = asyncio.create_task(self._answer(request))
        self._tasks[request.number] = task
        task.add_done_callback(lambda _: self._tasks.pop(request.number, None))

    async def _answer(self, request: Request) -> None:
        number = request.number
        handler = self._handlers.get(request.method)
        try:
            if handler is None:
                raise RpcError("unknown-method", request.method)
            if len(self._tasks) > self._in_flight_max:
                raise RpcError("busy", f"{self._in_flight_max} requests are under way")
            async for data in handler(self._sender, request.body):
                await self._send(frame_of(FrameType.CHUNK, Chunk(number, data)))
            await self._send(frame_of(FrameType.END, Ended(number)))
        except RpcError as error:
            failed = Failed(number, error.code[:64], error.detail[:2000])
            await self._send(frame_of(FrameType.ERROR, failed))
        except (ConnectionError, OSError):
            return
        except Exception as error:
            failed = Failed(number, "internal-error", type(error).__name__)
            await self._send(frame_of(FrameType.ERROR, failed))
            raise

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            self._writer.write(data)
            await self._writer.drain()
