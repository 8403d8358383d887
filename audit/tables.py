"""A ledger as tables, for questions that nobody thought of: rows made by executing it again. Pure.

One row is one thing that the ledger says; `SCHEMA` says what each column means. Times are
milliseconds since 1970, ids hexadecimal. Everything is as of the ledger's last block.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.forks import Readable
from audit.reading import check_none, segments
from audit.replay import Replay
from contracts.catalog import dataset
from contracts.exchanges import Acknowledgement, Denial, Receipt, Void, parse_item
from contracts.grants import Grant, parse_grant
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
    "receipts": (
        ("exchange_id", _ID, "the exchange"),
        ("grant_id", _ID, "the grant of its line"),
        ("record_id", _ID, "the record that holds it"),
        ("time_ms", _INT, "the block's time"),
        ("rows", _INT, "rows handed over"),
        ("size_bytes", _INT, "bytes of content"),
        ("subjects", _INT, "how many persons"),
    ),
    "halves": (
        ("half", _TEXT, "acknowledgement, void or denial"),
        ("exchange_id", _ID, "the exchange"),
        ("grant_id", _ID, "the grant of its line"),
        ("record_id", _ID, "the record that holds it"),
        ("time_ms", _INT, "the block's time"),
        ("consumer", _TEXT, "of a denial: who was refused"),
        ("code", _TEXT, "of a denial: why"),
        ("count", _INT, "of a denial: how many such requests; else 1"),
    ),
    "datasets": (
        ("dataset", _TEXT, "publisher/name"),
        ("title", _TEXT, "its title"),
        ("classification", _TEXT, "how sensitive"),
        ("sharing", _TEXT, "open, conditional or closed"),
        ("fields", _TEXT, "its fields, separated by commas"),
        ("status", _TEXT, "offered or withdrawn"),
        ("version", _INT, "1, then one more with each change"),
    ),
}
"""Tables: name, then column, type in SQL and meaning."""

Row = tuple[Any, ...]


@dataclass(slots=True)
class Tables:
    """All rows, as of the block at `height`; root: of the tree there."""

    ledger_id: bytes
    height: int = 0
    tree_size: int = 0
    time_ms: int = 0
    root: bytes = b""
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in SCHEMA})


def make_tables(source: Readable, genesis: GenesisFile) -> Tables:
    """Executes the ledger again and writes down what it says. Raises Malformed if it is none.

    Signatures are not judged, and items that are not held are left out.
    """
    made = Tables(genesis.ledger_id)
    replay = Replay(genesis)
    records: list[tuple[int, Record]] = []
    for segment in segments(source, check_none):
        for leaf in segment.leaves:
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
                _record(made, leaf.parsed, index, record)
            records = []
    tip = replay.tip
    made.height, made.tree_size, made.time_ms = tip.height, tip.tree_size, tip.time_ms
    made.root = tip.tree().root()
    for key, value in sorted(replay.state.items()):
        if key.startswith(b"grant/"):
            made.rows["grants"].append(_grant(parse_grant(value)))
        elif key.startswith(b"dataset/"):
            _, publisher, name = key.decode("ascii").split("/")
            made.rows["datasets"].append(_dataset(replay, publisher, name))
    return made


def _record(made: Tables, block: BlockHeader, index: int, record: Record) -> None:
    header = record.header
    record_id = record.record_id.hex()
    made.rows["records"].append(
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
    if header.kind in ("grant.request", "emergency.start"):
        made.rows["record_grants"].append((record_id, record_id))
    elif isinstance(getattr(body, "grant_id", None), bytes):
        made.rows["record_grants"].append((record_id, body.grant_id.hex()))
    if header.kind.startswith("exchange."):
        _exchange(made, block, record, body.lines)


def _exchange(made: Tables, block: BlockHeader, record: Record, lines: Sequence[Any]) -> None:
    """A batch: its lines, and its items where they are held."""
    record_id = record.record_id.hex()
    items = () if record.attached is None else parse_items(record.attached)
    start = 0
    for line in lines:
        grant_id = line.grant_id.hex()
        made.rows["record_grants"].append((record_id, grant_id))
        for data in items[start : start + line.count]:
            try:
                item = parse_item(data)
            except Malformed:
                continue
            place = (item.exchange_id.hex(), grant_id, record_id, block.time_ms)
            match item:
                case Receipt():
                    counts = (item.rows, item.size_bytes, item.subjects)
                    made.rows["receipts"].append((*place, *counts))
                case Acknowledgement():
                    made.rows["halves"].append(("acknowledgement", *place, None, None, 1))
                case Void():
                    made.rows["halves"].append(("void", *place, None, None, 1))
                case Denial():
                    told = (item.consumer, item.code, item.count)
                    made.rows["halves"].append(("denial", *place, *told))
        start += line.count


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


def _dataset(replay: Replay, publisher: str, name: str) -> Row:
    value = dataset(replay.view(), publisher, name)
    assert value is not None, "its key is in the state"
    return (
        f"{publisher}/{name}",
        value.title,
        value.offer.classification,
        value.offer.sharing,
        ",".join(column for column, _ in value.fields),
        value.status,
        value.version,
    )
