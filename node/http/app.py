"""The HTTP application: routes, problems, limits and the headers of every answer."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.http import (
    audit,
    bulk,
    catalog,
    consortium,
    emergencies,
    exchanges,
    grants,
    operations,
    policies,
    records,
    streams,
    transparency,
    witness,
)
from node.http.access import Reader
from node.http.problems import (
    MEDIA_TYPE,
    Problem,
    answer_http,
    answer_problem,
    answer_validation,
)
from node.service import Service

_PROBLEM: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "remedy"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "remedy": {"type": "string"},
                        "code": {"type": "string"},
                    },
                }
            }
        },
    }
    for status, description in (
        (401, "no valid token"),
        (403, "not allowed"),
        (404, "not found"),
        (409, "conflict"),
        (413, "too large"),
        (422, "invalid or refused"),
        (502, "the exchange failed"),
        (503, "busy, or no leader"),
        (504, "outcome not known in time"),
    )
}


_ALWAYS_SERVED = ("/healthz", "/readyz", "/v1/status", "/v1/metrics", "/v1/openapi.json")
"""What also a node answers whose key is spent."""

_STREAMED = "/v1/bulk/"
"""Bodies below this path may have any length: they are read piece by piece."""


def make_app(service: Service) -> FastAPI:
    """The application of one node."""
    app = FastAPI(
        title="Concordat node",
        version="1",
        summary="Datasets, grants, exchanges and the ledger of a consortium of departments.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    parts = (
        consortium,
        catalog,
        grants,
        policies,
        emergencies,
        exchanges,
        bulk,
        records,
        audit,
        transparency,
        streams,
        operations,
    )
    for part in parts:
        app.include_router(part.router, prefix="/v1", responses=_PROBLEM)
    app.include_router(operations.open_router)
    app.include_router(transparency.tlog_router, responses=_PROBLEM)
    app.include_router(witness.router, responses=_PROBLEM)
    app.include_router(_description(app), prefix="/v1")
    app.add_exception_handler(Problem, answer_problem)
    app.add_exception_handler(RequestValidationError, answer_validation)
    app.add_exception_handler(HTTPException, answer_http)
    app.add_middleware(_Edge, service=service)
    return app


def _description(app: FastAPI) -> APIRouter:
    """The route that describes all others; like them, it asks for a token."""
    router = APIRouter(tags=["operations"])

    @router.get("/openapi.json", include_in_schema=False)
    def openapi(_: Reader) -> JSONResponse:
        return JSONResponse(app.openapi())

    return router


class _Edge:
    """Limits bodies, adds the ledger's headers, and turns our own failures into problems."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reason = self._service.node.out_of_service
        if reason is not None and scope["path"] not in _ALWAYS_SERVED:
            await Problem("out-of-service", reason).response()(scope, receive, send)
            return
        if scope["path"].startswith(_STREAMED):
            await self._serve(scope, receive, send)
            return
        limit = self._service.node.config.http.body_bytes_max
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > limit:
            problem = Problem("body-too-large", f"a body has at most {limit} bytes").response()
            await problem(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise Problem("body-too-large", f"a body has at most {limit} bytes")
            return message

        await self._serve(scope, limited, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request; its body is limited by `receive`."""
        started = False

        async def headed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *self._headers()]
            await send(message)

        try:
            await self._app(scope, receive, headed)
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
