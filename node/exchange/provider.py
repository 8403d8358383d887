"""The provider's side of an exchange: judge, read, receipt, certify, release.

Every step can end it: a refusal is recorded as a denial and answered with its code; a source that
fails is answered and not recorded, since nothing was decided; a certified receipt whose data does
not go out in time, or not all of it, is voided.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from contracts.consortium import department_of_key, node, setting
from contracts.exchanges import (
    Acknowledgement,
    Denial,
    Denials,
    ExchangeRequest,
    Key,
    Keys,
    Receipts,
    Void,
    Voids,
    admissible,
    parse_request,
    parse_signed_request,
)
from contracts.grants import Grant, grant
from contracts.refusals import Refusal
from ledger import store_keys
from ledger.codec import encode
from ledger.errors import Malformed
from ledger.sealing import wrap
from ledger.signatures import verify
from ledger.statements import exchange_request_statement
from node import ports
from node.authoring import VALID_MS, Author
from node.exchange.answers import KEY_WANTED, RESUME, ReleaseHead
from node.exchange.batching import Batcher, Placed
from node.exchange.finding import certified_place, items_at
from node.exchange.preparing import Denied, Prepared, Preparer, request_commitment
from node.exchange.recovery import Unfinished, judged
from node.exchange.release import Endings, Moment, Release, Stop
from node.exchange.sources.registry import Sources
from node.exchange.spool import Spool
from node.exchange.vault import Vault
from node.peers.rpc import Part, RpcError
from node.runtime import Node, Unknown

REQUEST_AGE_MS_MAX = 300_000
"""How far a request's time may be from this node's clock, in milliseconds."""

REMEMBERED_MAX = 100_000
"""Exchange ids that are remembered, so that none is served twice."""

DENIALS_PAUSE_S = 0.2
DENIALS_WAITING_MAX = 1_000

MAYBE_BEHIND = ("unknown-grant", "grant-not-active", "other-version")
"""Refusals that may mean that the consumer's node knows more of the ledger: before they count, this
node makes sure that it knows all that is committed."""

CATCH_UP_S = 1.0
"""Longest wait for that, in seconds."""

LINGERING_MAX = 16
"""Large results that are kept until their window closes, in case the line breaks at the end."""

RECOVER_PAUSE_S = 1.0
"""Between two looks for receipts of exchanges that a restart interrupted, in seconds."""

log = structlog.get_logger("concordat.exchange")


@dataclass(slots=True)
class _Open:
    """An exchange whose receipt is on its way, or whose release is under way.

    placed: where its receipt is, once certified. sent: chunks that have left, from the first on.
    key_record: of a sealed one, the record with its key. over: all has left, or nothing may any
    more.
    """

    prepared: Prepared
    release: Release
    placed: asyncio.Future[Placed]
    sent: int = 0
    key_record: bytes | None = None
    keying: asyncio.Lock = field(default_factory=asyncio.Lock)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def complete(self) -> bool:
        """Whether all of it has left, also the key of what is sealed."""
        all_sent = self.sent == self.prepared.result.count
        return all_sent and (not self.sealed or self.key_record is not None)

    @property
    def sealed(self) -> bool:
        """Whether chunks leave as ciphertext, and their key after the acknowledgement."""
        return self.prepared.right.sealed

    @property
    def lingers(self) -> bool:
        """Whether it is kept for a while after it is complete: the line may have broken."""
        return self.complete and (self.sealed or self.prepared.result.count > 1)


class Provider:
    """Serves exchanges of this node's datasets."""

    def __init__(
        self,
        *,
        node: Node,
        author: Author,
        sources: Sources,
        vault: Vault,
        spool: Spool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._preparer = Preparer(node=node, sources=sources, vault=vault, spool=spool)
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
        self._keys = Batcher(
            kind="exchange.keys",
            make_body=lambda lines: Keys(lines),  # type: ignore[arg-type]
            author=author,
            submitter=node,
            actor="exchange gateway",
        )
        self._denied: dict[tuple[bytes, str, str], Denial] = {}
        self._denying: set[asyncio.Task[Any]] = set()
        self._unfinished = vault.unfinished()
        self._seen: dict[bytes, None] = {}
        self._open: dict[bytes, _Open] = {}
        self._lingering: dict[bytes, _Open] = {}
        self._stopping = asyncio.Event()
        self.endings = Endings()
        self.in_flight = 0
        self.served = 0
        self.denied = 0

    async def stop(self) -> None:
        """Ends; what is to be recorded is. Releases under way are voided."""
        self._stopping.set()
        for opened in list(self._open.values()):
            opened.release.end(Stop("out-of-service", "the provider's node stops"))
            opened.over.set()
        await asyncio.gather(*self._denying, return_exceptions=True)
        for batcher in (self._receipts, self._keys, self._denials, self._voids):
            await batcher.stop()

    async def serve(self, sender: bytes, body: bytes) -> AsyncIterator[Part]:
        """The RPC `exchange`: a signed request in, the release out. Raises RpcError."""
        if self.in_flight >= self._limits.exchanges_in_flight_max:
            raise RpcError("busy", f"{self.in_flight} exchanges are under way")
        self.in_flight += 1
        try:
            opened = await self._begin(self._authentic(sender, body))
        except BaseException:
            self.in_flight -= 1
            raise
        async for part in self._release(opened, start=0):
            yield part

    async def resume(self, sender: bytes, body: bytes) -> AsyncIterator[Part]:
        """The RPC `resume`: a release that broke off goes on, under the same receipt."""
        try:
            wanted = RESUME.decode(body)
        except Malformed as error:
            raise RpcError("malformed-request", str(error)) from None
        opened = self._known(sender, wanted.exchange_id)
        async for part in self._release(opened, start=min(wanted.number, opened.sent)):
            yield part

    async def key(self, sender: bytes, body: bytes) -> AsyncIterator[Part]:
        """The RPC `key`: after the consumer's certified acknowledgement of sealed content, the
        record with its key. Raises RpcError."""
        try:
            wanted = KEY_WANTED.decode(body)
        except Malformed as error:
            raise RpcError("malformed-request", str(error)) from None
        opened = self._known(sender, wanted.exchange_id)
        async with opened.keying:
            if opened.key_record is None:
                placed = await asyncio.shield(opened.placed)
                await self._check_acknowledged(opened, placed, wanted.acknowledgement_record)
                opened.key_record = await self._hand_over_key(opened, placed)
                opened.over.set()
        yield opened.key_record

    def _known(self, sender: bytes, exchange_id: bytes) -> _Open:
        """An exchange that this node of its consumer may go on with."""
        opened = self._open.get(exchange_id) or self._lingering.get(exchange_id)
        asking = node(self._node.view(), sender)
        if opened is None or asking is None or asking.department != opened.prepared.asked.consumer:
            raise RpcError("unknown-exchange", "nothing of it is kept here; ask anew")
        return opened

    async def _check_acknowledged(self, opened: _Open, placed: Placed, record_id: bytes) -> None:
        """The consumer's word that the sealed content has come is certified in this ledger."""
        receipt, asked = opened.prepared.receipt, opened.prepared.asked
        expected = Acknowledgement(
            asked.exchange_id, placed.record.record_id, receipt.request, receipt.response
        )
        left_s = max(0.0, self._left_s(opened.release))
        place = await certified_place(self._node, record_id, timeout_s=left_s)
        found = place is not None and any(
            line.grant_id == asked.grant_id and item == expected
            for line, item in items_at(
                self._node,
                place[0],
                kind="exchange.acknowledgements",
                department=asked.consumer,
            )
        )
        if not found or not opened.sealed:
            raise RpcError("not-acknowledged", "the ledger holds no such acknowledgement")

    async def _hand_over_key(self, opened: _Open, placed: Placed) -> bytes:
        """The key goes onto the ledger, wrapped to the consumer; the record that holds it."""
        prepared, asked = opened.prepared, opened.prepared.asked
        assert prepared.result.content_key is not None and asked.seal_to is not None
        names = {"ledger_id": asked.ledger_id, "exchange_id": asked.exchange_id}
        try:
            wrapped = wrap(prepared.result.content_key, asked.seal_to, **names)
        except ValueError:
            raise RpcError("malformed-request", "seal_to is no key") from None

        def leaving() -> ports.Rejected | None:
            size = prepared.receipt.size_bytes - opened.release.delivered_bytes
            stop = opened.release.take(size, self._moment(), self.endings)
            return None if stop is None else ports.Rejected(stop.code, stop.detail)

        item = Key(asked.exchange_id, placed.record.record_id, wrapped)
        outcome = await self._keys.add(asked.grant_id, encode(item), leaving=leaving)
        if isinstance(outcome, Placed):
            return outcome.record.record_id
        if isinstance(outcome, Unknown):
            raise RpcError("not-certified", "the key was not certified in time")
        opened.release.end(Stop(outcome.code, outcome.detail))
        opened.over.set()
        raise RpcError(outcome.code, outcome.detail)

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

    # Judging, reading, receipt.

    async def _begin(self, asked: ExchangeRequest) -> _Open:
        """Data that is read, with its receipt on the way. Raises RpcError."""
        judged = self._judged(asked)
        if isinstance(judged, Refusal) and judged.code in MAYBE_BEHIND:
            await self._node.read_barrier(timeout_s=CATCH_UP_S)
            judged = self._judged(asked)
        if isinstance(judged, Refusal):
            raise self._deny(asked, judged)
        try:
            prepared = await self._preparer.prepare(asked, judged)
        except Denied as denied:
            raise self._deny(asked, denied.refusal) from None
        release = Release(asked.grant_id, self._monotonic_ms())
        placed: asyncio.Future[Placed] = asyncio.get_running_loop().create_future()
        opened = self._open[asked.exchange_id] = _Open(prepared, release, placed)
        self._spawn(self._see_through(opened))
        return opened

    def _judged(self, asked: ExchangeRequest) -> Grant | Refusal:
        """The grant under which the request may be served, by this node's ledger."""
        view = self._node.view()
        known = grant(view, asked.grant_id)
        if known is None:
            return Refusal("unknown-grant", asked.grant_id.hex())
        if self.endings.under_way(asked.grant_id):
            return Refusal("grant-revoked", "the revocation is on its way to the ledger")
        time_ms = self._node.clock.now_ms()
        provider = self._node.department
        refusal = admissible(view, known, asked, provider=provider, time_ms=time_ms)
        return known if refusal is None else refusal

    async def _see_through(self, opened: _Open) -> None:
        """One exchange until it is over: certified and released, or voided."""
        exchange_id = opened.prepared.asked.exchange_id
        try:
            placed = await self._certify(opened.prepared)
            opened.release.height = placed.place.height
            opened.placed.set_result(placed)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._left_s(opened.release)):
                    await opened.over.wait()
            self._conclude(opened, placed)
        except RpcError as error:
            opened.placed.set_exception(error)
            opened.placed.exception()
        finally:
            del self._open[exchange_id]
            self.in_flight -= 1
            if not opened.lingers:
                opened.prepared.result.discard()
        if opened.lingers:
            await self._linger(opened)

    def _conclude(self, opened: _Open, placed: Placed) -> None:
        """All of it has left, or the rest never does and is voided."""
        if opened.complete:
            self.served += 1
            self._vault.end(opened.prepared.asked.exchange_id)
            return
        opened.release.end(Stop("release-window-over", "nobody took it in time"))
        stopped = opened.release.stopped
        assert stopped is not None, "it has ended"
        self._void(opened.prepared, placed, opened.release.delivered_bytes, stopped.code)

    async def _linger(self, opened: _Open) -> None:
        """A large result that has left stays until its window closes: the line may have broken."""
        exchange_id = opened.prepared.asked.exchange_id
        if len(self._lingering) >= LINGERING_MAX:
            self._lingering.pop(next(iter(self._lingering))).prepared.result.discard()
        self._lingering[exchange_id] = opened
        await self._stops_within(self._left_s(opened.release))
        if self._lingering.pop(exchange_id, None) is not None:
            opened.prepared.result.discard()

    def _left_s(self, release: Release) -> float:
        """How much of the release window is left, in seconds."""
        window_ms = setting(self._node.executed_view(), "release-window-ms")
        return (window_ms - (self._monotonic_ms() - release.submitted_ms)) / 1000

    async def _certify(self, prepared: Prepared) -> Placed:
        """The receipt, certified. If it comes too late to be released under, it is voided."""
        asked = prepared.asked
        outcome = await self._receipts.add(
            asked.grant_id,
            encode(prepared.receipt),
            rows=prepared.receipt.rows,
            size_bytes=prepared.receipt.size_bytes,
            right=prepared.right,
        )
        if isinstance(outcome, Placed):
            return outcome
        if isinstance(outcome, Unknown):
            self._spawn(self._void_if_certified(asked, outcome.record_id))
            raise RpcError("not-certified", "the receipt was not certified in time")
        self._vault.end(asked.exchange_id)
        if outcome.code in ("busy", "internal-error"):
            raise RpcError(outcome.code, outcome.detail)
        raise self._deny(asked, Refusal(outcome.code, outcome.detail))

    # Release.

    async def _release(self, opened: _Open, *, start: int) -> AsyncIterator[Part]:
        """The head and the chunks from `start` on, as long as each may go (P2).

        The head goes with the first of them, or not at all.
        """
        placed = await asyncio.shield(opened.placed)
        prepared, result = opened.prepared, opened.prepared.result
        head = encode(
            ReleaseHead(
                placed.record.record_id,
                encode(prepared.receipt),
                prepared.blinding,
                tuple(result.sealed_hashes if opened.sealed else result.hashes),
                prepared.next_offset,
            )
        )
        if start == result.count:
            yield self._leaving(opened, head, size_bytes=0)
        for number in range(start, result.count):
            stop = opened.release.stopped
            if stop is not None:
                raise RpcError(stop.code, stop.detail)
            chunk = result.sealed_chunk(number) if opened.sealed else result.chunk(number)
            again = number < opened.sent
            size = 0 if again or opened.sealed else len(chunk)
            together = (head, chunk) if number == start else (chunk,)
            yield self._leaving(opened, *together, size_bytes=size)
            if not again:
                opened.sent = number + 1
        if opened.complete:
            opened.over.set()

    def _leaving(
        self, opened: _Open, *chunks: bytes, size_bytes: int
    ) -> Callable[[], Sequence[bytes]]:
        """Chunks that are let through, or not, in the turn in which they are written."""

        def take() -> Sequence[bytes]:
            stop = opened.release.take(size_bytes, self._moment(), self.endings)
            if stop is not None:
                opened.over.set()
                raise RpcError(stop.code, stop.detail)
            return chunks

        return take

    def _moment(self) -> Moment:
        return Moment(
            view=self._node.executed_view(),
            certified_height=self._node.events.certified_height,
            now_ms=self._node.clock.now_ms(),
            monotonic_ms=self._monotonic_ms(),
        )

    def _monotonic_ms(self) -> int:
        return int(self._monotonic() * 1_000)

    def _void(self, prepared: Prepared, placed: Placed, delivered: int, reason: str) -> None:
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
        if unfinished:
            self._spawn(self._recover(unfinished))

    async def _recover(self, unfinished: dict[bytes, Unfinished]) -> None:
        """Until each exchange is known to be over, or its receipt can be in no block any more."""
        last_ms = self._node.clock.now_ms() + VALID_MS
        # What was acknowledged while this node was down is not to be voided.
        while await self._node.read_barrier(timeout_s=CATCH_UP_S) is None:
            if await self._stops_within(RECOVER_PAUSE_S):
                return
        while unfinished and not self._stopping.is_set():
            height = self._node.events.height
            found = await asyncio.to_thread(
                judged, self._node.store, unfinished, department=self._node.department
            )
            for exchange_id, record_id in found.to_void.items():
                void = Void(exchange_id, record_id, 0, "the provider's node restarted")
                self._spawn(self._record_void(unfinished[exchange_id].grant_id, void))
            late = self._node.clock.now_ms() > last_ms
            for exchange_id in unfinished:
                if exchange_id not in found.to_void and (late or exchange_id not in found.unseen):
                    self._vault.end(exchange_id)
            unfinished = {
                exchange_id: Unfinished(unfinished[exchange_id].grant_id, height)
                for exchange_id in found.unseen
                if not late
            }
            await self._stops_within(RECOVER_PAUSE_S)

    async def _stops_within(self, seconds: float) -> bool:
        """Waits so long, or until the node stops; whether it does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

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
