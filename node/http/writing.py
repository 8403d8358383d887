"""How a request becomes a record: build, sign, submit, wait, answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Query
from pydantic import BaseModel

from contracts.emergencies import EmergencyReview
from contracts.grants import GrantDecision, grant
from contracts.machine import Candidate
from contracts.refusals import REFUSALS
from ledger.codec import Format
from ledger.errors import Malformed
from ledger.records import Record
from ledger.signatures import verify
from node import ports
from node.authoring import Draft, KeyReused
from node.http.models import Verdict, Written
from node.http.problems import Problem
from node.runtime import Unknown, Wait
from node.service import Service
from node.tokens import Token

WaitQuery = Annotated[
    Literal["certified", "committed"],
    Query(description="certified: a majority vouches for the block; committed: the leader's word"),
]
DryRunQuery = Annotated[
    bool, Query(description="only say whether the record would be accepted now, and why not")
]
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        description="a retry with the same key meets its first try",
    ),
]


class WriteOptions(BaseModel):
    """How a write is to be answered."""

    wait: Wait
    dry_run: bool
    key: str | None


async def write_options(
    wait: WaitQuery = "certified",
    dry_run: DryRunQuery = False,
    idempotency_key: KeyHeader = None,
) -> WriteOptions:
    """What every route that writes takes: its two queries and its header."""
    return WriteOptions(wait=wait, dry_run=dry_run, key=idempotency_key)


Options = Annotated[WriteOptions, Depends(write_options)]


async def write(
    service: Service,
    token: Token,
    options: WriteOptions,
    *,
    kind: str,
    body: Format,
    document: bytes | None = None,
) -> Written | Verdict:
    """Brings a record of this kind to the ledger. Raises Problem."""
    draft = Draft(kind=kind, body=body, actor=token.name, document=document)
    try:
        return await _build_and_submit(service, draft, options)
    except Problem as problem:
        if problem.code != "replayed" or options.key is None:
            raise
    # A try of before a restart came into the ledger after this one was built: it is the answer.
    return await _build_and_submit(service, draft, options)


async def _build_and_submit(
    service: Service, draft: Draft, options: WriteOptions
) -> Written | Verdict:
    key = None if options.dry_run else options.key
    idempotency = None if key is None else (draft.actor, key)
    try:
        record = service.author.build(draft, idempotency=idempotency)
    except KeyReused:
        raise Problem("key-reused", f"{options.key} stands for another request") from None
    except (Malformed, ValueError) as error:
        raise Problem("invalid-request", str(error)) from None
    return await submit(service, record, wait=options.wait, dry_run=options.dry_run)


async def submit(
    service: Service, record: Record, *, wait: Wait, dry_run: bool, raw: bytes | None = None
) -> Written | Verdict:
    """Submits a signed record and waits for it. raw: its bytes, if at hand. Raises Problem."""
    if dry_run:
        return would_be(service, record)
    outcome = await service.node.submit(
        record.to_bytes() if raw is None else raw,
        wait=wait,
        timeout_s=service.node.config.http.wait_timeout_ms / 1000,
        known=Candidate(record, "", signature_valid=False),
    )
    if isinstance(outcome, ports.Accepted):
        return Written(
            record_id=record.record_id.hex(),
            height=outcome.height,
            leaf_index=outcome.leaf_index,
            certified=service.node.events.certified_height >= outcome.height,
        )
    if isinstance(outcome, Unknown):
        raise Problem(
            "unknown-outcome",
            f"record {record.record_id.hex()} is on its way",
            retry_after_ms=1_000,
            record_id=record.record_id.hex(),
        )
    raise refused(outcome, record_id=record.record_id.hex())


STOPPING = ("grant.revoke", "grant.suspend", "emergency.review")
"""Kinds of records that may end or suspend a grant; each is submitted by itself."""


@asynccontextmanager
async def stopping(service: Service, grant_id: bytes) -> AsyncIterator[None]:
    """While this provider submits what ends or suspends a grant: nothing more goes out (P2).

    Afterwards the ledger says so itself; only while the outcome is unknown does the stop stay.
    """
    known = grant(service.node.view(), grant_id)
    stops = (
        known is not None
        and known.request.provider == service.node.department
        and known.status == "approved"
    )
    if stops:
        service.provider.endings.begin(grant_id)
    known_outcome = False
    try:
        yield
        known_outcome = True
    except Problem as problem:
        known_outcome = problem.kind != "unknown-outcome"
        raise
    finally:
        if stops and known_outcome:
            service.provider.endings.end(grant_id)


def ended_by(kind: str, body: Format) -> bytes | None:
    """The grant that a record of this kind ends or suspends; None if it ends none."""
    if kind in ("grant.revoke", "grant.suspend"):
        assert isinstance(body, GrantDecision), "the kind's body"
        return body.grant_id
    if isinstance(body, EmergencyReview) and body.verdict == "unjustified":
        return body.grant_id
    return None


def would_be(service: Service, record: Record) -> Verdict:
    """Whether the next block would accept the record."""
    valid = verify(record.header.key, record.statement(), record.signature)
    refusal = service.node.replica.would_refuse(Candidate(record, "", signature_valid=valid))
    if refusal is None:
        return Verdict(allowed=True)
    return Verdict(
        allowed=False,
        code=refusal.code,
        detail=refusal.detail,
        remedy=REFUSALS[refusal.code].remedy,
    )


def refused(outcome: ports.Rejected, **extra: Any) -> Problem:
    """The problem for a record that was not accepted."""
    if outcome.code == "busy":
        return Problem("busy", outcome.detail, retry_after_ms=outcome.retry_after_ms or 1_000)
    return Problem("refused", outcome.detail, code=outcome.code, **extra)
