"""Finding an exchange's items in the node's own certified ledger."""

import asyncio
import contextlib
from collections.abc import Iterator

from contracts.exchanges import Item, Line, ReceiptLine, parse_item
from contracts.registry import CONTRACTS
from ledger import store_keys
from ledger.attachments import parse_items
from ledger.errors import Malformed
from ledger.recent import Recent
from ledger.records import parse_leaf
from ledger.types import LeafIndex
from node.runtime import Node

LINES_REMEMBERED_MAX = 8
"""Records whose lines `Lines` remembers: those that exchanges in flight ask about together."""


async def certified_place(
    node: Node, record_id: bytes, *, timeout_s: float
) -> tuple[int, int] | None:
    """Leaf index and height of a record, once it is certified here; None if that takes longer."""
    place = _certified_place(node, record_id)
    if place is not None:
        return place
    try:
        async with asyncio.timeout(timeout_s):
            async for _ in node.events.heights(-1, certified=True):
                place = _certified_place(node, record_id)
                if place is not None:
                    return place
    except TimeoutError:
        pass
    return None


def _certified_place(node: Node, record_id: bytes) -> tuple[int, int] | None:
    value = node.store.get(store_keys.record_key(record_id))
    if value is None:
        return None
    index, height = store_keys.read_number(value[:8]), store_keys.read_number(value[8:])
    return (index, height) if height <= node.events.certified_height else None


def items_at(
    node: Node, index: int, *, kind: str, department: str
) -> Iterator[tuple[ReceiptLine | Line, Item]]:
    """Lines and items of a record of this kind by this department; nothing if it is another.

    No contract reads what is attached: bytes that are no item are left out.
    """
    for line, data in _raw_items(node, index, kind=kind, department=department):
        with contextlib.suppress(Malformed):
            yield line, parse_item(data)


class Lines:
    """The line under which an item stands in a record of this kind.

    Exchanges whose receipts share a record ask about it one after the other: it is taken apart
    once. Executed leaves and what is attached to them never change.
    """

    def __init__(self, node: Node, *, kind: str) -> None:
        self._node = node
        self._kind = kind
        self._known: Recent[tuple[int, str], dict[tuple[bytes, bytes], ReceiptLine | Line]]
        self._known = Recent(LINES_REMEMBERED_MAX)

    def line(
        self, index: int, item: bytes, *, department: str, grant_id: bytes
    ) -> ReceiptLine | Line | None:
        """The grant's line with this very item in the record at a leaf index; None if there is
        none, or the record is not of this department or kind."""
        known = self._known.get((index, department))
        if known is None:
            found = _raw_items(self._node, index, kind=self._kind, department=department)
            known = {(line.grant_id, data): line for line, data in found}
            self._known.put((index, department), known)
        return known.get((grant_id, item))


def _raw_items(
    node: Node, index: int, *, kind: str, department: str
) -> Iterator[tuple[ReceiptLine | Line, bytes]]:
    leaf = node.store.get(store_keys.leaf_key(LeafIndex(index)))
    attached = node.store.get(store_keys.attached_key(LeafIndex(index)))
    assert leaf is not None, "an executed record is stored whole"
    header = parse_leaf(leaf).header
    if header.kind != kind or header.department != department or attached is None:
        return
    items = iter(parse_items(attached))
    for line in CONTRACTS[kind].body.decode(bytes(header.body)).lines:
        for _ in range(line.count):
            yield line, next(items)
