"""A ledger's records block by block, and the items of its exchanges. Pure.

Items are attached beside the ledger and may be pruned or withheld, so that whoever reads them has
to say what was not there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.forks import Readable, leaves
from contracts.exchanges import Line, ReceiptLine
from contracts.grants import GrantRequest
from contracts.limits import Limits
from contracts.registry import CONTRACTS
from ledger import store_keys
from ledger.attachments import attached_fault, parse_items
from ledger.blocks import BlockHeader, parse_any_leaf
from ledger.records import Record, parse_leaf
from ledger.types import LeafIndex


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item stands."""

    record_id: bytes
    grant_id: bytes
    height: int
    time_ms: int


class Grants:
    """What was asked for under each grant, by its versions."""

    def __init__(self) -> None:
        self._consumers: dict[bytes, str] = {}
        self._versions: dict[bytes, list[GrantRequest]] = {}

    def learn(self, record: Record) -> None:
        """A record of the ledger; those that ask for a grant, or for a version of one, count."""
        kind = record.header.kind
        if kind not in ("grant.request", "emergency.start", "grant.amend"):
            return
        body = CONTRACTS[kind].body.decode(bytes(record.header.body))
        if kind == "grant.amend":
            self._versions.setdefault(body.grant_id, []).append(body.request)
            return
        self._consumers[record.record_id] = record.header.department
        self._versions[record.record_id] = [body if kind == "grant.request" else body.request]

    def of(self, grant_id: bytes) -> tuple[str, str]:
        """Consumer and provider."""
        versions = self._versions.get(grant_id)
        return self._consumers.get(grant_id, "?"), versions[0].provider if versions else "?"

    def version(self, line: ReceiptLine) -> GrantRequest | None:
        """What the version that a line names was asked for; None if there is no such version."""
        versions = self._versions.get(line.grant_id, [])
        return versions[line.version - 1] if 1 <= line.version <= len(versions) else None

    def limits_subjects(self, grant_id: bytes) -> bool:
        """Whether any version of a grant limits data subjects, or wants them named."""
        limits = [version.limits for version in self._versions.get(grant_id, ())]
        return any(each.subjects_max or each.subjects_named for each in limits)

    def limits(self, line: ReceiptLine) -> Limits:
        """The limits of the version that a line names; none if there is no such version."""
        version = self.version(line)
        return Limits() if version is None else version.limits


def blocks(source: Readable) -> Iterator[tuple[BlockHeader, list[tuple[int, Record]]]]:
    """Each block's header, and its records with their leaf indexes, in the ledger's order."""
    records: list[tuple[int, Record]] = []
    for index, data in enumerate(leaves(source)):
        leaf = parse_any_leaf(data)
        if isinstance(leaf, BlockHeader):
            yield leaf, records
            records = []
        else:
            records.append((index, parse_leaf(data)))


def lines(record: Record) -> Sequence[ReceiptLine | Line]:
    """The lines of a record of exchanges."""
    body = CONTRACTS[record.header.kind].body.decode(bytes(record.header.body))
    found: Sequence[ReceiptLine | Line] = body.lines
    return found


def attachment(source: Readable, index: int, record: Record) -> bytes | None:
    """What is attached to a record; None if it is not held, or is not that of its header."""
    attached = source.get(store_keys.attached_key(LeafIndex(index)))
    announced = record.header.attached
    if attached is None or announced is None or attached_fault(announced, attached) is not None:
        return None
    return attached


def items_of(
    source: Readable, index: int, record: Record
) -> list[tuple[ReceiptLine | Line, Sequence[bytes]]] | None:
    """The record's items by line; None if they are not held, or are not those of its header."""
    attached = attachment(source, index, record)
    if attached is None:
        return None
    items = parse_items(attached)
    parts: list[tuple[ReceiptLine | Line, Sequence[bytes]]] = []
    start = 0
    for line in lines(record):
        parts.append((line, items[start : start + line.count]))
        start += line.count
    return parts
