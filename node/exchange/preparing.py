"""Before the receipt: what a request may have is read from the source, cut and spooled.

Row by row from the source into chunks of the spool: neither the source's answer nor the content is
ever held whole. A refusal is raised as `Denied` and recorded by whoever asked; a source that fails
decides nothing.
"""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog

from contracts.catalog import Dataset, dataset
from contracts.exchanges import ExchangeRequest, Receipt
from contracts.grants import Grant, exhausted
from contracts.limits import Counts
from contracts.queries import Field, Query, QueryRefused, named_subjects, parse_query
from contracts.refusals import Refusal
from ledger.attachments import items_root
from ledger.codec import encode
from ledger.commitments import commitment, subject_tag
from ledger.tree import root_of
from node.exchange.answers import CHUNK_BYTES_MAX, Row, chunks_of
from node.exchange.batching import Right
from node.exchange.recovery import Unfinished
from node.exchange.sources.port import Cut, Source, SourceMisbehaved, SourceUnavailable
from node.exchange.sources.registry import Sources
from node.exchange.spool import Result, Spool, SpoolFull
from node.exchange.vault import SubjectsExhausted, Vault
from node.peers.rpc import RpcError
from node.runtime import Node

NO_SUBJECTS = bytes(32)

_KNOWN = (QueryRefused, SpoolFull, SubjectsExhausted, SourceUnavailable, SourceMisbehaved)

SUBJECTS_AT_ONCE = 1_000
"""Subjects whose salts are looked up together."""

log = structlog.get_logger("concordat.exchange")


class Denied(Exception):
    """The exchange is refused, and that is to be recorded."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data that is read and cut, with all that its receipt says. next_offset: where the next window
    begins; None if nothing is left."""

    asked: ExchangeRequest
    right: Right
    result: Result
    blinding: bytes
    receipt: Receipt
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class _Reading:
    """A query that is about to be read. named: the subjects it names one by one, None if it does
    not."""

    source: Source
    fields: tuple[Field, ...]
    query: Query
    named: frozenset[str] | None


class Preparer:
    """Reads for one node's provider."""

    def __init__(self, *, node: Node, sources: Sources, vault: Vault, spool: Spool) -> None:
        self._node = node
        self._sources = sources
        self._vault = vault
        self._spool = spool
        self._limits = node.config.limits

    async def prepare(self, asked: ExchangeRequest, known: Grant) -> Prepared:
        """The data of an admissible request. Raises Denied, RpcError."""
        offered = dataset(self._node.view(), known.request.provider, known.request.dataset)
        assert offered is not None, "an approved grant has its dataset"
        reading = self._reading(asked, known, offered)
        result = self._spool.begin(ledger_id=self._node.ledger_id, exchange_id=asked.exchange_id)
        working = asyncio.ensure_future(
            asyncio.to_thread(self._pack, asked, known, offered, reading, result)
        )
        prepared = None
        try:
            async with asyncio.timeout(self._limits.source_timeout_ms / 1000 + 1.0):
                prepared = await asyncio.shield(working)
            return prepared
        except (*_KNOWN, TimeoutError) as error:
            raise _translated(error, offered.offer.name) from None
        finally:
            if prepared is None:
                working.add_done_callback(lambda done: _thrown_away(done, result))

    def _reading(self, asked: ExchangeRequest, known: Grant, offered: Dataset) -> _Reading:
        """The granted columns of the department's source, and the subject's column beside."""
        source = self._sources.for_dataset(offered.offer.name)
        if source is None:
            raise RpcError("no-source", f"{offered.offer.name} has no source at this node")
        types = dict(offered.fields)
        names = list(asked.fields)
        if offered.subject_field is not None and offered.subject_field not in names:
            names.append(offered.subject_field)
        try:
            query = query_of(asked, known, offered)
        except QueryRefused as error:
            raise RpcError("query-refused", str(error)) from None
        refusal = unnamed(query, known, offered)
        if refusal is not None:
            raise Denied(refusal)
        if offered.sealed and asked.seal_to is None:
            what = f"{offered.publisher}/{offered.offer.name} is sealed"
            raise Denied(Refusal("seal-required", what))
        named = named_subjects(query, offered.subject_field)
        return _Reading(source, tuple(Field(name, types[name]) for name in names), query, named)

    def _pack(
        self,
        asked: ExchangeRequest,
        known: Grant,
        offered: Dataset,
        reading: _Reading,
        result: Result,
    ) -> Prepared:
        """Content, commitments and subject tags; keeps what opens them. Blocking.

        Raises SubjectsExhausted if the answer is about more people than the grant allows, and what
        sources and spool raise.
        """
        limits = self._limits
        found = reading.source.stream(
            fields=reading.fields,
            query=reading.query,
            rows_max=limits.result_rows_max,
            bytes_max=limits.result_bytes_max,
            timeout_s=limits.source_timeout_ms / 1000,
        )
        cut = Cut(
            found,
            reading.query,
            rows_max=limits.result_rows_max,
            bytes_max=limits.result_bytes_max,
        )
        subjects = _Subjects(self._vault, known, offered, reading)
        for chunk in chunks_of(asked.fields, subjects.of(iter(cut), width=len(asked.fields))):
            if len(chunk) > CHUNK_BYTES_MAX:
                raise QueryRefused(f"a row has more than {CHUNK_BYTES_MAX} bytes")
            result.add(chunk)
        result.finish()
        now_ms = self._node.clock.now_ms()
        refusal = exhausted(known, Counts(1, cut.count, result.size_bytes), time_ms=now_ms)
        if refusal is not None:
            raise Denied(refusal)
        tags = list(subjects.tags)
        blinding = secrets.token_bytes(32)
        receipt = self._receipt(asked, offered, result, cut.count, tags, blinding)
        self._vault.begin(
            asked.exchange_id,
            Unfinished(asked.grant_id, self._node.events.height),
            {
                "side": "provider",
                "grant": asked.grant_id.hex(),
                "request_blinding": asked.request_blinding.hex(),
                "response_blinding": blinding.hex(),
                "query": asked.query.decode("utf-8", "replace"),
                "fields": list(asked.fields),
                "subject_tags": [tag.hex() for tag in tags],
            },
        )
        asked_for = known.request
        right = Right(known.version, asked_for.purpose, asked_for.legal_basis, offered.sealed)
        following = (reading.query.offset or 0) + cut.count if cut.more else None
        return Prepared(asked, right, result, blinding, receipt, following)

    def _receipt(
        self,
        asked: ExchangeRequest,
        offered: Dataset,
        result: Result,
        rows: int,
        tags: Sequence[bytes],
        blinding: bytes,
    ) -> Receipt:
        """What the provider attests: of sealed content, the sealed chunks and their key."""
        return Receipt(
            exchange_id=asked.exchange_id,
            request=request_commitment(self._node.ledger_id, asked),
            response=response_commitment(
                self._node.ledger_id,
                blinding=blinding,
                root=root_of(result.sealed_hashes if offered.sealed else result.hashes),
            ),
            case=asked.case,
            rows=rows,
            size_bytes=result.size_bytes,
            subjects=len(tags),
            subjects_root=items_root(tags) if tags else NO_SUBJECTS,
            key_commitment=result.key_commitment if offered.sealed else None,
        )


class _Subjects:
    """Whom the rows of one answer are about. tags: each once, in order of the rows."""

    def __init__(self, vault: Vault, known: Grant, offered: Dataset, reading: _Reading) -> None:
        self._vault = vault
        self._grant_id = known.grant_id
        self._subjects_max = known.request.limits.subjects_max
        self._named = reading.named
        self._place: int | None = None
        if offered.subject_field is not None:
            names = [field.name for field in reading.fields]
            self._place = names.index(offered.subject_field)
        self._waiting: dict[str, None] = {}
        self.tags: dict[bytes, None] = {}

    def of(self, rows: Iterator[Row], *, width: int) -> Iterator[Row]:
        """The rows, cut to `width` values; their subjects are tagged on the way."""
        for row in rows:
            if self._place is not None:
                identifier = str(row[self._place])
                if self._named is not None and identifier not in self._named:
                    raise SourceMisbehaved("the source answered about others than asked")
                self._waiting[identifier] = None
                if len(self._waiting) >= SUBJECTS_AT_ONCE:
                    self._tag()
            yield row[:width]
        self._tag()

    def _tag(self) -> None:
        identifiers, self._waiting = list(self._waiting), {}
        salts = self._vault.salts(self._grant_id, identifiers, subjects_max=self._subjects_max)
        for salt, identifier in zip(salts, identifiers, strict=True):
            self.tags[subject_tag(salt, identifier)] = None


def _translated(error: Exception, name: str) -> Exception:
    """What the other side hears of it; the details stay in the log."""
    match error:
        case QueryRefused():
            return RpcError("query-refused", str(error))
        case SpoolFull():
            return RpcError("busy", str(error))
        case SubjectsExhausted():
            return Denied(Refusal("subjects-exhausted", str(error)))
        case TimeoutError():
            return RpcError("source-unavailable", "the source does not answer in time")
        case SourceUnavailable():
            log.warning("source unavailable", dataset=name, error=str(error))
            return RpcError("source-unavailable", "the department's source is down")
        case SourceMisbehaved():
            log.error("source misbehaved", dataset=name, error=str(error))
            return RpcError("source-misbehaved", "the source broke its description")
    return error


def _thrown_away(done: "asyncio.Future[Prepared]", result: Result) -> None:
    """Nobody waits for what was read."""
    if not done.cancelled():
        done.exception()
    result.discard()


def query_of(asked: ExchangeRequest, known: Grant, offered: Dataset) -> Query:
    """The query of a request. Raises QueryRefused.

    It may filter by granted fields and by the subject's: any other would reveal it.
    """
    may_filter = {*known.request.fields, offered.subject_field}
    filterable = [Field(name, kind) for name, kind in offered.fields if name in may_filter]
    return parse_query(asked.query, filterable)


def unnamed(query: Query, known: Grant, offered: Dataset) -> Refusal | None:
    """Why a query that does not name its subjects is refused; None if it need not, or does."""
    subject = offered.subject_field
    if not known.request.limits.subjects_named or named_subjects(query, subject) is not None:
        return None
    return Refusal("subjects-not-named", f"a condition = or in on {subject}")


def request_commitment(ledger_id: bytes, asked: ExchangeRequest) -> bytes:
    """The commitment to what was asked: fields and query."""
    content = encode((asked.fields, asked.query))
    return commitment(ledger_id, role="request", blinding=asked.request_blinding, content=content)


def response_commitment(ledger_id: bytes, *, blinding: bytes, root: bytes) -> bytes:
    """The commitment to what is answered: the root over its chunks."""
    return commitment(ledger_id, role="response", blinding=blinding, content=root)
