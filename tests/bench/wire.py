"""A plain HTTP/1.1 client on one connection: a measuring client must not be the bottleneck."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. headers: names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Connection:
    """One keep-alive connection, under one token if there is any; one request at a time."""

    def __init__(self, host: str, port: int, token: str | None) -> None:
        self._host = host
        self._port = port
        self._head = f"Host: {host}:{port}\r\n"
        if token is not None:
            self._head += f"Authorization: Bearer {token}\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        content_type: str = "application/json",
    ) -> Answer:
        """Sends a request and reads its whole answer; connects first if it must."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        head = (
            f"{method} {path} HTTP/1.1\r\n{self._head}"
            f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode("ascii") + body)
        status_line, *lines = (
            (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        )
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        content = await _content(reader, headers)
        if headers.get("connection") == "close":
            self.close()
        return Answer(int(status_line.split(" ", 2)[1]), headers, content)

    async def lines(self, path: str) -> AsyncIterator[bytes]:
        """The lines of an answer that does not end, as they come; the connection is for it alone.

        An answer in chunks, each of whole lines.
        """
        reader, writer = await asyncio.open_connection(self._host, self._port)
        self._streams = (reader, writer)
        writer.write(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode("ascii"))
        status = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
        if status != b"200":
            raise RuntimeError(f"{path}: status {status.decode()}")
        while size := int(await reader.readline(), 16):
            content = await reader.readexactly(size)
            await reader.readexactly(2)
            for line in content.splitlines():
                yield line

    def close(self) -> None:
        """Closes the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _content(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readline()
    return b"".join(parts)
