"""The HTTP application: routes, problems, limits and the headers of every answer."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from node.http import (
    audit,
    batches,
    bulk,
    catalog,
    consortium,
    emergencies,
    exchanges,
    grants,
    openings,
    operations,
    policies,
    records,
    streams,
    transparency,
    witness,
)
from node.http.access import Reader
from node.http.edge import Edge
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


def make_app(service: Service) -> Edge:
    """The application of one node."""
    return Edge(make_routes(service), service)


def make_routes(service: Service) -> FastAPI:
    """Every route, without what surrounds them all."""
    app = FastAPI(
        title="Concordat node",
        version="1",
        summary="Datasets, grants, exchanges and the ledger of a consortium of departments.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    parts = (  # the busiest first: a request is compared with one route after the other
        exchanges,
        records,
        batches,
        bulk,
        grants,
        consortium,
        catalog,
        policies,
        emergencies,
        audit,
        transparency,
        streams,
        openings,
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
    return app


def _description(app: FastAPI) -> APIRouter:
    """The route that describes all others; like them, it asks for a token."""
    router = APIRouter(tags=["operations"])

    @router.get("/openapi.json", include_in_schema=False)
    def openapi(_: Reader) -> JSONResponse:
        return JSONResponse(app.openapi())

    return router
