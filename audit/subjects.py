"""Whom a grant's exchanges were about, counted again from what the provider shows. Pure.

A header names nobody, so that limits that need content are the provider's node's to keep: how many
data subjects over a grant's life, and that a query names its subjects. Its receipts commit to both.
Whoever is shown the openings (`audit.openings`) counts for herself: nothing that is shown is
believed unless a receipt on the ledger commits to it, and what is not shown is named.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from audit.forks import Readable
from audit.items import Grants, Place, attachment, blocks, items_of, lines
from audit.openings import Asked, Opening
from contracts.catalog import DatasetOffer, Description, parse_description
from contracts.exchanges import Receipt, ReceiptLine, parse_item
from contracts.grants import GrantRequest
from contracts.queries import Field, QueryRefused, named_subjects, parse_query
from contracts.registry import CONTRACTS
from ledger.attachments import items_root
from ledger.codec import encode
from ledger.commitments import commitment, subject_tag
from ledger.errors import Malformed
from ledger.records import Record

SUBJECT_FAULTS: dict[str, str] = {
    "subjects-over-limit": "More data subjects over the grant's life than its version allows.",
    "other-subjects": "The tags that are shown are not those that the receipt commits to.",
    "subjects-miscounted": "The receipt counts another number of data subjects than its tags.",
    "subjects-unopened": "Tags of receipts under a limited grant are not shown.",
    "other-query": "The query that is shown is not the one that the receipt commits to.",
    "subjects-unnamed": "The grant wants queries to name their subjects; this one does not.",
    "beyond-query": "The receipt is about data subjects whom its query does not name.",
}
"""Codes of what does not fit, and what each means."""

_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class SubjectFault:
    """One exchange that does not fit; for a grant's receipts together, the first of them."""

    code: str
    exchange_id: bytes
    place: Place
    provider: str
    consumer: str
    detail: str

    def __post_init__(self) -> None:
        assert self.code in SUBJECT_FAULTS, f"{self.code} is not in the table"


@dataclass(slots=True)
class Counted:
    """One limited grant. subjects: distinct ones in what was shown and fits; subjects_max: of the
    newest version that has receipts, 0 for no limit. queries: shown with their names."""

    grant_id: bytes
    provider: str
    consumer: str
    subjects_max: int = 0
    receipts: int = 0
    opened: int = 0
    queries: int = 0
    subjects: int = 0


@dataclass(slots=True)
class Recount:
    """What was counted, up to the ledger's last block.

    grants: those with a limit on data subjects, in the order of their first receipt. aside:
    openings of other exchanges, or of one already shown. unheld: records of receipts whose items
    are not there. undescribed: queries of a dataset whose description is not held.
    """

    height: int = 0
    tree_size: int = 0
    time_ms: int = 0
    aside: int = 0
    unheld: int = 0
    undescribed: int = 0
    grants: list[Counted] = field(default_factory=list)
    faults: list[SubjectFault] = field(default_factory=list)


@dataclass(slots=True)
class _Receipted:
    """A receipt under a limited grant. order: among all of them, by the ledger."""

    receipt: Receipt
    ledger_id: bytes
    place: Place
    version: int
    wanted: GrantRequest
    described: Description | None
    order: int
    shown: bool = False


class _Descriptions:
    """The newest description of each dataset, as the ledger goes by."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._known: dict[tuple[str, str], Description | None] = {}

    def learn(self, index: int, record: Record) -> None:
        if record.header.kind not in ("dataset.publish", "dataset.change"):
            return
        body = CONTRACTS[record.header.kind].body.decode(bytes(record.header.body))
        assert isinstance(body, DatasetOffer)
        document = attachment(self._source, index, record)
        described = None if document is None else parse_description(document)
        self._known[record.header.department, body.name] = described

    def of(self, wanted: GrantRequest) -> Description | None:
        return self._known.get((wanted.provider, wanted.dataset))


def recount(source: Readable, openings: Iterable[Opening]) -> Recount:
    """Counts the data subjects of every limited grant in a ledger again.

    openings: what the providers show, in any order, read once. Raises Malformed as they do.
    """
    found = Recount()
    grants = Grants()
    for _, records in blocks(source):
        for _, record in records:
            grants.learn(record)
    receipts = {each.receipt.exchange_id: each for each in _receipts(source, grants, found)}
    counted: dict[bytes, Counted] = {}
    for each in receipts.values():
        grant_id = each.place.grant_id
        if grant_id not in counted:
            consumer, provider = grants.of(grant_id)
            counted[grant_id] = Counted(grant_id, provider, consumer)
        counted[grant_id].receipts += 1
        counted[grant_id].subjects_max = each.wanted.limits.subjects_max
    found.grants = list(counted.values())
    first_seen: dict[bytes, dict[bytes, int]] = {grant_id: {} for grant_id in counted}
    for opening in openings:
        known = receipts.get(bytes.fromhex(opening.exchange_id))
        if known is None or known.shown:
            found.aside += 1
            continue
        known.shown = True
        grant_id = known.place.grant_id
        _open(found, counted[grant_id], known, opening, first_seen[grant_id])
    by_grant: dict[bytes, list[_Receipted]] = {grant_id: [] for grant_id in counted}
    for each in receipts.values():
        by_grant[each.place.grant_id].append(each)
    for grant_id, together in by_grant.items():
        _count(found, counted[grant_id], together, sorted(first_seen[grant_id].values()))
    found.faults.sort(key=lambda fault: fault.place.height)
    return found


def _receipts(source: Readable, grants: Grants, found: Recount) -> Iterator[_Receipted]:
    """The receipts under grants that limit data subjects in any version, in order."""
    descriptions = _Descriptions(source)
    order = 0
    for header, records in blocks(source):
        found.height, found.time_ms = header.height, header.time_ms
        found.tree_size = header.tree_size + header.record_count + 1
        for index, record in records:
            descriptions.learn(index, record)
            if record.header.kind != "exchange.receipts":
                continue
            if not any(grants.limits_subjects(line.grant_id) for line in lines(record)):
                continue
            parts = items_of(source, index, record)
            found.unheld += parts is None
            for line, items in parts or ():
                assert isinstance(line, ReceiptLine), "receipts have lines of receipts"
                wanted = grants.version(line)
                if wanted is None or not grants.limits_subjects(line.grant_id):
                    continue
                place = Place(record.record_id, line.grant_id, header.height, header.time_ms)
                for item in items:
                    receipt = _receipt(item)
                    if receipt is not None:
                        order += 1
                        yield _Receipted(
                            receipt,
                            record.header.ledger_id,
                            place,
                            line.version,
                            wanted,
                            descriptions.of(wanted),
                            order,
                        )


def _receipt(data: bytes) -> Receipt | None:
    """A receipt; None if the item is something else, which `audit gaps` names."""
    try:
        item = parse_item(data)
    except Malformed:
        return None
    return item if isinstance(item, Receipt) else None


def _open(
    found: Recount,
    counted: Counted,
    known: _Receipted,
    opening: Opening,
    first_seen: dict[bytes, int],
) -> None:
    """One exchange's tags and query against its receipt."""
    tags = [bytes.fromhex(tag) for tag in opening.tags]
    receipt = known.receipt
    if (items_root(tags) if tags else _NOBODY) != receipt.subjects_root:
        _fault(found, counted, known, "other-subjects", f"{len(tags)} tags are shown")
        return
    counted.opened += 1
    distinct = set(tags)
    if not len(tags) == len(distinct) == receipt.subjects:
        what = f"{receipt.subjects} said, {len(distinct)} distinct tags of {len(tags)}"
        _fault(found, counted, known, "subjects-miscounted", what)
    for tag in tags:
        first_seen[tag] = min(known.order, first_seen.get(tag, known.order))
    if opening.asked is None:
        return
    counted.queries += 1
    if _request(known.ledger_id, opening.asked) != receipt.request:
        _fault(found, counted, known, "other-query", "")
    elif known.described is None:
        found.undescribed += 1
    else:
        _check_named(found, counted, known, opening.asked, known.described, distinct)


def _check_named(
    found: Recount,
    counted: Counted,
    known: _Receipted,
    asked: Asked,
    described: Description,
    tags: set[bytes],
) -> None:
    """Whether a query names its subjects, and the receipt is about these alone."""
    fields = [Field(each.name, each.type) for each in described.fields]
    try:
        query = parse_query(asked.query.encode(), fields)
    except QueryRefused as error:
        _fault(found, counted, known, "subjects-unnamed", str(error))
        return
    named = named_subjects(query, described.subject_field)
    if named is None:
        if known.wanted.limits.subjects_named:
            _fault(found, counted, known, "subjects-unnamed", "")
        return
    allowed = {
        subject_tag(bytes.fromhex(asked.salts[identifier]), identifier)
        for identifier in named & asked.salts.keys()
    }
    beyond = len(tags - allowed)
    if beyond:
        _fault(found, counted, known, "beyond-query", f"{beyond} of {len(tags)}")


def _request(ledger_id: bytes, asked: Asked) -> bytes:
    """The commitment to what was asked, as a receipt has it."""
    content = encode((tuple(asked.fields), asked.query.encode()))
    blinding = bytes.fromhex(asked.request_blinding)
    return commitment(ledger_id, role="request", blinding=blinding, content=content)


def _count(found: Recount, counted: Counted, together: list[_Receipted], orders: list[int]) -> None:
    """A grant's receipts against its limits. orders: where each subject is seen first, sorted.

    What is not shown only makes the count lower, so a limit that is exceeded stays exceeded.
    """
    counted.subjects = len(orders)
    over: set[int] = set()
    for each in together:
        limit = each.wanted.limits.subjects_max
        seen = bisect_right(orders, each.order)
        if limit and seen > limit and each.version not in over:
            over.add(each.version)
            what = f"{seen} by this exchange, {limit} allowed by version {each.version}"
            _fault(found, counted, each, "subjects-over-limit", what)
    unopened = [each for each in together if each.receipt.rows and not each.shown]
    if unopened:
        what = f"{len(unopened)} of {counted.receipts} receipts"
        _fault(found, counted, unopened[0], "subjects-unopened", what)


def _fault(found: Recount, counted: Counted, known: _Receipted, code: str, detail: str) -> None:
    exchange_id, sides = known.receipt.exchange_id, (counted.provider, counted.consumer)
    found.faults.append(SubjectFault(code, exchange_id, known.place, *sides, detail))
