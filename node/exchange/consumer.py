"""The consumer's side of an exchange: ask, check the receipt in the own ledger, hand over."""

import asyncio
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contracts.consortium import member
from contracts.exchanges import (
    Acknowledgement,
    Acknowledgements,
    ExchangeRequest,
    Receipt,
    Receipts,
    SignedRequest,
    parse_item,
)
from contracts.grants import Grant, grant
from ledger import store_keys
from ledger.attachments import parse_items
from ledger.codec import Decoder, encode
from ledger.commitments import commitment, opens
from ledger.errors import Malformed
from ledger.records import HEADER_BYTES_MAX, parse_leaf
from ledger.statements import exchange_request_statement
from ledger.types import LeafIndex
from node.authoring import Author
from node.exchange.answers import ANSWER, ANSWER_BYTES_MAX, RELEASE_HEAD, Answer, ReleaseHead
from node.exchange.batching import Batcher
from node.exchange.provider import request_commitment
from node.exchange.vault import Vault
from node.peers.rpc import PeerUnavailable, RpcError
from node.runtime import Node

ACKNOWLEDGE_PAUSE_S = 0.05

_RECEIPTS: Decoder[Receipts] = Decoder(Receipts, what="receipts", bytes_max=HEADER_BYTES_MAX)


class ExchangeRefused(Exception):
    """The exchange did not take place. code: a refusal's or a problem's; detail: for a person."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an app asks for. fields: None for all that the grant names."""

    grant_id: bytes
    purpose: str
    case: str
    query: dict[str, Any]
    fields: tuple[str, ...] | None
    actor: str


@dataclass(frozen=True, slots=True)
class Received:
    """Checked data, and where its receipt is."""

    exchange_id: bytes
    answer: Answer
    receipt_record: bytes
    height: int
    leaf_index: int


class Consumer:
    """Asks other departments' nodes for data."""

    def __init__(self, *, node: Node, author: Author, vault: Vault) -> None:
        self._node = node
        self._vault = vault
        self._acknowledgements = Batcher(
            kind="exchange.acknowledgements",
            make_body=lambda lines: Acknowledgements(lines),  # type: ignore[arg-type]
            author=author,
            submitter=node,
            actor="exchange gateway",
            pause_s=ACKNOWLEDGE_PAUSE_S,
        )
        self._tasks: set[asyncio.Task[Any]] = set()
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
        try:
            asked, case_blinding = self._request(wanted, known)
            head, content = await self._fetch(asked, known, timeout_s)
            received = await self._check(asked, known, head, content, timeout_s)
        finally:
            self.in_flight -= 1
        await asyncio.to_thread(self._keep, asked, wanted, head, case_blinding)
        self._acknowledge(asked, head)
        return received

    def _request(self, wanted: Wanted, known: Grant) -> tuple[ExchangeRequest, bytes]:
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
            query=json.dumps(wanted.query, ensure_ascii=False, sort_keys=True).encode(),
            request_blinding=secrets.token_bytes(32),
            case=commitment(
                ledger_id, role="case", blinding=case_blinding, content=wanted.case.encode()
            ),
            created_ms=self._node.clock.now_ms(),
        )
        return asked, case_blinding

    async def _fetch(
        self, asked: ExchangeRequest, known: Grant, timeout_s: float
    ) -> tuple[ReleaseHead, bytes]:
        """The release, from whichever of the provider's nodes is reachable."""
        request = encode(asked)
        statement = exchange_request_statement(self._node.ledger_id, request)
        identity = self._node.identity
        body = encode(SignedRequest(request, identity.record_key, identity.sign_record(statement)))
        provider = member(self._node.view(), known.request.provider)
        assert provider is not None, "a grant's provider is a member"
        assert self._node.network is not None
        failure: Exception | None = None
        for node_id in provider.nodes:
            chunks: list[bytes] = []
            try:
                async for chunk in self._node.network.call(
                    node_id, "exchange", body, timeout_s=timeout_s
                ):
                    chunks.append(chunk)
                    if sum(map(len, chunks)) > ANSWER_BYTES_MAX:
                        raise ExchangeRefused("too-large", "the answer is beyond all limits")
                return _assemble(chunks)
            except RpcError as error:
                raise ExchangeRefused(error.code, error.detail) from None
            except PeerUnavailable as error:
                failure = error
        detail = f"no node of {known.request.provider} can be reached: {failure}"
        raise ExchangeRefused("provider-unavailable", detail)

    async def _check(
        self,
        asked: ExchangeRequest,
        known: Grant,
        head: ReleaseHead,
        content: bytes,
        timeout_s: float,
    ) -> Received:
        """The content is what a certified receipt of this very exchange says (P1)."""
        index, height = await self._find(head.receipt_record, timeout_s)
        receipt = self._receipt(asked, known, head, index)
        ledger_id = self._node.ledger_id
        if receipt.request != request_commitment(ledger_id, asked) or receipt.case != asked.case:
            raise ExchangeRefused("receipt-mismatch", "the receipt is of another request")
        if len(content) != receipt.size_bytes or not opens(
            receipt.response,
            ledger_id,
            role="response",
            blinding=head.response_blinding,
            content=content,
        ):
            raise ExchangeRefused("receipt-mismatch", "the content is not what was receipted")
        try:
            answer = ANSWER.decode(content)
        except Malformed as error:
            raise ExchangeRefused("malformed-answer", str(error)) from None
        if answer.fields != asked.fields or len(answer.rows) != receipt.rows:
            raise ExchangeRefused("receipt-mismatch", "fields or rows differ from the receipt")
        return Received(asked.exchange_id, answer, head.receipt_record, height, index)

    async def _find(self, record_id: bytes, timeout_s: float) -> tuple[int, int]:
        """Where the receipt is in this node's ledger, once it is certified here."""
        try:
            async with asyncio.timeout(timeout_s):
                async for _ in self._node.events.heights(-1, certified=True):
                    value = self._node.store.get(store_keys.record_key(record_id))
                    if value is None:
                        continue
                    index = store_keys.read_number(value[:8])
                    height = store_keys.read_number(value[8:])
                    if height <= self._node.events.certified_height:
                        return index, height
        except TimeoutError:
            pass
        raise ExchangeRefused("receipt-missing", "the receipt is not certified at this node")

    def _receipt(
        self, asked: ExchangeRequest, known: Grant, head: ReleaseHead, index: int
    ) -> Receipt:
        """The receipt item, found in its record's attachment under this grant's line."""
        leaf = self._node.store.get(store_keys.leaf_key(LeafIndex(index)))
        attached = self._node.store.get(store_keys.attached_key(LeafIndex(index)))
        assert leaf is not None and attached is not None, "an executed record is stored whole"
        header = parse_leaf(leaf).header
        if header.kind != "exchange.receipts" or header.department != known.request.provider:
            raise ExchangeRefused("receipt-mismatch", "the record named holds no such receipt")
        items = parse_items(attached)
        place = 0
        for line in _RECEIPTS.decode(bytes(header.body)).lines:
            part = items[place : place + line.count]
            place += line.count
            right = (line.version, line.purpose) == (asked.grant_version, asked.purpose)
            if line.grant_id == asked.grant_id and right and head.item in part:
                item = parse_item(head.item)
                if isinstance(item, Receipt) and item.exchange_id == asked.exchange_id:
                    return item
        raise ExchangeRefused("receipt-mismatch", "the record named holds no such receipt")

    def _keep(
        self, asked: ExchangeRequest, wanted: Wanted, head: ReleaseHead, case_blinding: bytes
    ) -> None:
        self._vault.put(
            {
                asked.exchange_id: {
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
            }
        )

    def _acknowledge(self, asked: ExchangeRequest, head: ReleaseHead) -> None:
        receipt = parse_item(head.item)
        assert isinstance(receipt, Receipt)
        item = Acknowledgement(
            asked.exchange_id, head.receipt_record, receipt.request, receipt.response
        )
        task = asyncio.ensure_future(self._acknowledgements.add(asked.grant_id, encode(item)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _assemble(chunks: Sequence[bytes]) -> tuple[ReleaseHead, bytes]:
    if not chunks:
        raise ExchangeRefused("malformed-answer", "the provider sent nothing")
    try:
        head = RELEASE_HEAD.decode(chunks[0])
    except Malformed as error:
        raise ExchangeRefused("malformed-answer", str(error)) from None
    return head, b"".join(chunks[1:])
