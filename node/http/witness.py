"""This node as a witness of other ledgers (c2sp.org/tlog-witness). Whoever asks needs no token.

The log's signature on the checkpoint is what is checked, before anything else costs time.
"""

import asyncio

from fastapi import APIRouter, Request, Response

from ledger.witnesses import REQUEST_BYTES_MAX
from node.http.access import ServiceDep
from node.http.problems import Problem
from node.witness import WitnessRefused

router = APIRouter(tags=["transparency"])

SIZE_TYPE = "text/x.tlog.size"

_KINDS = {
    "malformed": "checkpoint-malformed",
    "unknown": "not-found",
    "unsigned": "checkpoint-unsigned",
    "inconsistent": "checkpoint-inconsistent",
}


@router.post(
    "/add-checkpoint",
    response_class=Response,
    responses={
        409: {
            "description": "another size was cosigned last",
            "content": {SIZE_TYPE: {"schema": {"type": "string"}}},
        }
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
async def add_checkpoint(service: ServiceDep, request: Request) -> Response:
    """Cosigns a log's checkpoint that continues the newest one cosigned here."""
    if service.witness is None:
        raise Problem("not-found", "this node witnesses no other ledger")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > REQUEST_BYTES_MAX:
            raise Problem("body-too-large", f"a request has at most {REQUEST_BYTES_MAX} bytes")
    try:
        lines = await asyncio.to_thread(service.witness.add, bytes(body))
    except WitnessRefused as refused:
        if refused.fault == "conflict":
            return Response(f"{refused.size}\n", 409, {"Content-Type": SIZE_TYPE})
        raise Problem(_KINDS[refused.fault], str(refused)) from None
    return Response(lines, media_type="text/plain; charset=utf-8")
