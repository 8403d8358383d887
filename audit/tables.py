"""A ledger as tables, for questions that nobody thought of: rows made by executing it again. Pure.

One row is one thing that the ledger says; `SCHEMA` says what each column means. Times are
milliseconds since 1970, ids hexadecimal. Everything is as of the ledger's last block.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.forks import Readable
from audit.reading import read_leaves
from audit.replay import Replay
from audit.scratch import Scratch
from contracts.catalog import Dataset, parse_dataset
from contracts.consortium import parse_member
from contracts.emergencies import EmergencyStart
from contracts.exchanges import (
    Acknowledgement,
    Denial,
    Item,
    Key,
    Receipt,
    Receipts,
    Void,
    parse_item,
)
from contracts.grants import Grant, GrantAmend, GrantRequest, parse_grant
from contracts.registry import CONTRACTS
from ledger.attachments import parse_items
from ledger.blocks import BlockHeader
from ledger.errors import Malformed
from ledger.genesis import GenesisFile
from ledger.records import Record

_ID, _TEXT, _INT, _BOOL = "VARCHAR", "VARCHAR", "BIGINT", "BOOLEAN"

SCHEMA: dict[str, tuple[tuple[str, str, str], ...]] = {
    "records": (
        ("record_id", _ID, "the record"),
        ("leaf_index", _INT, "its place in the tree"),
        ("height", _INT, "its block"),
        ("time_ms", _INT, "the block's time"),
        ("kind", _TEXT, "what it is"),
        ("department", _TEXT, "its author"),
        ("actor", _TEXT, "the acting person or app, pseudonymous"),
        ("key", _ID, "the record key that signed it"),
        ("created_ms", _INT, "when its author says it was made"),
    ),
    "record_grants": (
        ("record_id", _ID, "a record"),
        ("grant_id", _ID, "a grant that it is about; a batch is about several"),
    ),
    "grants": (
        ("grant_id", _ID, "the grant"),
        ("consumer", _TEXT, "who may read"),
        ("provider", _TEXT, "whose data"),
        ("dataset", _TEXT, "publisher/name"),
        ("fields", _TEXT, "granted fields, separated by commas"),
        ("purpose", _TEXT, "what for"),
        ("legal_basis", _TEXT, "on which ground"),
        ("valid_from_ms", _INT, "first moment"),
        ("valid_until_ms", _INT, "first moment after it"),
        ("exchanges_max", _INT, "limit of the version in force, 0 for none"),
        ("rows_max", _INT, "the same"),
        ("onward", _BOOL, "whether it may be shared further"),
        ("status", _TEXT, "what became of it"),
        ("emergency", _BOOL, "whether it began as an emergency"),
        ("requested_ms", _INT, "when it was asked for"),
        ("decided_ms", _INT, "when it got its status"),
        ("exchanges", _INT, "receipted exchanges, over all versions"),
        ("rows", _INT, "receipted rows"),
        ("size_bytes", _INT, "receipted bytes of content"),
        ("acknowledged", _INT, "acknowledged exchanges"),
        ("voided", _INT, "exchanges taken back"),
        ("denied", _INT, "requests refused under it"),
    ),
    "grant_versions": (
        ("grant_id", _ID, "the grant"),
        ("version", _INT, "1, then one more with each amendment that was asked for"),
        ("fields", _TEXT, "its fields, separated by commas"),
        ("purpose", _TEXT, "what for"),
        ("legal_basis", _TEXT, "on which ground"),
        ("onward", _BOOL, "whether it may be shared further"),
        ("asked_ms", _INT, "when it was asked for"),
        ("record_id", _ID, "the record that asked for it"),
    ),
    "receipt_lines": (
        ("record_id", _ID, "a batch of receipts"),
        ("leaf_index", _INT, "its place in the tree"),
        ("line", _INT, "number of the line in it, from 0"),
        ("time_ms", _INT, "the block's time"),
        ("grant_id", _ID, "the grant of the line"),
        ("version", _INT, "the version of it that was in force"),
        ("purpose", _TEXT, "what for, as that version says"),
        ("legal_basis", _TEXT, "on which ground"),
        ("exchanges", _INT, "receipts in the line"),
        ("rows", _INT, "rows handed over"),
        ("size_bytes", _INT, "bytes of content"),
    ),
    "receipts": (
        ("exchange_id", _ID, "the exchange"),
        ("grant_id", _ID, "the grant of its line"),
        ("record_id", _ID, "the record that holds it"),
        ("time_ms", _INT, "the block's time"),
        ("rows", _INT, "rows handed over"),
        ("size_bytes", _INT, "bytes of content"),
        ("subjects", _INT, "how many persons"),
        ("sealed", _BOOL, "whether it went out as ciphertext, its key to follow"),
    ),
    "halves": (
        ("half", _TEXT, "acknowledgement, key, void or denial"),
        ("exchange_id", _ID, "the exchange"),
        ("grant_id", _ID, "the grant of its line"),
        ("record_id", _ID, "the record that holds it"),
        ("time_ms", _INT, "the block's time"),
        ("consumer", _TEXT, "of a denial: who was refused"),
        ("code", _TEXT, "of a denial or a void: why"),
        ("count", _INT, "of a denial: how many such requests; else 1"),
        ("delivered_bytes", _INT, "of a void: how much had gone out"),
    ),
    "datasets": (
        ("dataset", _TEXT, "publisher/name"),
        ("title", _TEXT, "its title"),
        ("classification", _TEXT, "how sensitive"),
        ("sharing", _TEXT, "open, conditional or closed"),
        ("fields", _TEXT, "its fields, separated by commas"),
        ("status", _TEXT, "offered or withdrawn"),
        ("version", _INT, "1, then one more with each change"),
        ("authoritative", _BOOL, "whether it is the source that others copy"),
        ("subject_field", _TEXT, "the field that says whom a row is about"),
        ("derived_from", _TEXT, "grants under which its data was received, separated by commas"),
        ("carried", _TEXT, "by nodes, or elsewhere: by an exchange of its publisher's own"),
        ("published_ms", _INT, "when it was first offered"),
    ),
    "departments": (
        ("department", _TEXT, "short name"),
        ("title", _TEXT, "full name"),
        ("status", _TEXT, "active, suspended or retired"),
    ),
}
"""Tables: name, then column, type in SQL and meaning."""

Row = tuple[Any, ...]

ROWS_HELD_MAX = 50_000
"""So many rows wait in memory for whoever keeps them."""

OF_STATE = (b"grant/", b"dataset/", b"department/")
"""What the keys begin with of which the state's values get rows."""


@dataclass(slots=True)
class Tables:
    """All rows, as of the block at `height`; root: of the tree there."""

    ledger_id: bytes
    height: int = 0
    tree_size: int = 0
    time_ms: int = 0
    root: bytes = b""
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in SCHEMA})

    def named(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table, each value by its column's name."""
        columns = tuple(column for column, _, _ in SCHEMA[table])
        for row in self.rows[table]:
            yield dict(zip(columns, row, strict=True))

    def held(self) -> int:
        """How many rows there are."""
        return sum(map(len, self.rows.values()))

    def release(self, keep: Callable[[dict[str, list[Row]]], None]) -> None:
        """Gives all rows to `keep` and forgets them."""
        keep(self.rows)
        for rows in self.rows.values():
            rows.clear()


def make_tables(
    source: Readable,
    genesis: GenesisFile,
    *,
    height_max: int | None = None,
    exchanges: bool = True,
    scratch: Scratch | None = None,
    keep: Callable[[dict[str, list[Row]]], None] | None = None,
) -> Tables:
    """Executes the ledger again and writes down what it says. Raises Malformed if it is none.

    Signatures are not judged, and items that are not held are left out. height_max: of the last
    block that is taken, if not of all. exchanges: see `TableWriter`. scratch: an empty one, for
    state that outgrows memory. keep: takes rows now and then, which are then no longer in memory
    nor in what is returned.
    """
    made = Tables(genesis.ledger_id)
    writer = TableWriter(made, exchanges=exchanges)
    replay = Replay(genesis, derive=False, scratch=scratch)
    records: list[tuple[int, Record]] = []
    for leaf in read_leaves(source):
        if replay.tip.height == height_max:
            break
        if leaf.parsed is None:
            raise Malformed("ledger", f"leaf {leaf.index} cannot be read")
        if isinstance(leaf.parsed, Record):
            records.append((leaf.index, leaf.parsed))
            continue
        block = replay.execute(
            leaf.parsed, [record for _, record in records], [True] * len(records)
        ).block
        if block.header_bytes != leaf.data:
            raise Malformed("ledger", f"block {leaf.parsed.height} does not follow")
        for index, record in records:
            writer.record(leaf.parsed, index, record)
        records = []
        if scratch is not None and replay.is_full:
            scratch.write(replay.unsaved())
        if keep is not None and made.held() > ROWS_HELD_MAX:
            made.release(keep)
    tip = replay.tip
    made.height, made.tree_size, made.time_ms = tip.height, tip.tree_size, tip.time_ms
    made.root = tip.tree().root()
    writer.state(sorted(item for item in replay.state.items() if item[0].startswith(OF_STATE)))
    if keep is not None:
        made.release(keep)
    return made


class TableWriter:
    """Writes records, in the order of the ledger, and then the state into tables."""

    def __init__(self, made: Tables, *, exchanges: bool = True) -> None:
        """exchanges: whether also each exchange's halves get rows, and not denials alone."""
        self._rows = made.rows
        self._exchanges = exchanges
        self._versions: dict[bytes, int] = {}
        self._published: dict[tuple[str, str], int] = {}

    def record(self, block: BlockHeader, index: int, record: Record) -> None:
        """A record of the block; index: of its leaf."""
        header = record.header
        record_id = record.record_id.hex()
        self._rows["records"].append(
            (
                record_id,
                index,
                block.height,
                block.time_ms,
                header.kind,
                header.department,
                header.actor,
                header.key.hex(),
                header.created_ms,
            )
        )
        body = CONTRACTS[header.kind].body.decode(bytes(header.body))
        if header.kind == "dataset.publish":
            self._published[header.department, body.name] = block.time_ms
        elif isinstance(body, GrantRequest | EmergencyStart | GrantAmend):
            self._version(record.record_id, body, block.time_ms)
        if header.kind in ("grant.request", "emergency.start"):
            self._rows["record_grants"].append((record_id, record_id))
        elif isinstance(getattr(body, "grant_id", None), bytes):
            self._rows["record_grants"].append((record_id, body.grant_id.hex()))
        if isinstance(body, Receipts):
            self._lines(block, index, record_id, body)
        if header.kind.startswith("exchange."):
            self._exchange(block, record, body.lines)

    def state(self, values: Iterable[tuple[bytes, bytes]]) -> None:
        """What the last block left: keys and values of the state, in order."""
        for key, value in values:
            if key.startswith(b"grant/"):
                self._rows["grants"].append(_grant(parse_grant(value)))
            elif key.startswith(b"dataset/"):
                known = parse_dataset(value)
                at_ms = self._published[known.publisher, known.offer.name]
                self._rows["datasets"].append(_dataset(known, at_ms))
            elif key.startswith(b"department/"):
                known_as = parse_member(value)
                name = key.removeprefix(b"department/").decode("ascii")
                self._rows["departments"].append((name, known_as.title, known_as.status))

    def _version(
        self, record_id: bytes, body: GrantRequest | EmergencyStart | GrantAmend, time_ms: int
    ) -> None:
        """What was asked for; only what a grant's consumer asks for makes another version."""
        grant_id = body.grant_id if isinstance(body, GrantAmend) else record_id
        request = body if isinstance(body, GrantRequest) else body.request
        version = self._versions.get(grant_id, 0) + 1
        self._versions[grant_id] = version
        self._rows["grant_versions"].append(
            (
                grant_id.hex(),
                version,
                ",".join(request.fields),
                request.purpose,
                request.legal_basis,
                request.onward,
                time_ms,
                record_id.hex(),
            )
        )

    def _lines(self, block: BlockHeader, index: int, record_id: str, body: Receipts) -> None:
        for number, line in enumerate(body.lines):
            place = (record_id, index, number, block.time_ms, line.grant_id.hex())
            right = (line.version, line.purpose, line.legal_basis)
            counts = (line.count, line.rows, line.size_bytes)
            self._rows["receipt_lines"].append((*place, *right, *counts))

    def _exchange(self, block: BlockHeader, record: Record, lines: Sequence[Any]) -> None:
        """A batch: its lines, and its items where they are held."""
        record_id = record.record_id.hex()
        wanted = self._exchanges or record.header.kind == "exchange.denials"
        items = parse_items(record.attached) if wanted and record.attached is not None else ()
        start = 0
        for line in lines:
            grant_id = line.grant_id.hex()
            self._rows["record_grants"].append((record_id, grant_id))
            for data in items[start : start + line.count]:
                try:
                    item = parse_item(data)
                except Malformed:
                    continue
                self._item(item, (item.exchange_id.hex(), grant_id, record_id, block.time_ms))
            start += line.count

    def _item(self, item: Item, place: tuple[str, str, str, int]) -> None:
        halves = self._rows["halves"]
        match item:
            case Receipt():
                counts = (item.rows, item.size_bytes, item.subjects)
                sealed = item.key_commitment is not None
                self._rows["receipts"].append((*place, *counts, sealed))
            case Acknowledgement():
                halves.append(("acknowledgement", *place, None, None, 1, None))
            case Key():
                halves.append(("key", *place, None, None, 1, None))
            case Void():
                halves.append(("void", *place, None, item.reason, 1, item.delivered_bytes))
            case Denial():
                halves.append(("denial", *place, item.consumer, item.code, item.count, None))


def _grant(value: Grant) -> Row:
    request = value.request
    return (
        value.grant_id.hex(),
        value.consumer,
        request.provider,
        f"{request.provider}/{request.dataset}",
        ",".join(request.fields),
        request.purpose,
        request.legal_basis,
        request.valid_from_ms,
        request.valid_until_ms,
        request.limits.exchanges_max,
        request.limits.rows_max,
        request.onward,
        value.status,
        value.emergency is not None,
        value.requested.time_ms,
        value.decided.time_ms,
        value.exchanges,
        value.rows,
        value.size_bytes,
        value.acknowledged,
        value.voided,
        value.denied,
    )


def _dataset(value: Dataset, published_ms: int) -> Row:
    return (
        f"{value.publisher}/{value.offer.name}",
        value.title,
        value.offer.classification,
        value.offer.sharing,
        ",".join(column for column, _ in value.fields),
        value.status,
        value.version,
        value.offer.authoritative,
        value.subject_field,
        ",".join(grant_id.hex() for grant_id in value.offer.derived_from),
        value.offer.carried,
        published_ms,
    )
