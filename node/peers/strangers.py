"""Asking an address whose keys are not known: for what proves itself, and for nothing else.

The other side knows the caller by its own, newer ledger; the caller takes whoever answers. So
nothing is believed that comes from here, and nothing but the question goes there.
"""

import asyncio
import ssl

from ledger.errors import Malformed
from node.config import check_address
from node.errors import ConfigInvalid
from node.peers.frames import (
    FRAME_BYTES_MAX,
    HELLO,
    HELLO_BYTES_MAX,
    FrameType,
    Hello,
    frame_of,
    read_frame,
)
from node.peers.lines import PeerLimits
from node.peers.rpc import PeerUnavailable, RpcClient
from node.peers.tls import make_context


async def ask_stranger(
    address: str,
    method: str,
    body: bytes,
    *,
    tls_seed: bytes,
    hello: Hello,
    limits: PeerLimits,
    timeout_s: float,
) -> bytes:
    """The whole answer, at most FRAME_BYTES_MAX bytes. Raises RpcError, PeerUnavailable.

    timeout_s: for all of it.
    """
    context = make_context(tls_seed, (), server=False)
    context.verify_mode = ssl.CERT_NONE
    try:
        host, port = check_address("peer", address)
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=context, ssl_shutdown_timeout=limits.close_s
            )
            try:
                writer.write(frame_of(FrameType.HELLO, hello))
                kind, payload = await read_frame(reader, bytes_max=HELLO_BYTES_MAX)
                if (
                    kind is not FrameType.HELLO
                    or HELLO.decode(payload).ledger_id != hello.ledger_id
                ):
                    raise PeerUnavailable(f"{address} does not want to talk")
                return await _answer(RpcClient(reader, writer), method, body)
            finally:
                writer.transport.abort()
    except (OSError, asyncio.IncompleteReadError, UnicodeError, ConfigInvalid, Malformed) as error:
        raise PeerUnavailable(f"{address}: {error}") from None


async def _answer(client: RpcClient, method: str, body: bytes) -> bytes:
    answer = b""
    try:
        async for chunk in client.call(method, body):
            answer += chunk
            if len(answer) > FRAME_BYTES_MAX:
                raise PeerUnavailable("the answer is too long")
    finally:
        await client.close()
    return answer
