"""What surrounds every request: limits, the ledger's headers, and the shortest way for the busiest.

`POST /v1/records` and `POST /v1/exchanges` are where a busy node's requests go, and the framework's
part of one is more than that of everything else, consensus included. So they are served here in
plain ASGI, under the same rules and the same description: `node.http.records` and
`node.http.exchanges` have the routes and say what they do, and whatever is not a request in its
plain form (`dry_run`, a query or a body that is wrong) goes to the framework.
"""

import json

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.records import RECORD_BYTES_MAX
from node.http.access import APP_ROLES, check_role, token_of
from node.http.exchanges import exchange
from node.http.models import ExchangeWanted
from node.http.problems import Problem
from node.http.records import take_record
from node.runtime import Wait
from node.service import Service

ALWAYS_SERVED = ("/healthz", "/readyz", "/v1/status", "/v1/metrics", "/v1/openapi.json")
"""What also a node answers whose key is spent."""

STREAMED = "/v1/bulk/"
"""Bodies below this path may have any length: they are read piece by piece."""

RECORDS = "/v1/records"
EXCHANGES = "/v1/exchanges"
JSON = b"application/json"

_PLAIN: dict[bytes, Wait] = {
    b"": "certified",
    b"wait=certified": "certified",
    b"wait=committed": "committed",
}
"""Queries of `RECORDS` that are served here."""


class Edge:
    """Limits bodies, adds the ledger's headers, and turns our own failures into problems."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        reason = self._service.node.out_of_service
        if reason is not None and path not in ALWAYS_SERVED:
            await Problem("out-of-service", reason).response()(scope, receive, send)
            return
        if path.startswith(STREAMED):
            await self._serve(self._app, scope, receive, send)
            return
        authorization, announced, content_type = b"", b"0", b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"content-length":
                announced = value
            elif name == b"content-type":
                content_type = value
        limit = self._service.node.config.http.body_bytes_max
        if not announced.isdigit() or int(announced) > limit:
            await _too_large(limit).response()(scope, receive, send)
            return
        query = scope["query_string"]
        if path == RECORDS and scope["method"] == "POST" and query in _PLAIN:
            await self._serve(
                self._record_taker(authorization, _PLAIN[query]), scope, receive, send
            )
        elif (path, scope["method"], query, content_type) == (EXCHANGES, "POST", b"", JSON):
            await self._serve(self._exchanger(authorization), scope, receive, send)
        else:
            await self._serve(self._app, scope, _limited(receive, limit), send)

    def _record_taker(self, authorization: bytes, wait: Wait) -> ASGIApp:
        """`node.http.records.submit_record` for one request."""

        async def take(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                check_role(token_of(self._service, authorization.decode("latin-1")), APP_ROLES)
                limit = min(RECORD_BYTES_MAX, self._service.node.config.http.body_bytes_max)
                raw = await _body(receive, limit)
                if raw is None:
                    return
                written = await take_record(self._service, raw, wait=wait, dry_run=False)
            except Problem as problem:
                await problem.response()(scope, receive, send)
                return
            await _answer(send, 201, msgspec.json.encode(written.model_dump()))

        return take

    def _exchanger(self, authorization: bytes) -> ASGIApp:
        """`node.http.exchanges.exchange` for one request; one that is malformed is the
        framework's, which says what is wrong with it."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                token = token_of(self._service, authorization.decode("latin-1"))
                check_role(token, APP_ROLES)
                raw = await _body(receive, self._service.node.config.http.body_bytes_max)
                if raw is None:
                    return
                try:
                    wanted = ExchangeWanted.model_validate(json.loads(raw))
                except (ValueError, RecursionError):
                    await self._app(scope, _again(raw, receive), send)
                    return
                result = await exchange(self._service, token, wanted)
            except Problem as problem:
                await problem.response()(scope, receive, send)
                return
            await _answer(send, 200, result.model_dump_json().encode())

        return serve

    async def _serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request; its body is limited by `receive`."""
        started = False

        async def headed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *self._headers()]
            await send(message)

        try:
            await app(scope, receive, headed)
        except Exception:
            if not started:
                problem = Problem("internal-error", "see the node's log").response()
                await problem(scope, receive, headed)
            raise

    def _headers(self) -> list[tuple[bytes, bytes]]:
        node = self._service.node
        headers = [
            (b"concordat-height", str(node.events.height).encode()),
            (b"concordat-certified-height", str(node.events.certified_height).encode()),
        ]
        certificate = node.certificate
        if certificate is not None:
            value = f"{certificate.tree_size}:{certificate.root.hex()}"
            headers.append((b"concordat-checkpoint", value.encode()))
        return headers


def _too_large(limit: int) -> Problem:
    return Problem("body-too-large", f"a body has at most {limit} bytes")


async def _body(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None if the client is gone. Raises Problem."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", JSON), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _again(body: bytes, receive: Receive) -> Receive:
    """`receive` as if the body had not been read."""
    given = False

    async def first_the_body() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return first_the_body


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive` that raises Problem beyond `limit` bytes."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(limit)
        return message

    return limited
