"""Every error an app can meet, as an RFC 9457 problem: type, status, what to do."""

from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from contracts.refusals import REFUSALS

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its HTTP status, what it means and what to do about it."""

    status: int
    meaning: str
    remedy: str


PROBLEMS: dict[str, Kind] = {
    "no-token": Kind(
        401, "The request carries no bearer token.", "Send `Authorization: Bearer <token>`."
    ),
    "unknown-token": Kind(
        401, "No such token at this node.", "Ask the node's operator for a token."
    ),
    "expired-token": Kind(401, "The token has expired.", "Ask the node's operator for a new one."),
    "wrong-role": Kind(
        403, "The token's role may not do this.", "Use a token of one of the roles named."
    ),
    "outside-scope": Kind(
        403, "The token is limited to other datasets.", "Ask for a token that names this dataset."
    ),
    "not-found": Kind(404, "There is nothing under this address.", "Check the address or id."),
    "wrong-method": Kind(405, "The address does not take this method.", "See /v1/openapi.json."),
    "invalid-request": Kind(
        422, "The request does not have the form of this address.", "Correct the fields named."
    ),
    "body-too-large": Kind(413, "The body is larger than this node takes.", "Send less at once."),
    "checkpoint-malformed": Kind(
        400,
        "The request is none that a witness takes, or its old size is too large.",
        "See c2sp.org/tlog-witness: old size, proof, an empty line, the signed checkpoint.",
    ),
    "checkpoint-unsigned": Kind(
        403,
        "No key by which this witness knows the log signed the checkpoint.",
        "Ask the witness's operator to configure the log's key.",
    ),
    "checkpoint-inconsistent": Kind(
        422,
        "The proof does not show that the checkpoint continues the one cosigned last.",
        "Prove it from the size that a request with another old size is answered with.",
    ),
    "key-reused": Kind(
        409,
        "The Idempotency-Key was used for another content.",
        "Use a new key for a new request, the same one for a retry only.",
    ),
    "refused": Kind(
        422, "The contracts refuse the record.", "See `code`: docs/ERRORS.md explains each."
    ),
    "denied": Kind(
        403, "The provider refuses the exchange.", "See `code`: docs/ERRORS.md explains each."
    ),
    "exchange-failed": Kind(
        502, "The exchange did not come about; nothing was handed over.", "See `code`; try again."
    ),
    "unknown-outcome": Kind(
        504,
        "The record was submitted, and its outcome was not known in time.",
        "Ask again with the same Idempotency-Key, or look for the record by its id.",
    ),
    "busy": Kind(503, "Too much is under way.", "Try again after the time in Retry-After."),
    "no-leader": Kind(
        503,
        "No majority of the nodes can be reached to confirm the read.",
        "Try again, or read without consistent=true.",
    ),
    "out-of-service": Kind(
        503,
        "This node's key is spent; it serves nothing any more.",
        "Use another node of the department; the operator enrols a new one with "
        "`concordat-node renew`.",
    ),
    "internal-error": Kind(
        500, "The node failed on this request.", "Report it with the time of the request."
    ),
}
"""By kind; the last part of a problem's `type`."""

TYPE_PREFIX = "urn:concordat:problem:"


class Problem(Exception):
    """An error to be answered as a problem. code: a refusal's code, where one is the cause."""

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        code: str | None = None,
        retry_after_ms: int | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.code = code
        self.retry_after_ms = retry_after_ms
        self.extra = extra

    def response(self) -> JSONResponse:
        """The answer."""
        known = PROBLEMS[self.kind]
        content: dict[str, Any] = {
            "type": TYPE_PREFIX + self.kind,
            "title": known.meaning,
            "status": known.status,
            "detail": self.detail,
            "remedy": known.remedy,
        }
        if self.code is not None:
            content["code"] = self.code
            if self.code in REFUSALS:
                content["title"] = REFUSALS[self.code].meaning
                content["remedy"] = REFUSALS[self.code].remedy
        content |= self.extra
        headers = {}
        if self.retry_after_ms is not None:
            headers["Retry-After"] = str(max(1, self.retry_after_ms // 1000))
        if known.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="concordat"'
        return JSONResponse(content, known.status, headers, MEDIA_TYPE)


async def answer_problem(_: Request, error: Exception) -> JSONResponse:
    """For `Problem`."""
    assert isinstance(error, Problem)
    return error.response()


async def answer_validation(_: Request, error: Exception) -> JSONResponse:
    """For a request that does not fit its model: each field with what is wrong."""
    assert isinstance(error, RequestValidationError)
    faults = [
        {"field": ".".join(str(part) for part in fault["loc"]), "fault": fault["msg"]}
        for fault in error.errors()
    ]
    detail = "; ".join(f"{fault['field']}: {fault['fault']}" for fault in faults[:5])
    return Problem("invalid-request", detail, faults=faults).response()


async def answer_http(_: Request, error: Exception) -> JSONResponse:
    """For what the router itself refuses."""
    assert isinstance(error, HTTPException)
    kind = {404: "not-found", 405: "wrong-method"}.get(error.status_code, "invalid-request")
    return Problem(kind, str(error.detail)).response()
