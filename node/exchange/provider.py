"""The provider's side of an exchange: judge, read, receipt, certify, release.

Every step can end it: a refusal is recorded as a denial and answered with its code; a source that
fails is answered and not recorded, since nothing was decided; a certified receipt whose data does
not go out in time, or not all of it, is voided.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from contracts.catalog import Dataset, dataset
from contracts.consortium import department_of_key, node
from contracts.exchanges import (
    Denial,
    Denials,
    ExchangeRequest,
    Receipt,
    Receipts,
    Void,
    Voids,
    admissible,
    parse_request,
    parse_signed_request,
)
from contracts.grants import Grant, exhausted, grant
from contracts.limits import Counts
from contracts.refusals import Refusal
from ledger import store_keys
from ledger.attachments import items_root
from ledger.codec import encode
from ledger.commitments import commitment, subject_tag
from ledger.errors import Malformed
from ledger.signatures import verify
from ledger.statements import exchange_request_statement
from node.authoring import VALID_MS, Author
from node.exchange.answers import CHUNK_BYTES, Answer, ReleaseHead
from node.exchange.batching import Batcher, Outcome, Placed, Right
from node.exchange.recovery import Unfinished, receipts_to_void
from node.exchange.release import Endings, Moment, Release
from node.exchange.sources.port import (
    Field,
    Query,
    QueryRefused,
    Rows,
    SourceMisbehaved,
    SourceUnavailable,
    parse_query,
)
from node.exchange.sources.registry import Sources
from node.exchange.vault import SubjectsExhausted, Vault
from node.peers.rpc import Part, RpcError
from node.runtime import Node, Unknown

REQUEST_AGE_MS_MAX = 300_000
"""How far a request's time may be from this node's clock, in milliseconds."""

REMEMBERED_MAX = 100_000
"""Exchange ids that are remembered, so that none is served twice."""

DENIALS_PAUSE_S = 0.2
DENIALS_WAITING_MAX = 1_000

NO_SUBJECTS = bytes(32)

log = structlog.get_logger("concordat.exchange")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Data that is read and cut, with all that its receipt says."""

    asked: ExchangeRequest
    right: Right
    content: bytes
    blinding: bytes
    receipt: Receipt


class Provider:
    """Serves exchanges of this node's datasets."""

    def __init__(
        self,
        *,
        node: Node,
        author: Author,
        sources: Sources,
        vault: Vault,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._sources = sources
        self._vault = vault
        self._monotonic = monotonic
        self._limits = node.config.limits
        self._receipts = Batcher(
            kind="exchange.receipts",
            make_body=lambda lines: Receipts(lines),  # type: ignore[arg-type]
            author=author,
            submitter=node,
            actor="exchange gateway",
        )
        self._denials = Batcher(
            kind="exchange.denials",
            make_body=lambda lines: Denials(lines),  # type: ignore[arg-type]
            author=author,
            submitter=node,
            actor="exchange gateway",
            pause_s=DENIALS_PAUSE_S,
        )
        self._voids = Batcher(
            kind="exchange.voids",
            make_body=lambda lines: Voids(lines),  # type: ignore[arg-type]
            author=author,
            submitter=node,
            actor="exchange gateway",
        )
        self._denied: dict[tuple[bytes, str, str], Denial] = {}
        self._denying: set[asyncio.Task[Any]] = set()
        self._unfinished = vault.unfinished()
        self._seen: dict[bytes, None] = {}
        self.endings = Endings()
        self.in_flight = 0
        self.served = 0
        self.denied = 0

    async def stop(self) -> None:
        """Ends; what is to be recorded is."""
        await asyncio.gather(*self._denying, return_exceptions=True)
        for batcher in (self._receipts, self._denials, self._voids):
            await batcher.stop()

    async def serve(self, sender: bytes, body: bytes) -> AsyncIterator[Part]:
        """The RPC `exchange`: a signed request in, the release out. Raises RpcError."""
        if self.in_flight >= self._limits.exchanges_in_flight_max:
            raise RpcError("busy", f"{self.in_flight} exchanges are under way")
        self.in_flight += 1
        try:
            asked = self._authentic(sender, body)
            prepared = await self._prepare(asked)
            release = Release(asked.grant_id, self._monotonic_ms())
            placed = await self._certify(prepared)
            async for part in self._release(prepared, placed, release):
                yield part
            self.served += 1
        finally:
            self.in_flight -= 1

    def _authentic(self, sender: bytes, body: bytes) -> ExchangeRequest:
        """The request, if its consumer really made it, for this ledger, lately, and once."""
        try:
            signed = parse_signed_request(body)
            asked = parse_request(signed.request)
        except Malformed as error:
            raise RpcError("malformed-request", str(error)) from None
        view = self._node.view()
        state = node(view, sender)
        statement = exchange_request_statement(self._node.ledger_id, signed.request)
        if (
            asked.ledger_id != self._node.ledger_id
            or state is None
            or state.department != asked.consumer
            or department_of_key(view, signed.key) != asked.consumer
            or not verify(signed.key, statement, signed.signature)
        ):
            raise RpcError("bad-signature", "the request is not its consumer's")
        if abs(self._node.clock.now_ms() - asked.created_ms) > REQUEST_AGE_MS_MAX:
            raise RpcError("stale-request", "the request's time is too far from this clock")
        if asked.exchange_id in self._seen:
            raise RpcError("repeated-exchange", "this exchange was asked for before")
        self._seen[asked.exchange_id] = None
        if len(self._seen) > REMEMBERED_MAX:
            del self._seen[next(iter(self._seen))]
        return asked

    # Judging and reading.

    async def _prepare(self, asked: ExchangeRequest) -> _Prepared:
        view = self._node.view()
        known = grant(view, asked.grant_id)
        if known is None:
            raise self._deny(asked, Refusal("unknown-grant", asked.grant_id.hex()))
        refusal = admissible(
            view,
            known,
            asked,
            provider=self._node.department,
            time_ms=self._node.clock.now_ms(),
        )
        if refusal is None and self.endings.under_way(asked.grant_id):
            refusal = Refusal("grant-revoked", "the revocation is on its way to the ledger")
        if refusal is not None:
            raise self._deny(asked, refusal)
        offered = dataset(view, known.request.provider, known.request.dataset)
        assert offered is not None, "an approved grant has its dataset"
        rows = await self._read(asked, known, offered)
        now_ms = self._node.clock.now_ms()
        refusal = exhausted(known, Counts(1, len(rows.rows)), time_ms=now_ms)
        if refusal is not None:
            raise self._deny(asked, refusal)
        try:
            return await asyncio.to_thread(self._pack, asked, known, offered, rows)
        except SubjectsExhausted as error:
            raise self._deny(asked, Refusal("subjects-exhausted", str(error))) from None

    async def _read(self, asked: ExchangeRequest, known: Grant, offered: Dataset) -> Rows:
        """The granted columns from the department's source, and the subject's column beside.

        A query may filter by granted fields and by the subject's: any other would reveal it.
        """
        source = self._sources.for_dataset(offered.offer.name)
        if source is None:
            raise RpcError("no-source", f"{offered.offer.name} has no source at this node")
        types = dict(offered.fields)
        names = list(asked.fields)
        if offered.subject_field is not None and offered.subject_field not in names:
            names.append(offered.subject_field)
        fields = [Field(name, types[name]) for name in names]
        may_filter = {*known.request.fields, offered.subject_field}
        filterable = [Field(name, kind) for name, kind in offered.fields if name in may_filter]
        timeout_s = self._limits.source_timeout_ms / 1000
        try:
            query = parse_query(asked.query, filterable)
            named = _named_subjects(query, offered)
            if known.request.limits.subjects_named and named is None:
                what = f"a condition = or in on {offered.subject_field}"
                raise self._deny(asked, Refusal("subjects-not-named", what))
            async with asyncio.timeout(timeout_s + 1.0):
                rows = await asyncio.to_thread(
                    source.read,
                    fields=fields,
                    query=query,
                    filterable=filterable,
                    rows_max=self._limits.result_rows_max,
                    bytes_max=self._limits.result_bytes_max,
                    timeout_s=timeout_s,
                )
        except QueryRefused as error:
            raise RpcError("query-refused", str(error)) from None
        except TimeoutError:
            raise RpcError("source-unavailable", "the source does not answer in time") from None
        except SourceUnavailable as error:
            log.warning("source unavailable", dataset=offered.offer.name, error=str(error))
            raise RpcError("source-unavailable", "the department's source is down") from None
        except SourceMisbehaved as error:
            log.error("source misbehaved", dataset=offered.offer.name, error=str(error))
            raise RpcError("source-misbehaved", "the source broke its description") from None
        if named is not None and not named.issuperset(_subjects(rows, offered)):
            log.error("source answered about others than asked", dataset=offered.offer.name)
            raise RpcError("source-misbehaved", "the source answered about other subjects")
        return rows

    def _pack(
        self, asked: ExchangeRequest, known: Grant, offered: Dataset, rows: Rows
    ) -> _Prepared:
        """Content, commitments and subject tags; keeps what opens them. Blocking.

        Raises SubjectsExhausted if the answer is about more people than the grant allows.
        """
        tags: dict[bytes, None] = {}
        if offered.subject_field is not None:
            identifiers = _subjects(rows, offered)
            salts = self._vault.salts(
                asked.grant_id, identifiers, subjects_max=known.request.limits.subjects_max
            )
            for salt, identifier in zip(salts, identifiers, strict=True):
                tags[subject_tag(salt, identifier)] = None
        width = len(asked.fields)
        content = encode(Answer(asked.fields, tuple(row[:width] for row in rows.rows)))
        blinding = secrets.token_bytes(32)
        ledger_id = self._node.ledger_id
        receipt = Receipt(
            exchange_id=asked.exchange_id,
            request=request_commitment(ledger_id, asked),
            response=commitment(ledger_id, role="response", blinding=blinding, content=content),
            case=asked.case,
            rows=len(rows.rows),
            size_bytes=len(content),
            subjects=len(tags),
            subjects_root=items_root(list(tags)) if tags else NO_SUBJECTS,
        )
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
        right = Right(known.version, known.request.purpose, known.request.legal_basis)
        return _Prepared(asked, right, content, blinding, receipt)

    # Receipt and release.

    async def _certify(self, prepared: _Prepared) -> Placed:
        """The receipt, certified. If it comes too late to be released under, it is voided."""
        asked = prepared.asked
        adding = asyncio.ensure_future(
            self._receipts.add(
                asked.grant_id,
                encode(prepared.receipt),
                rows=prepared.receipt.rows,
                size_bytes=prepared.receipt.size_bytes,
                right=prepared.right,
            )
        )
        try:
            outcome = await asyncio.shield(adding)
        except asyncio.CancelledError:
            self._spawn(self._void_unwanted(prepared, adding))
            raise
        if isinstance(outcome, Placed):
            return outcome
        if isinstance(outcome, Unknown):
            self._spawn(self._void_if_certified(asked, outcome.record_id))
            raise RpcError("not-certified", "the receipt was not certified in time")
        self._vault.end(asked.exchange_id)
        if outcome.code in ("busy", "internal-error"):
            raise RpcError(outcome.code, outcome.detail)
        raise self._deny(asked, Refusal(outcome.code, outcome.detail))

    async def _void_unwanted(self, prepared: _Prepared, adding: "asyncio.Future[Outcome]") -> None:
        """The consumer went away before its receipt was certified."""
        outcome = await adding
        if isinstance(outcome, Placed):
            self._void(prepared, outcome, 0, "the consumer went away")

    async def _release(
        self, prepared: _Prepared, placed: Placed, release: Release
    ) -> AsyncIterator[Part]:
        """The chunks, as long as each may go (P2); a void for what does not."""
        release.height = placed.place.height
        head = ReleaseHead(
            placed.record.record_id,
            encode(prepared.receipt),
            prepared.blinding,
            len(prepared.content),
        )
        complete = False
        try:
            yield self._leaving(release, encode(head), size_bytes=0)
            for place in range(0, len(prepared.content), CHUNK_BYTES):
                chunk = prepared.content[place : place + CHUNK_BYTES]
                yield self._leaving(release, chunk, size_bytes=len(chunk))
            complete = True
            self._vault.end(prepared.asked.exchange_id)
        finally:
            if not complete:
                stopped = release.stopped
                reason = "the consumer went away" if stopped is None else stopped.code
                self._void(prepared, placed, release.delivered_bytes, reason)

    def _leaving(self, release: Release, chunk: bytes, *, size_bytes: int) -> Callable[[], bytes]:
        """A chunk that is let through, or not, in the turn in which it is written."""

        def take() -> bytes:
            moment = Moment(
                view=self._node.executed_view(),
                certified_height=self._node.events.certified_height,
                now_ms=self._node.clock.now_ms(),
                monotonic_ms=self._monotonic_ms(),
            )
            stop = release.take(size_bytes, moment, self.endings)
            if stop is not None:
                raise RpcError(stop.code, stop.detail)
            return chunk

        return take

    def _monotonic_ms(self) -> int:
        return int(self._monotonic() * 1_000)

    def _void(self, prepared: _Prepared, placed: Placed, delivered: int, reason: str) -> None:
        asked = prepared.asked
        void = Void(asked.exchange_id, placed.record.record_id, delivered, reason[:200])
        self._spawn(self._record_void(asked.grant_id, void))

    async def _record_void(self, grant_id: bytes, void: Void) -> None:
        outcome = await self._voids.add(grant_id, encode(void))
        if isinstance(outcome, Placed):
            self._vault.end(void.exchange_id)

    async def _void_if_certified(self, asked: ExchangeRequest, record_id: bytes) -> None:
        """The receipt's outcome was not known in time: if it is certified later, it is void."""
        last_ms = self._node.clock.now_ms() + VALID_MS
        async for _ in self._node.events.heights(-1, certified=True):
            if self._node.store.get(store_keys.record_key(record_id)) is not None:
                void = Void(asked.exchange_id, record_id, 0, "certified after the window")
                await self._record_void(asked.grant_id, void)
                return
            if self._node.clock.now_ms() > last_ms:
                return

    def recover(self) -> None:
        """Voids what was certified and not known to be released when this node ended."""
        unfinished, self._unfinished = self._unfinished, {}
        found = receipts_to_void(self._node.store, unfinished, department=self._node.department)
        for exchange_id, under_way in unfinished.items():
            record_id = found.get(exchange_id)
            if record_id is None:
                self._vault.end(exchange_id)
            else:
                void = Void(exchange_id, record_id, 0, "the provider's node restarted")
                self._spawn(self._record_void(under_way.grant_id, void))

    # Denials.

    def _deny(self, asked: ExchangeRequest, refusal: Refusal) -> RpcError:
        """Records a denial; in a flood, equal ones within a pause are counted in one item."""
        self.denied += 1
        key = (asked.grant_id, asked.consumer, refusal.code)
        known = self._denied.get(key)
        if known is not None:
            self._denied[key] = Denial(
                known.exchange_id, known.consumer, known.request, known.code, known.count + 1
            )
        elif len(self._denied) < DENIALS_WAITING_MAX:
            request = request_commitment(self._node.ledger_id, asked)
            self._denied[key] = Denial(asked.exchange_id, asked.consumer, request, refusal.code, 1)
            self._spawn(self._record_denial(key))
        return RpcError(refusal.code, refusal.detail)

    async def _record_denial(self, key: tuple[bytes, str, str]) -> None:
        await asyncio.sleep(DENIALS_PAUSE_S)
        await self._denials.add(key[0], encode(self._denied.pop(key)))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._denying.add(task)
        task.add_done_callback(self._denying.discard)


def _named_subjects(query: Query, offered: Dataset) -> frozenset[str] | None:
    """The subjects that a query names; None if it does not name them one by one."""
    for condition in query.conditions:
        if condition.field.name == offered.subject_field:
            if condition.operator == "=":
                return frozenset([str(condition.value)])
            if condition.operator == "in":
                return frozenset(str(value) for value in condition.value)
    return None


def _subjects(rows: Rows, offered: Dataset) -> list[str]:
    """Whom each row is about."""
    assert offered.subject_field is not None
    place = rows.fields.index(offered.subject_field)
    return [str(row[place]) for row in rows.rows]


def request_commitment(ledger_id: bytes, asked: ExchangeRequest) -> bytes:
    """The commitment to what was asked: fields and query."""
    content = encode((asked.fields, asked.query))
    return commitment(ledger_id, role="request", blinding=asked.request_blinding, content=content)
