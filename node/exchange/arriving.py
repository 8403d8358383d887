"""What comes from a provider: chunks of a release, and the key of what is sealed."""

import asyncio
from collections.abc import AsyncGenerator

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from contracts.exchanges import ExchangeRequest, Key, Receipt, parse_item
from contracts.grants import Grant
from ledger.codec import encode
from ledger.errors import Malformed
from ledger.sealing import SealBroken, unwrap
from node.exchange.answers import RELEASE_HEAD, KeyWanted, ReleaseHead
from node.exchange.batching import Outcome, Placed
from node.exchange.finding import certified_place, items_at
from node.exchange.spool import Result, fits
from node.peers.rpc import PeerUnavailable, RpcError
from node.runtime import Node

KEY_TRIES_MAX = 5
"""How often a key is asked for over lines that break."""

KEY_PAUSE_S = 0.2


class ExchangeRefused(Exception):
    """The exchange did not take place. code: a refusal's or a problem's; detail: for a person."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Arriving:
    """A release as it comes, over one connection or several. head: the first chunk, once it came.
    heard: when something came last, by the loop's clock.

    Each chunk is compared with its hash in the head before it is spooled, so one that is left out,
    moved or changed ends the exchange at once.
    """

    def __init__(self, result: Result, *, sealed: bool) -> None:
        self.result = result
        self._sealed = sealed
        self.head: ReleaseHead | None = None
        self._head_bytes = b""
        self.heard = 0.0

    async def take(self, chunks: AsyncGenerator[bytes, None]) -> None:
        """What comes over one connection. Raises ExchangeRefused, RpcError, PeerUnavailable."""
        first = True
        async for chunk in chunks:
            self.heard = asyncio.get_running_loop().time()
            if first:
                self._begin(chunk)
                first = False
                continue
            assert self.head is not None, "the head came first"
            if not fits(chunk, self.result.count, self.head.hashes):
                raise ExchangeRefused("receipt-mismatch", "a chunk is not the one announced")
            if self._sealed:
                self.result.add_sealed(chunk)
            else:
                self.result.add(chunk)

    def _begin(self, head: bytes) -> None:
        if self.head is not None:
            if head != self._head_bytes:
                raise ExchangeRefused("receipt-mismatch", "the release went on as another one")
            return
        try:
            self.head = RELEASE_HEAD.decode(head)
        except Malformed as error:
            raise ExchangeRefused("malformed-answer", str(error)) from None
        self._head_bytes = head

    def whole(self) -> ReleaseHead:
        """The head, once everything that it announces is there. Raises ExchangeRefused."""
        if self.head is None:
            raise ExchangeRefused("malformed-answer", "the provider sent nothing")
        if self.result.count != len(self.head.hashes):
            raise ExchangeRefused("receipt-mismatch", "the release ended early")
        if not self._sealed:
            self.result.finish()
        return self.head


class Opener:
    """The second half of a sealed exchange, at the consumer."""

    def __init__(
        self,
        node: Node,
        asked: ExchangeRequest,
        head: ReleaseHead,
        known: Grant,
        timeout_s: float,
    ) -> None:
        self._node = node
        self._asked = asked
        self._head = head
        self._provider = known.request.provider
        self._timeout_s = timeout_s

    async def open(
        self,
        node_id: bytes,
        acknowledged: Outcome,
        private: X25519PrivateKey,
        result: Result,
    ) -> None:
        """The content is acknowledged: its key, once certified on the own ledger.

        Raises ExchangeRefused.
        """
        if not isinstance(acknowledged, Placed):
            raise ExchangeRefused("not-acknowledged", "the acknowledgement is not certified")
        record_id = await self._key_record(node_id, acknowledged.record.record_id)
        place = await certified_place(self._node, record_id, timeout_s=self._timeout_s)
        wrapped = None if place is None else self._wrapped(place[0])
        if wrapped is None:
            raise ExchangeRefused("key-missing", "the key is not certified at this node")
        receipt = parse_item(self._head.item)
        assert isinstance(receipt, Receipt) and receipt.key_commitment is not None, "it is sealed"
        names = {"ledger_id": self._asked.ledger_id, "exchange_id": self._asked.exchange_id}
        try:
            content_key = unwrap(wrapped, private, **names)
            result.unseal(content_key, key_commitment=receipt.key_commitment)
        except SealBroken as error:
            raise ExchangeRefused("key-mismatch", str(error)) from None

    async def _key_record(self, node_id: bytes, acknowledged: bytes) -> bytes:
        """The record with the key, as the provider's node names it."""
        network = self._node.network
        assert network is not None
        body = encode(KeyWanted(self._asked.exchange_id, acknowledged))
        failure: Exception | None = None
        for _ in range(KEY_TRIES_MAX):
            try:
                async for record_id in network.call(
                    node_id, "key", body, timeout_s=self._timeout_s
                ):
                    return record_id
            except RpcError as error:
                raise ExchangeRefused(error.code, error.detail) from None
            except PeerUnavailable as error:
                failure = error
                await asyncio.sleep(KEY_PAUSE_S)
        raise ExchangeRefused("key-missing", f"the provider cannot be reached: {failure}")

    def _wrapped(self, index: int) -> bytes | None:
        """The wrapped key of this exchange in a record; None if it is not there."""
        for line, item in items_at(
            self._node, index, kind="exchange.keys", department=self._provider
        ):
            if line.grant_id == self._asked.grant_id and isinstance(item, Key):
                named = (item.exchange_id, item.receipt_record)
                if named == (self._asked.exchange_id, self._head.receipt_record):
                    return item.wrapped
        return None
