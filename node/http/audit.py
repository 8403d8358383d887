"""The questions of `concordat audit ask`, answered by a node for its auditors from its own ledger.

What a node says is for convenience: the same question to an export trusts no node, and so does
whoever checks the files that an answer carries with `?proof=true`. Nothing is kept for auditors
before one asks.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from audit.index import Behind, Indexed, ask
from audit.listed import listed_proofs
from audit.proofs.build import Prover, Unprovable
from audit.questions import ALWAYS, QUESTIONS, Answer, Question, Unanswerable
from contracts.machine import Tip, parse_tip
from ledger import store_keys
from ledger.certificates import Certificate
from ledger.genesis import GenesisFile
from node.http.access import Auditor, ServiceDep
from node.http.models import AuditAnswer, AuditQuestion
from node.http.problems import Problem
from node.http.reading import LimitQuery, snapshot_of
from node.ports import StoreReader
from node.service import Service

router = APIRouter(tags=["audit"])

OFFSET_MAX = 10_000_000
"""Limit of the rows that may be passed over; a shorter period shows what lies beyond."""

PROOF_FILES_MAX = 256
PROOF_BYTES_MAX = 16 * 1024 * 1024
"""Limits of the files that prove one answer; beyond them `audit ask --proof` makes them."""

CERTIFIED_TRIES = 200
CERTIFIED_PAUSE_S = 0.01
"""How often, and how far apart, a node looks whether its newest block is certified."""

BY_ITSELF = "by this node's own tables, which it alone answers for"
BY_LEDGER = (
    f"{BY_ITSELF}, as of the certified checkpoint that is enclosed: nothing shorter than the "
    "ledger proves it; `audit export` takes it from this node, `audit compare` holds it to the "
    "checkpoint"
)

Name = Annotated[str | None, Query(max_length=200)]
Moment = Annotated[int, Query(ge=ALWAYS[0], le=ALWAYS[1], description="ms since 1970")]


@contextmanager
def _reader(service: Service) -> Iterator[StoreReader]:
    """The store as of one moment."""
    with snapshot_of(service) as view:
        yield view.reader


class _Certified:
    """The store as of a moment at which its newest block is certified. A context manager.

    certificate: that block's, once entered.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stack = ExitStack()
        self.certificate: Certificate | None = None

    def __enter__(self) -> StoreReader:
        """Raises Behind if there is no such moment for a while."""
        for _ in range(CERTIFIED_TRIES):
            reader = self._stack.enter_context(_reader(self._service))
            tip = reader.get(store_keys.TIP_MARK)
            newest = self._service.node.certificate
            if tip and newest and parse_tip(tip).height == newest.height:
                self.certificate = newest
                return reader
            self._stack.close()
            time.sleep(CERTIFIED_PAUSE_S)
        raise Behind("the newest block is not certified")

    def __exit__(self, *_: object) -> None:
        self._stack.close()


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
    proof: Annotated[bool, Query(description="enclose what proves it complete")] = False,
) -> AuditAnswer:
    """One answer, by this node's own ledger as of its last block.

    With `proof` as of a certified block, with the files that `audit ask --proof` makes.
    """
    asked = QUESTIONS.get(question)
    if asked is None:
        raise Problem("not-found", f"{question} is no question: /v1/audit/questions lists all")
    if asked.items:
        raise Problem("not-found", f"{question}: `concordat audit ask` answers it from a ledger")
    parameters = _parameters(
        question,
        asked,
        {"dataset": dataset, "field": field, "grant": grant, "department": department}
        | {"actor": actor, "days": str(days)},
        {"from_ms": from_ms, "to_ms": to_ms} if asked.period else {},
    )
    limit = min(limit, service.node.config.http.page_max)
    sql = f"{asked.sql} LIMIT {limit + 1} OFFSET {offset}"
    certified = _Certified(service)
    complete, files = BY_ITSELF, None
    try:
        with service.index.as_of(certified if proof else _reader(service)) as indexed:
            found, tip = ask(indexed, sql, parameters), indexed.tip
            if certified.certificate is not None:
                genesis = service.node.genesis
                prover = Prover(genesis, indexed.snapshot, certified.certificate)
                complete, files = _proved(question, prover, genesis, indexed, parameters)
    except Behind as error:
        raise Problem("busy", str(error), retry_after_ms=1_000) from None
    except Unanswerable as error:
        raise Problem("invalid-request", str(error).partition("\n")[0]) from None
    except Unprovable as error:
        raise Problem("not-found", f"{error}: {error.remedy}") from None
    return _shown(service, asked, found, tip, complete, files, offset=offset, limit=limit)


def _shown(
    service: Service,
    asked: Question,
    found: Answer,
    tip: Tip,
    complete: str,
    proof: dict[str, str] | None,
    *,
    offset: int,
    limit: int,
) -> AuditAnswer:
    certificate = service.node.certificate
    return AuditAnswer(
        question=asked.meaning,
        ledger_id=service.node.ledger_id.hex(),
        height=tip.height,
        tree_size=tip.tree_size,
        root=tip.tree().root().hex(),
        time_ms=tip.time_ms,
        certified_height=0 if certificate is None else min(certificate.height, tip.height),
        complete=complete,
        rows=[dict(zip(found.columns, row, strict=True)) for row in found.rows[:limit]],
        next=offset + limit if len(found.rows) > limit else None,
        proof=proof,
    )


def _parameters(
    name: str, asked: Question, given: Mapping[str, str | None], period: dict[str, int]
) -> dict[str, str | int]:
    """What a question takes. Raises Problem if something is missing."""
    parameters: dict[str, str | int] = {}
    for parameter in asked.parameters:
        value = given[parameter]
        if value is None:
            raise Problem("invalid-request", f"{name} takes {parameter}")
        parameters[parameter] = value
    return {**parameters, **period}


def _proved(
    name: str,
    prover: Prover,
    genesis: GenesisFile,
    indexed: Indexed,
    parameters: dict[str, str | int],
) -> tuple[str, dict[str, str]]:
    """What an answer's being complete rests on, and the files that show it. Raises Unprovable."""
    if not QUESTIONS[name].listed:
        return BY_LEDGER, {"checkpoint.note": prover.certificate.to_note().to_bytes().decode()}
    files: dict[str, str] = {}
    size = 0

    def told(query: str, given: Mapping[str, str | int]) -> list[tuple[Any, ...]]:
        return indexed.database.ask(query, given).rows

    for path, data in listed_proofs(name, prover, genesis, told, parameters):
        size += len(data)
        files[path] = data.decode()
        if len(files) > PROOF_FILES_MAX or size > PROOF_BYTES_MAX:
            raise Problem(
                "invalid-request",
                f"its proof is beyond {PROOF_FILES_MAX} files or {PROOF_BYTES_MAX} bytes: "
                "`concordat audit ask --proof` makes it from this node's ledger",
            )
    return f"by the heads of lists, {len(files)} files for `concordat audit check`", files
