"""Both halves of every exchange, laid side by side: receipts, acknowledgements, voids. Pure.

A provider's receipt says what it handed over, a consumer's acknowledgement what it received; both
name the same commitments, so whoever holds the ledger's attachments sees every exchange in which
they do not. What is missing or differs is a *gap*: a reason to ask both sides, not yet a guilt.

    receipt ── acknowledgement      complete
            ── void                 taken back: nothing, or not all of it, went out
    sealed receipt ── acknowledgement ── key      complete
            ── neither, in time     open
            ── neither, too late    a gap

Records whose items were pruned or are withheld cannot be compared: they are counted apart, and an
exchange that might be settled in one of them is not called a gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from audit.forks import Readable
from audit.items import Grants, Place, blocks, items_of, lines
from contracts.exchanges import (
    Acknowledgement,
    Item,
    Key,
    Line,
    Receipt,
    ReceiptLine,
    Void,
    parse_item,
)
from contracts.limits import Limits
from ledger.blocks import BlockHeader
from ledger.errors import Malformed
from ledger.records import Record

GRACE_MS = 3_600_000
"""Default time within which an acknowledgement is expected, in milliseconds of block time."""

GAPS: dict[str, str] = {
    "unacknowledged": "The provider receipted it; the consumer did not acknowledge it in time.",
    "without-receipt": "The consumer acknowledged it; the ledger has no receipt of it.",
    "other-request": "Receipt and acknowledgement are of different requests.",
    "other-response": "Receipt and acknowledgement are of different contents.",
    "other-receipt": "The acknowledgement names another record or grant than the receipt's.",
    "receipted-twice": "The provider receipted one exchange twice.",
    "acknowledged-twice": "The consumer acknowledged one exchange twice.",
    "voided-and-acknowledged": "The provider took it back; the consumer acknowledged it.",
    "voided-twice": "The provider took one exchange back twice.",
    "key-missing": "The consumer acknowledged sealed content; no key followed in time.",
    "key-withheld": "The consumer acknowledged sealed content; it was voided, without a key.",
    "key-without-acknowledgement": "A key is on the ledger that no acknowledgement called for.",
    "key-without-receipt": "A key is on the ledger for an exchange that has no sealed receipt.",
    "void-without-receipt": "The provider took back an exchange that it never receipted.",
    "other-counts": "A line's rows or bytes are not the sum of its items'.",
    "wrong-item": "An item is none that belongs into its record.",
    "outside-hours": "The receipts stand outside the hours that their grant allows.",
    "too-many-subjects": "One exchange was about more data subjects than its grant allows in all.",
    "subjects-unsaid": "Rows under a grant that limits data subjects, and the receipt counts none.",
}
"""Codes of gaps, and what each means."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One exchange whose halves do not fit. height: of the record in which that shows.

    exchange_id: 32 bytes; empty where a gap is a line's. grant_id: of that record's line.
    """

    code: str
    exchange_id: bytes
    grant_id: bytes
    record_id: bytes
    height: int
    provider: str
    consumer: str
    detail: str

    def __post_init__(self) -> None:
        assert self.code in GAPS, f"{self.code} is not in the table of gaps"


@dataclass(slots=True)
class Reconciliation:
    """What was compared, up to the ledger's last block.

    receipts, acknowledgements, voids: items. open: receipts still within their grace.
    unheld: records whose items are not there. gaps: in the order of the ledger.
    """

    height: int = 0
    tree_size: int = 0
    time_ms: int = 0
    receipts: int = 0
    acknowledgements: int = 0
    voids: int = 0
    open: int = 0
    unheld: int = 0
    gaps: list[Gap] = field(default_factory=list)


@dataclass(slots=True)
class _Exchange:
    """The halves of one exchange so far."""

    receipt: tuple[Receipt, Place] | None = None
    acknowledgement: tuple[Acknowledgement, Place] | None = None
    key: tuple[Key, Place] | None = None
    void: tuple[Void, Place] | None = None


def reconcile(source: Readable, *, grace_ms: int = GRACE_MS) -> Reconciliation:
    """Compares both halves of every exchange in a ledger.

    grace_ms: how long a receipt may wait for its acknowledgement, by the ledger's own time.
    """
    found = Reconciliation()
    exchanges: dict[bytes, _Exchange] = {}
    grants = Grants()
    unheld_since: dict[bytes, int] = {}
    for header, records in blocks(source):
        found.height, found.time_ms = header.height, header.time_ms
        found.tree_size = header.tree_size + header.record_count + 1
        for index, record in records:
            kind = record.header.kind
            grants.learn(record)
            if kind not in _KINDS:
                continue
            _check_hours(found, grants, header, record)
            items = items_of(source, index, record)
            if items is None:
                found.unheld += 1
                for line in lines(record):
                    unheld_since.setdefault(line.grant_id, header.height)
                continue
            for line, part in items:
                place = Place(record.record_id, line.grant_id, header.height, header.time_ms)
                _take(found, exchanges, grants, record, place, line, part)
    for exchange_id, halves in exchanges.items():
        _judge(found, exchange_id, halves, grants, grace_ms=grace_ms, unheld=unheld_since)
    found.gaps.sort(key=lambda gap: gap.height)
    return found


def _check_hours(
    found: Reconciliation, grants: Grants, header: BlockHeader, record: Record
) -> None:
    """Whether a record's receipts stand in their grants' hours, by the block's time."""
    for line in lines(record):
        hours = grants.limits(line).hours if isinstance(line, ReceiptLine) else None
        if hours is not None and not hours.contain(header.time_ms):
            place = Place(record.record_id, line.grant_id, header.height, header.time_ms)
            found.gaps.append(_gap("outside-hours", b"", place, grants, f"{line.count} receipts"))


_KINDS = {
    "exchange.receipts": Receipt,
    "exchange.acknowledgements": Acknowledgement,
    "exchange.keys": Key,
    "exchange.voids": Void,
}


def _take(
    found: Reconciliation,
    exchanges: dict[bytes, _Exchange],
    grants: Grants,
    record: Record,
    place: Place,
    line: ReceiptLine | Line,
    part: Sequence[bytes],
) -> None:
    """One line's items."""

    def gap(code: str, exchange_id: bytes, detail: str) -> None:
        found.gaps.append(_gap(code, exchange_id, place, grants, detail))

    parsed: list[Item] = []
    for data in part:
        try:
            item = parse_item(data)
        except Malformed as error:
            gap("wrong-item", b"", str(error))
            continue
        if not isinstance(item, _KINDS[record.header.kind]):
            gap("wrong-item", item.exchange_id, f"a {type(item).__name__.lower()}")
            continue
        parsed.append(item)
        halves = exchanges.setdefault(item.exchange_id, _Exchange())
        match item:
            case Receipt():
                found.receipts += 1
                if halves.receipt is not None:
                    gap("receipted-twice", item.exchange_id, _also(halves.receipt[1]))
                    continue
                halves.receipt = (item, place)
            case Acknowledgement():
                found.acknowledgements += 1
                if halves.acknowledgement is not None:
                    gap("acknowledged-twice", item.exchange_id, _also(halves.acknowledgement[1]))
                    continue
                halves.acknowledgement = (item, place)
            case Key():
                halves.key = halves.key or (item, place)
            case Void():
                found.voids += 1
                if halves.void is not None:
                    gap("voided-twice", item.exchange_id, _also(halves.void[1]))
                    continue
                halves.void = (item, place)
    if isinstance(line, ReceiptLine):
        receipts = [item for item in parsed if isinstance(item, Receipt)]
        limits = grants.limits(line)
        for receipt in receipts:
            fault = _subjects_fault(receipt, limits)
            if fault is not None:
                gap(fault, receipt.exchange_id, f"{receipt.subjects} subjects, {receipt.rows} rows")
        rows = sum(item.rows for item in receipts)
        size_bytes = sum(item.size_bytes for item in receipts)
        if (rows, size_bytes) != (line.rows, line.size_bytes):
            detail = (
                f"the line says {line.rows} rows and {line.size_bytes} bytes, "
                f"its items {rows} and {size_bytes}"
            )
            gap("other-counts", b"", detail)


def _subjects_fault(receipt: Receipt, limits: Limits) -> str | None:
    """What a receipt says against the limits that need content, as far as it says anything.

    Whether subjects of several exchanges are the same ones, only their provider's tags tell.
    """
    if limits.subjects_max and receipt.subjects > limits.subjects_max:
        return "too-many-subjects"
    limited = bool(limits.subjects_max or limits.subjects_named)
    return "subjects-unsaid" if limited and receipt.rows and not receipt.subjects else None


def _also(place: Place) -> str:
    return f"the first one is in record {place.record_id.hex()}, height {place.height}"


def _judge(
    found: Reconciliation,
    exchange_id: bytes,
    halves: _Exchange,
    grants: Grants,
    *,
    grace_ms: int,
    unheld: dict[bytes, int],
) -> None:
    """One exchange, with everything that the ledger says of it."""

    def gap(code: str, place: Place, detail: str) -> None:
        found.gaps.append(_gap(code, exchange_id, place, grants, detail))

    if halves.receipt is None:
        if halves.acknowledgement is not None:
            place = halves.acknowledgement[1]
            if place.grant_id not in unheld:
                gap("without-receipt", place, "")
        if halves.key is not None and halves.key[1].grant_id not in unheld:
            gap("key-without-receipt", halves.key[1], "")
        if halves.void is not None and halves.void[1].grant_id not in unheld:
            gap("void-without-receipt", halves.void[1], "")
        return
    receipt, place = halves.receipt
    is_unheld = unheld.get(place.grant_id, -1) >= place.height
    if halves.key is not None:
        if receipt.key_commitment is None:
            gap("key-without-receipt", halves.key[1], "its content was not sealed")
        elif halves.acknowledgement is None and not is_unheld:
            gap("key-without-acknowledgement", halves.key[1], "")
    if halves.acknowledgement is None:
        if halves.void is not None:
            return
        waited_ms = found.time_ms - place.time_ms
        if waited_ms <= grace_ms:
            found.open += 1
        elif not is_unheld:
            gap("unacknowledged", place, f"since {waited_ms // 1000} s")
        return
    said, where = halves.acknowledgement
    keyless = receipt.key_commitment is not None and halves.key is None and not is_unheld
    waited_ms = found.time_ms - where.time_ms
    if keyless and halves.void is not None:
        gap("key-withheld", where, f"{halves.void[0].reason}")
    elif keyless and waited_ms <= grace_ms:
        found.open += 1
    elif keyless:
        gap("key-missing", where, f"since {waited_ms // 1000} s")
    elif halves.void is not None:
        gap("voided-and-acknowledged", where, f"{halves.void[0].delivered_bytes} bytes went out")
    if (said.receipt_record, where.grant_id) != (place.record_id, place.grant_id):
        gap("other-receipt", where, f"the receipt is in record {place.record_id.hex()}")
    if said.request != receipt.request:
        gap("other-request", where, "")
    if said.response != receipt.response:
        gap("other-response", where, "")


def _gap(code: str, exchange_id: bytes, place: Place, grants: Grants, detail: str) -> Gap:
    consumer, provider = grants.of(place.grant_id)
    return Gap(
        code=code,
        exchange_id=exchange_id,
        grant_id=place.grant_id,
        record_id=place.record_id,
        height=place.height,
        provider=provider,
        consumer=consumer,
        detail=detail,
    )
