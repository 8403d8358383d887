"""Finding an exchange's items in the node's own certified ledger."""

import asyncio
from collections.abc import Iterator

from contracts.exchanges import Item, Line, ReceiptLine, parse_item
from contracts.registry import CONTRACTS
from ledger import store_keys
from ledger.attachments import parse_items
from ledger.records import parse_leaf
from ledger.types import LeafIndex
from node.runtime import Node


async def certified_place(
    node: Node, record_id: bytes, *, timeout_s: float
) -> tuple[int, int] | None:
    """Leaf index and height of a record, once it is certified here; None if that takes longer."""
    try:
        async with asyncio.timeout(timeout_s):
            async for _ in node.events.heights(-1, certified=True):
                value = node.store.get(store_keys.record_key(record_id))
                if value is None:
                    continue
                index, height = store_keys.read_number(value[:8]), store_keys.read_number(value[8:])
                if height <= node.events.certified_height:
                    return index, height
    except TimeoutError:
        pass
    return None


def items_at(
    node: Node, index: int, *, kind: str, department: str
) -> Iterator[tuple[ReceiptLine | Line, Item]]:
    """Lines and items of a record of this kind by this department; nothing if it is another."""
    leaf = node.store.get(store_keys.leaf_key(LeafIndex(index)))
    attached = node.store.get(store_keys.attached_key(LeafIndex(index)))
    assert leaf is not None, "an executed record is stored whole"
    header = parse_leaf(leaf).header
    if header.kind != kind or header.department != department or attached is None:
        return
    items = iter(parse_items(attached))
    for line in CONTRACTS[kind].body.decode(bytes(header.body)).lines:
        for _ in range(line.count):
            yield line, parse_item(next(items))
