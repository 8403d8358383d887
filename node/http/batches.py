"""Many ready-made records in one request: each is judged by itself, all are waited for at once."""

from collections.abc import Sequence

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from contracts.machine import Candidate, candidate
from node import ports
from node.http.access import App, ServiceDep
from node.http.models import Hex32
from node.http.problems import Problem
from node.http.writing import STOPPING, WaitQuery
from node.runtime import Unknown
from node.service import Service

router = APIRouter(tags=["ledger"])

RECORDS_MAX = 1_000
"""Limit of the records in one request."""

MSGPACK = "application/msgpack"

_RECORDS = msgspec.msgpack.Decoder(list[bytes])


class RecordOutcome(BaseModel):
    """What became of one record: its place, or why it has none. code: as of `POST /v1/records`.

    `unknown-outcome`: it was submitted, and what became of it was not known in time.
    """

    record_id: Hex32
    height: int | None = None
    leaf_index: int | None = None
    code: str | None = None
    detail: str | None = None


class BatchResult(BaseModel):
    """Outcomes in the order of the records. accepted: how many are on the ledger."""

    accepted: int
    certified: bool
    outcomes: list[RecordOutcome]


@router.post(
    "/records/batch",
    response_model=BatchResult,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {MSGPACK: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def submit_batch(
    service: ServiceDep, request: Request, _: App, wait: WaitQuery = "certified"
) -> Response:
    """Takes ready-made, signed records of this department: a MessagePack array of their bytes.

    Each is accepted or refused by itself. If one is malformed, another department's, or may
    end a grant, which stops exchanges the moment it is submitted, none is taken.
    """
    submissions = _parsed(service, await request.body())
    timeout_s = service.node.config.http.wait_timeout_ms / 1000
    outcomes = await service.node.submit_all(submissions, wait=wait, timeout_s=timeout_s)
    answer = _answer(submissions, outcomes, certified=wait == "certified")
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _parsed(service: Service, body: bytes) -> list[tuple[bytes, Candidate]]:
    try:
        raws = _RECORDS.decode(body)
    except msgspec.MsgspecError as error:
        raise Problem("invalid-request", f"the body is no array of records: {error}") from None
    if not 0 < len(raws) <= RECORDS_MAX:
        raise Problem("invalid-request", f"{len(raws)} records; 1 to {RECORDS_MAX} are taken")
    submissions = []
    for place, raw in enumerate(raws, start=1):
        known = candidate(raw)
        if known.record is None:
            raise Problem("refused", f"record {place}: {known.fault}", code="malformed-record")
        if known.record.header.department != service.node.department:
            only = f"this node takes records of {service.node.department} only"
            raise Problem("wrong-role", f"record {place}: {only}")
        if known.record.header.kind in STOPPING:
            detail = f"record {place}: a {known.record.header.kind} is submitted by itself"
            raise Problem("invalid-request", detail)
        submissions.append((raw, known))
    return submissions


def _answer(
    submissions: Sequence[tuple[bytes, Candidate]],
    outcomes: Sequence[ports.Accepted | ports.Rejected | Unknown],
    *,
    certified: bool,
) -> dict[str, object]:
    """As `BatchResult`; plain values, because a thousand models cost more than their records."""
    shown: list[dict[str, object]] = []
    accepted = 0
    for (_, known), outcome in zip(submissions, outcomes, strict=True):
        assert known.record is not None
        record_id = known.record.record_id.hex()
        match outcome:
            case ports.Accepted(height, leaf_index):
                accepted += 1
                shown.append({"record_id": record_id, "height": height, "leaf_index": leaf_index})
            case ports.Rejected():
                shown.append(
                    {"record_id": record_id, "code": outcome.code, "detail": outcome.detail}
                )
            case Unknown():
                detail = "it is on its way"
                shown.append({"record_id": record_id, "code": "unknown-outcome", "detail": detail})
    return {"accepted": accepted, "certified": certified, "outcomes": shown}
