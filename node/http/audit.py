"""The questions of `concordat audit ask`, answered by a node for its auditors from its own ledger.

What a node says is for convenience: the same question to an export, or with `--proof`, trusts no
node. Nothing is kept for auditors before one asks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Path, Query

from audit.index import Behind
from audit.questions import ALWAYS, QUESTIONS, Unanswerable
from node.http.access import Auditor, ServiceDep
from node.http.models import AuditAnswer, AuditQuestion
from node.http.problems import Problem
from node.http.reading import LimitQuery, snapshot_of
from node.ports import StoreReader
from node.service import Service

router = APIRouter(tags=["audit"])

OFFSET_MAX = 10_000_000
"""Limit of the rows that may be passed over; a shorter period shows what lies beyond."""

Name = Annotated[str | None, Query(max_length=200)]
Moment = Annotated[int, Query(ge=ALWAYS[0], le=ALWAYS[1], description="ms since 1970")]


@contextmanager
def _reader(service: Service) -> Iterator[StoreReader]:
    """The store as of one moment."""
    with snapshot_of(service) as view:
        yield view.reader


@router.get("/audit/questions")
def questions(_: Auditor) -> list[AuditQuestion]:
    """What can be asked, and what each question takes."""
    return [
        AuditQuestion(
            question=name,
            meaning=asked.meaning,
            takes=list(asked.parameters) + (["from_ms", "to_ms"] if asked.period else []),
        )
        for name, asked in QUESTIONS.items()
        if not asked.items
    ]


@router.get("/audit/{question}")
def answer(
    service: ServiceDep,
    _: Auditor,
    question: Annotated[str, Path(max_length=40)],
    dataset: Name = None,
    field: Name = None,
    grant: Name = None,
    department: Name = None,
    actor: Name = None,
    days: Annotated[int, Query(ge=0, le=100_000)] = 30,
    from_ms: Moment = ALWAYS[0],
    to_ms: Moment = ALWAYS[1],
    offset: Annotated[int, Query(ge=0, le=OFFSET_MAX)] = 0,
    limit: LimitQuery = 100,
) -> AuditAnswer:
    """One answer, by this node's own ledger as of its last block."""
    asked = QUESTIONS.get(question)
    if asked is None:
        raise Problem("not-found", f"{question} is no question: /v1/audit/questions lists all")
    if asked.items:
        raise Problem("not-found", f"{question}: `concordat audit ask` answers it from a ledger")
    given = {"dataset": dataset, "field": field, "grant": grant, "department": department}
    given |= {"actor": actor, "days": str(days)}
    parameters: dict[str, str | int] = {}
    for name in asked.parameters:
        value = given[name]
        if value is None:
            raise Problem("invalid-request", f"{question} takes {name}")
        parameters[name] = value
    if asked.period:
        parameters |= {"from_ms": from_ms, "to_ms": to_ms}
    limit = min(limit, service.node.config.http.page_max)
    sql = f"{asked.sql} LIMIT {limit + 1} OFFSET {offset}"
    try:
        found, tip = service.index.ask(_reader(service), sql, parameters)
    except Behind as error:
        raise Problem("busy", str(error), retry_after_ms=1_000) from None
    except Unanswerable as error:
        raise Problem("invalid-request", str(error).partition("\n")[0]) from None
    certificate = service.node.certificate
    return AuditAnswer(
        question=asked.meaning,
        ledger_id=service.node.ledger_id.hex(),
        height=tip.height,
        tree_size=tip.tree_size,
        root=tip.tree().root().hex(),
        time_ms=tip.time_ms,
        certified_height=0 if certificate is None else min(certificate.height, tip.height),
        complete="by this node's own tables, which it alone answers for",
        rows=[dict(zip(found.columns, row, strict=True)) for row in found.rows[:limit]],
        next=offset + limit if len(found.rows) > limit else None,
    )
