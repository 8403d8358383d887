"""After a restart: exchanges whose release was under way when the provider's node ended.

A restart closes every release window (promise P2). An exchange that was prepared and is not known
to be finished is looked up in the ledger from the height at which it was prepared. No receipt: it
is looked for on until none can come any more, for the record may have been on its way, or in a
block that this node does not hold yet. Acknowledged by its consumer (of what was sealed: its key
handed over): it arrived. Voided before the end: that stands. Otherwise its receipt is voided, with
what went out unknown and counted as nothing.
"""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from contracts.exchanges import Acknowledgement, Item, Key, Receipt, Void, parse_item
from contracts.registry import CONTRACTS
from ledger import store_keys
from ledger.attachments import parse_items
from ledger.blocks import parse_any_leaf
from ledger.errors import Malformed
from ledger.records import Record, RecordLeaf, parse_leaf
from ledger.types import Height, LeafIndex
from node.ports import StoreReader

_HALVES = ("exchange.receipts", "exchange.acknowledgements", "exchange.keys", "exchange.voids")


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An exchange that was under way. since_height: the ledger's height when it was prepared."""

    grant_id: bytes
    since_height: int


class Judged(NamedTuple):
    """to_void: exchange id to the record of its receipt, for those neither acknowledged nor voided.
    unseen: exchanges without a receipt so far."""

    to_void: dict[bytes, bytes]
    unseen: tuple[bytes, ...]


def judged(
    reader: StoreReader, unfinished: Mapping[bytes, Unfinished], *, department: str
) -> Judged:
    """What the ledger, as far as this node holds it, says of exchanges that were under way."""
    if not unfinished:
        return Judged({}, ())
    since = min(each.since_height for each in unfinished.values())
    found: dict[bytes, bytes] = {}
    seen: set[bytes] = set()
    sealed: set[bytes] = set()
    for record, grant_id, item in _exchange_items(reader, since_height=since):
        under_way = unfinished.get(item.exchange_id)
        if under_way is None or under_way.grant_id != grant_id:
            continue
        if isinstance(item, Receipt) and record.header.department == department:
            found[item.exchange_id] = record.record_id
            seen.add(item.exchange_id)
            if item.key_commitment is not None:
                sealed.add(item.exchange_id)
        elif isinstance(item, Acknowledgement):
            named = found.get(item.exchange_id) == item.receipt_record
            if named and item.exchange_id not in sealed:
                del found[item.exchange_id]
        elif isinstance(item, Key | Void) and record.header.department == department:
            found.pop(item.exchange_id, None)
    return Judged(found, tuple(each for each in unfinished if each not in seen))


def _exchange_items(
    reader: StoreReader, *, since_height: int
) -> Iterator[tuple[Record, bytes, Item]]:
    """Items of exchanges' halves after a height, in order, each with its record and the grant of
    its line, whose party the record's department is.

    No contract reads what is attached, so that a member may attach anything under a grant of its
    own: bytes that are no item are left out, and whoever asks compares the grant.
    """
    for record in _exchange_records(reader, since_height=since_height):
        assert record.attached is not None
        items = iter(parse_items(record.attached))
        for line in CONTRACTS[record.header.kind].body.decode(bytes(record.header.body)).lines:
            for data in itertools.islice(items, line.count):
                with contextlib.suppress(Malformed):
                    yield record, line.grant_id, parse_item(data)


def _exchange_records(reader: StoreReader, *, since_height: int) -> Iterator[Record]:
    """Records of exchanges' halves after a height, in order, with their items."""
    place = reader.get(store_keys.block_key(Height(since_height))) if since_height else None
    start = 0 if place is None else store_keys.read_number(place)
    for key, leaf in reader.scan(store_keys.leaf_key(LeafIndex(start)), b"m"):
        if not isinstance(parse_any_leaf(leaf), RecordLeaf):
            continue
        record = parse_leaf(leaf)
        if record.header.kind not in _HALVES:
            continue
        attached = reader.get(store_keys.attached_key(LeafIndex(store_keys.read_number(key[1:]))))
        if attached is not None:
            yield Record(
                header=record.header,
                signature=record.signature,
                leaf_bytes=record.leaf_bytes,
                header_bytes=record.header_bytes,
                record_id=record.record_id,
                attached=attached,
            )
