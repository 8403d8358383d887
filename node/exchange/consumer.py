"""The consumer's side of an exchange: ask, check the receipt in the own ledger, hand over."""

import asyncio
import json
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from contracts.catalog import dataset
from contracts.consortium import member
from contracts.exchanges import (
    Acknowledgement,
    Acknowledgements,
    ExchangeRequest,
    Receipt,
    ReceiptLine,
    SignedRequest,
    parse_item,
)
from contracts.grants import Grant, grant
from ledger.codec import encode
from ledger.commitments import commitment, opens
from ledger.errors import Malformed
from ledger.sealing import SealBroken
from ledger.statements import exchange_request_statement
from ledger.tree import root_of
from node.authoring import Author
from node.exchange.answers import ANSWER, Answer, ReleaseHead, Resume
from node.exchange.arriving import Arriving, ExchangeRefused, Opener
from node.exchange.batching import Batcher, Outcome
from node.exchange.finding import Lines, certified_place
from node.exchange.keeping import Keeper
from node.exchange.preparing import request_commitment
from node.exchange.spool import Result, Spool, SpoolFull
from node.exchange.vault import Vault
from node.peers.rpc import PeerUnavailable, RpcError
from node.runtime import Node

ACKNOWLEDGE_PAUSE_S = 0.2
"""How long acknowledgements gather that nobody waits for."""

RESUMPTIONS_MAX = 20
"""How often one broken release is taken up again."""

RESUME_PAUSE_S = 0.1

KEPT_MAX = 64
"""Large results that wait for their apps to read on; the oldest goes."""

KEPT_S = 600.0
"""How long one waits."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an app asks for. fields: None for all that the grant names."""

    grant_id: bytes
    purpose: str
    case: str
    query: dict[str, Any]
    fields: tuple[str, ...] | None
    actor: str


@dataclass(slots=True)
class Received:
    """Checked data, and where its receipt is. next_offset: where the next window begins, if any.
    only: the rows of a result that is one chunk, as they were checked.

    Read chunk by chunk; `close` ends it.
    """

    exchange_id: bytes
    result: Result
    receipt_record: bytes
    height: int
    leaf_index: int
    next_offset: int | None
    only: Answer | None = None

    @property
    def chunks(self) -> int:
        """How many chunks there are, 1 at least."""
        return self.result.count

    def answer(self, number: int = 0) -> Answer:
        """A chunk's rows, 0 ≤ number < chunks."""
        return self.only or ANSWER.decode(self.result.chunk(number))

    def close(self) -> None:
        """The rows are not needed any more."""
        self.result.discard()


class Consumer:
    """Asks other departments' nodes for data."""

    def __init__(self, *, node: Node, author: Author, vault: Vault, spool: Spool) -> None:
        self._node = node
        self._keeper: Keeper[Mapping[str, Any]] = Keeper(vault.put)
        self._lines = Lines(node, kind="exchange.receipts")
        self._spool = spool
        self._acknowledgements = Batcher(
            kind="exchange.acknowledgements",
            make_body=lambda lines: Acknowledgements(lines),  # type: ignore[arg-type]
            author=author,
            submitter=node,
            actor="exchange gateway",
            pause_s=ACKNOWLEDGE_PAUSE_S,
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._kept: dict[bytes, tuple[Received, str, float]] = {}
        self.in_flight = 0

    async def stop(self) -> None:
        """Ends; acknowledgements under way are recorded."""
        await self._acknowledgements.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def exchange(self, wanted: Wanted, *, timeout_s: float) -> Received:
        """Gets the data under a certified receipt. Raises ExchangeRefused."""
        if self.in_flight >= self._node.config.limits.exchanges_in_flight_max:
            raise ExchangeRefused("busy", f"{self.in_flight} exchanges are under way")
        known = grant(self._node.view(), wanted.grant_id)
        if known is None:
            raise ExchangeRefused("unknown-grant", wanted.grant_id.hex())
        if known.consumer != self._node.department:
            raise ExchangeRefused("not-the-consumer", f"{known.consumer} holds this grant")
        self.in_flight += 1
        offered = dataset(self._node.view(), known.request.provider, known.request.dataset)
        private = X25519PrivateKey.generate() if offered and offered.sealed else None
        asked, case_blinding = self._request(wanted, known, private)
        result = self._spool.begin(ledger_id=asked.ledger_id, exchange_id=asked.exchange_id)
        received = None
        try:
            node_id, head = await self._fetch(asked, known, result, timeout_s)
            content = _kept_of(asked, wanted, head, case_blinding)
            kept = self._keeper.keep(asked.exchange_id, content)
            receipt, height, leaf_index = await self._check(asked, known, head, timeout_s)
            await kept
            if private is not None:
                opener = Opener(self._node, asked, head, known, timeout_s)
                acknowledged = await self._acknowledge(asked, head, receipt, urgent=True)
                await opener.open(node_id, acknowledged, private, result)
            if result.is_small:
                only = _checked_content(asked, receipt, result)
            else:
                only = await asyncio.to_thread(_checked_content, asked, receipt, result)
            if private is None:
                self._spawn(self._acknowledge(asked, head, receipt))
            received = Received(
                asked.exchange_id,
                result,
                head.receipt_record,
                height,
                leaf_index,
                head.next_offset,
                only,
            )
            return received
        except SpoolFull as error:
            raise ExchangeRefused("busy", str(error)) from None
        finally:
            self.in_flight -= 1
            if received is None:
                result.discard()

    def keep(self, received: Received, actor: str) -> None:
        """A large result stays for its app to read on, for KEPT_S."""
        now = self._now()
        for exchange_id, (_, _, until) in list(self._kept.items()):
            if until <= now or len(self._kept) >= KEPT_MAX:
                self._kept.pop(exchange_id)[0].close()
        self._kept[received.exchange_id] = (received, actor, now + KEPT_S)

    def kept(self, exchange_id: bytes, actor: str) -> Received | None:
        """A result that stays for this app; None if it does not, or no more."""
        received, whose, until = self._kept.get(exchange_id, (None, "", 0.0))
        return received if whose == actor and until > self._now() else None

    def drop(self, exchange_id: bytes) -> None:
        """The app has read all of it."""
        found = self._kept.pop(exchange_id, None)
        if found is not None:
            found[0].close()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _request(
        self, wanted: Wanted, known: Grant, private: X25519PrivateKey | None
    ) -> tuple[ExchangeRequest, bytes]:
        case_blinding = secrets.token_bytes(32)
        ledger_id = self._node.ledger_id
        asked = ExchangeRequest(
            version=1,
            ledger_id=ledger_id,
            grant_id=wanted.grant_id,
            exchange_id=secrets.token_bytes(32),
            consumer=self._node.department,
            actor=wanted.actor,
            grant_version=known.version,
            purpose=wanted.purpose,
            fields=wanted.fields or known.request.fields,
            query=query_bytes(wanted.query),
            request_blinding=secrets.token_bytes(32),
            case=commitment(
                ledger_id, role="case", blinding=case_blinding, content=wanted.case.encode()
            ),
            created_ms=self._node.clock.now_ms(),
            seal_to=None if private is None else private.public_key().public_bytes_raw(),
        )
        return asked, case_blinding

    async def _fetch(
        self, asked: ExchangeRequest, known: Grant, result: Result, timeout_s: float
    ) -> tuple[bytes, ReleaseHead]:
        """The release, from whichever of the provider's nodes is reachable, and which that was.

        Once a node may have the request, no other is asked: there would be a second receipt. If the
        line breaks, the same release goes on from the chunk that is next.
        """
        request = encode(asked)
        statement = exchange_request_statement(self._node.ledger_id, request)
        identity = self._node.identity
        body = encode(SignedRequest(request, identity.record_key, identity.sign_record(statement)))
        provider = member(self._node.view(), known.request.provider)
        assert provider is not None, "a grant's provider is a member"
        network = self._node.network
        assert network is not None
        arriving = Arriving(result, sealed=asked.seal_to is not None)
        failure: Exception | None = None
        for node_id in provider.nodes:
            try:
                await network.reach(node_id, timeout_s=timeout_s)
            except PeerUnavailable as error:
                failure = error
                continue
            method = "exchange"
            for _ in range(RESUMPTIONS_MAX):
                arriving.heard = self._now()
                try:
                    await arriving.take(network.call(node_id, method, body, timeout_s=timeout_s))
                    return node_id, arriving.whole()
                except RpcError as error:
                    raise ExchangeRefused(error.code, error.detail) from None
                except PeerUnavailable as error:
                    if self._now() - arriving.heard >= timeout_s:
                        raise ExchangeRefused("provider-unavailable", str(error)) from None
                    failure = error
                    method = "resume"
                    body = encode(Resume(asked.exchange_id, arriving.result.count))
                    await asyncio.sleep(RESUME_PAUSE_S)
            raise ExchangeRefused("release-broken", f"the line broke again and again: {failure}")
        detail = f"no node of {known.request.provider} can be reached: {failure}"
        raise ExchangeRefused("provider-unavailable", detail)

    async def _check(
        self,
        asked: ExchangeRequest,
        known: Grant,
        head: ReleaseHead,
        timeout_s: float,
    ) -> tuple[Receipt, int, int]:
        """The chunks announced are what a certified receipt of this very exchange says (P1).

        The receipt, its height and leaf index.
        """
        place = await certified_place(self._node, head.receipt_record, timeout_s=timeout_s)
        if place is None:
            raise ExchangeRefused("receipt-missing", "the receipt is not certified at this node")
        index, height = place
        receipt = self._receipt(asked, known, head, index)
        ledger_id = self._node.ledger_id
        if receipt.request != request_commitment(ledger_id, asked) or receipt.case != asked.case:
            raise ExchangeRefused("receipt-mismatch", "the receipt is of another request")
        if (receipt.key_commitment is None) != (asked.seal_to is None):
            raise ExchangeRefused("receipt-mismatch", "the content is not sealed as it has to be")
        if not opens(
            receipt.response,
            ledger_id,
            role="response",
            blinding=head.response_blinding,
            content=root_of(head.hashes),
        ):
            raise ExchangeRefused("receipt-mismatch", "the content is not what was receipted")
        return receipt, height, index

    def _receipt(
        self, asked: ExchangeRequest, known: Grant, head: ReleaseHead, index: int
    ) -> Receipt:
        """The receipt item, found in its record's attachment under this grant's line."""
        line = self._lines.line(
            index, head.item, department=known.request.provider, grant_id=asked.grant_id
        )
        if line is not None:
            assert isinstance(line, ReceiptLine), "a receipt's line"
            right = (line.version, line.purpose, line.sealed)
            wanted = (asked.grant_version, asked.purpose, asked.seal_to is not None)
            try:
                item = parse_item(head.item)
            except Malformed as error:
                raise ExchangeRefused("malformed-answer", str(error)) from None
            if not isinstance(item, Receipt) or item.exchange_id != asked.exchange_id:
                raise ExchangeRefused("receipt-mismatch", "the receipt is of another exchange")
            if right == wanted:
                return item
        raise ExchangeRefused("receipt-mismatch", "the record named holds no such receipt")

    async def _acknowledge(
        self, asked: ExchangeRequest, head: ReleaseHead, receipt: Receipt, *, urgent: bool = False
    ) -> Outcome:
        """urgent: somebody waits for it, so it does not wait for others."""
        item = Acknowledgement(
            asked.exchange_id, head.receipt_record, receipt.request, receipt.response
        )
        return await self._acknowledgements.add(asked.grant_id, encode(item), urgent=urgent)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def query_bytes(query: dict[str, Any]) -> bytes:
    """A query as it is sent; half a character in it is for the provider to refuse."""
    text = json.dumps(query, ensure_ascii=False, sort_keys=True)
    return text.encode("utf-8", "surrogatepass")


def _checked_content(asked: ExchangeRequest, receipt: Receipt, result: Result) -> Answer | None:
    """Each chunk is rows of the asked fields, as many as the receipt says; the answer, if it is
    one chunk. Blocking if the result is not small. Raises ExchangeRefused."""
    answer = None
    rows = size = 0
    for number in range(result.count):
        try:
            content = result.chunk(number)
        except SealBroken as error:
            raise ExchangeRefused("seal-broken", str(error)) from None
        try:
            answer = ANSWER.decode(content)
        except Malformed as error:
            raise ExchangeRefused("malformed-answer", str(error)) from None
        if answer.fields != asked.fields:
            raise ExchangeRefused("receipt-mismatch", "the fields are not those asked for")
        rows += len(answer.rows)
        size += len(content)
    if (rows, size) != (receipt.rows, receipt.size_bytes):
        raise ExchangeRefused("receipt-mismatch", "rows or bytes differ from the receipt")
    return answer if result.count == 1 else None


def _kept_of(
    asked: ExchangeRequest, wanted: Wanted, head: ReleaseHead, case_blinding: bytes
) -> Mapping[str, Any]:
    """What the consumer keeps of an exchange: whatever opens its receipt's commitments."""
    return {
        "side": "consumer",
        "grant": asked.grant_id.hex(),
        "receipt_record": head.receipt_record.hex(),
        "request_blinding": asked.request_blinding.hex(),
        "response_blinding": head.response_blinding.hex(),
        "case": wanted.case,
        "case_blinding": case_blinding.hex(),
        "query": wanted.query,
        "fields": list(asked.fields),
    }


__all__ = ["Consumer", "ExchangeRefused", "Received", "Wanted", "query_bytes"]
