"""A ledger in memory for the contracts' tests: it executes entries and checks itself.

`Ledger` holds what a node derives from blocks (state, pages of its tree, nonces, lists, leaves) in
dicts and executes entries with `contracts.machine.execute_entry`, signatures checked. `verify`
proves the whole of it again from its leaves and values. `Stage` is a ledger on which a dataset is
published and a grant on it approved; its methods make the bodies that tests send.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cache
from hashlib import sha256
from typing import Any, Self

import msgspec
from builders import START_MS, Consortium

from contracts.catalog import DatasetOffer, Description, Field
from contracts.consortium import genesis_state
from contracts.exchanges import (
    Acknowledgement,
    Acknowledgements,
    Denial,
    Denials,
    Item,
    Key,
    Keys,
    Line,
    Receipt,
    ReceiptLine,
    Receipts,
    Void,
    Voids,
)
from contracts.grants import (
    Grant,
    GrantApprove,
    GrantDecision,
    GrantReply,
    GrantRequest,
    parse_grant,
)
from contracts.limits import Limits
from contracts.machine import Candidate, ExecutedBlock, candidate, execute_entry, genesis_tip
from contracts.state import grant_key
from ledger.attachments import items_root
from ledger.blocks import block_hash, parse_block_header
from ledger.codec import encode
from ledger.entries import Entry, Step
from ledger.list_heads import parse_list_head, rebuilds
from ledger.records import Record
from ledger.sealing import WRAPPED_BYTES
from ledger.signatures import verify
from ledger.state_tree import StateTree
from ledger.statements import entry_hash
from ledger.tree import leaf_hash, root_of

CITY = Consortium()
PROVIDER, CONSUMER, STRANGER = "health", "housing", "tourism"
PEOPLE = "residents"
DAY_MS = 86_400_000
FIELDS = ("district", "insured", "person")

Sent = Record | bytes


@cache
def _founded(city: Consortium) -> tuple[dict[bytes, bytes], dict[bytes, bytes], bytes]:
    state = genesis_state(city.genesis_file.genesis)
    update = StateTree(lambda _: None).update(state)
    return state, update.pages, update.root


def judged(sent: Sent) -> Candidate:
    """What was sent as a node hands it to the contracts: parsed, its signature checked."""
    parsed = candidate(sent if isinstance(sent, bytes) else sent.to_bytes())
    if parsed.record is None:
        return parsed
    record = parsed.record
    valid = verify(record.header.key, record.statement(), record.signature)
    return Candidate(record, "", signature_valid=valid)


class Ledger:
    """Genesis and every block so far.

    time_ms: of the last entry; each entry is a second after the one before unless it says when.
    """

    def __init__(self, city: Consortium = CITY) -> None:
        self.city = city
        state, pages, root = _founded(city)
        self.state, self.pages = dict(state), dict(pages)
        self.tree = StateTree(self.pages.get)
        self.tip = genesis_tip(city.genesis_file, state_root=root)
        self.time_ms = START_MS + 1_000
        self.entry_hash = city.ledger_id
        self.nonces: set[tuple[bytes, bytes]] = set()
        self.lists: dict[bytes, list[bytes]] = {}
        self.leaves: list[bytes] = []
        self.record_ids: list[bytes] = []
        self.signed = 0

    def fork(self) -> Self:
        """A ledger of the same blocks that goes its own way from here."""
        other = copy(self)
        other.state, other.pages = dict(self.state), dict(self.pages)
        other.tree = StateTree(other.pages.get)
        other.nonces = set(self.nonces)
        other.lists = {key: list(items) for key, items in self.lists.items()}
        other.leaves, other.record_ids = list(self.leaves), list(self.record_ids)
        return other

    def sign(self, department: str, kind: str, body: Any, **changes: Any) -> Record:
        """A record of the department, each with a nonce of its own, created at `time_ms`."""
        self.signed += 1
        nonce = sha256(b"nonce" + self.signed.to_bytes(8, "big")).digest()[:16]
        made = {"created_ms": self.time_ms, "nonce": nonce} | changes
        return self.city.record(department, kind, body, **made)

    def execute(
        self,
        *sent: Sent,
        time_ms: int | None = None,
        pruned: bool = False,
        step: Step | None = None,
    ) -> ExecutedBlock:
        """Appends the block of one entry. pruned: execute as an auditor without attachments."""
        self.time_ms = self.time_ms + 1_000 if time_ms is None else time_ms
        raw = tuple(each if isinstance(each, bytes) else each.to_bytes() for each in sent)
        entry = Entry(self.time_ms, step, raw)
        self.entry_hash = entry_hash(
            self.city.ledger_id,
            term=1,
            index=self.tip.height + 1,
            previous_hash=self.entry_hash,
            data=encode(entry),
        )
        candidates = [judged(each) for each in raw]
        if pruned:
            candidates = [without_items(each) for each in candidates]
        block = execute_entry(
            ledger_id=self.city.ledger_id,
            tip=self.tip,
            term=1,
            entry_hash=self.entry_hash,
            entry=entry,
            candidates=candidates,
            view=self.state,
            state_tree=self.tree,
            nonce_used=lambda key, nonce: (key, nonce) in self.nonces,
            attachments_may_be_missing=pruned,
        )
        self._append(block)
        return block

    def accept(self, *sent: Sent, time_ms: int | None = None) -> ExecutedBlock:
        """Appends a block whose every record is accepted."""
        block = self.execute(*sent, time_ms=time_ms)
        assert not block.refused, [each.refusal for each in block.refused]
        return block

    def codes(self, *sent: Sent, time_ms: int | None = None, pruned: bool = False) -> list[str]:
        """Appends a block; the codes of the refused records in order."""
        block = self.execute(*sent, time_ms=time_ms, pruned=pruned)
        return [each.refusal.code for each in block.refused]

    def verify(self) -> None:
        """Leaves, chain, state and lists are what the tip and the heads commit to."""
        assert self.tip.tree().root() == root_of([leaf_hash(leaf) for leaf in self.leaves])
        assert StateTree(lambda _: None).update(self.state).root == self.tip.state_root
        assert self.tree.root() == self.tip.state_root
        heads = {key for key in self.state if key.startswith(b"list/")}
        assert heads == set(self.lists)
        for key, items in self.lists.items():
            assert rebuilds(parse_list_head(self.state[key]), items)
        assert len(self.record_ids) == len(set(self.record_ids)) == len(self.nonces)
        for known in self.grants():
            limits, used = known.request.limits, known.used()
            assert not limits.exchanges_max or used.exchanges <= limits.exchanges_max
            assert not limits.rows_max or used.rows <= limits.rows_max
            assert not limits.size_bytes_max or used.size_bytes <= limits.size_bytes_max
            assert max(known.acknowledged, known.voided, known.sealed) <= known.exchanges
            assert known.opened <= min(known.sealed, known.acknowledged)

    def grants(self) -> list[Grant]:
        """Every grant, by id."""
        keys = sorted(key for key in self.state if key.startswith(b"grant/"))
        return [parse_grant(self.state[key]) for key in keys]

    def _append(self, block: ExecutedBlock) -> None:
        assert block.header.previous_hash == self.tip.block_hash
        assert block.tip.block_hash == block_hash(block.header_bytes)
        assert parse_block_header(block.header_bytes) == block.header
        assert block.header.tree_size == block.first_leaf_index == len(self.leaves)
        assert block.header.record_count == len(block.accepted)
        self.state.update(block.writes)
        self.pages.update(block.pages)
        for list_key, number, item in block.list_items:
            items = self.lists.setdefault(list_key, [])
            assert number == len(items)
            items.append(item)
        for record in block.accepted:
            self.nonces.add((record.header.key, record.header.nonce))
            self.record_ids.append(record.record_id)
            self.leaves.append(record.leaf_bytes)
        self.leaves.append(block.header_bytes)
        self.tip = block.tip


def without_items(each: Candidate) -> Candidate:
    """The candidate without the items that travelled beside its header."""
    record = each.record
    assert record is not None
    announced = record.header.attached
    if announced is None or announced.form == "document":
        return each
    return Candidate(
        msgspec.structs.replace(record, attached=None), "", signature_valid=each.signature_valid
    )


def description(
    names: Sequence[str] = FIELDS, subject: str | None = "person", **types: str
) -> bytes:
    """A dataset's document; types: of the fields that are not text, by name."""
    fields = tuple(Field(name, types.get(name, "text"), f"the {name}") for name in names)
    return encode(Description("Residents", "Everyone who lives in the city.", fields, subject))


def offer(name: str = PEOPLE, *, sharing: str = "conditional", **more: Any) -> DatasetOffer:
    """The body of a dataset's publication or change."""
    return DatasetOffer(name, "personal", sharing, authoritative=True, **more)


PURPOSE, LEGAL_BASIS = "dpv:ServiceProvision", "dpv:LegalObligation"


def wanted(**changes: Any) -> GrantRequest:
    """The body of a request for a grant, for a day, on two of the fields; 5 exchanges, 50 rows.

    changes: fields of the request, or of its limits.
    """
    limits = {"exchanges_max": 5, "rows_max": 50}
    names = Limits.__struct_fields__
    limits |= {name: changes.pop(name) for name in names if name in changes}
    asked = GrantRequest(
        provider=PROVIDER,
        dataset=PEOPLE,
        fields=("district", "person"),
        purpose=PURPOSE,
        description="allocate social housing",
        legal_basis=LEGAL_BASIS,
        legal_reference="Housing Act, section 12",
        valid_from_ms=START_MS,
        valid_until_ms=START_MS + DAY_MS,
        limits=Limits(**limits),
        onward=False,
    )
    return msgspec.structs.replace(asked, **changes)


def token(*parts: object) -> bytes:
    """32 bytes that stand for a digest or an id nobody looks into."""
    return sha256(repr(parts).encode()).digest()


def receipt(number: int, *, rows: int = 1) -> Receipt:
    """One exchange's receipt."""
    return Receipt(
        exchange_id=token("exchange", number),
        request=token("request", number),
        response=token("response", number),
        case=token("case", number),
        rows=rows,
        size_bytes=100 * rows,
        subjects=rows,
        subjects_root=token("subjects", number),
    )


Batches = Mapping[bytes, Sequence[Item]]
"""Items by grant; whatever the order here, lines are sorted by grant."""


def items_of(batches: Batches) -> tuple[bytes, ...]:
    """The attachment's items, grant by grant in the order of the lines."""
    return tuple(encode(item) for grant_id in sorted(batches) for item in batches[grant_id])


def lines_of(batches: Batches) -> tuple[Line, ...]:
    """One line for each grant."""
    return tuple(
        Line(grant_id, len(batches[grant_id]), items_root(items_of({grant_id: batches[grant_id]})))
        for grant_id in sorted(batches)
    )


def receipt_lines(
    batches: Mapping[bytes, Sequence[Receipt]], **right: Any
) -> tuple[ReceiptLine, ...]:
    """One line for each grant, with the rows and bytes that its receipts add up to.

    right: version, purpose, legal_basis or sealed, if not those of `wanted`.
    """
    sealed = right.pop("sealed", False)
    stated = {"version": 1, "purpose": PURPOSE, "legal_basis": LEGAL_BASIS} | right
    return tuple(
        ReceiptLine(
            line.grant_id,
            *stated.values(),
            line.count,
            sum(item.rows for item in batches[line.grant_id]),
            sum(item.size_bytes for item in batches[line.grant_id]),
            line.items_root,
            sealed,
        )
        for line in lines_of(batches)
    )


class Stage(Ledger):
    """A ledger on which PROVIDER offers PEOPLE and CONSUMER holds an approved grant, `grant_id`."""

    def __init__(self, city: Consortium = CITY) -> None:
        super().__init__(city)
        self.accept(self.publish())
        self.grant_id = self.granted()

    def publish(self, name: str = PEOPLE, *, sharing: str = "conditional", **more: Any) -> Record:
        """PROVIDER's offer of a dataset. more: further fields of the offer."""
        body = offer(name, sharing=sharing, **more)
        return self.sign(PROVIDER, "dataset.publish", body, document=description())

    def requested(self, **changes: Any) -> bytes:
        """Appends CONSUMER's request; the grant's id."""
        asked = self.sign(CONSUMER, "grant.request", wanted(**changes))
        self.accept(asked)
        return asked.record_id

    def granted(self, **changes: Any) -> bytes:
        """Appends a request and its approval; the grant's id."""
        grant_id = self.requested(**changes)
        self.accept(self.sign(PROVIDER, "grant.approve", GrantApprove(grant_id)))
        return grant_id

    def decide(self, department: str, word: str, grant_id: bytes | None = None) -> Record:
        """A decision on a grant: word is "suspend", "resume", "revoke" or "withdraw"."""
        body = GrantDecision(grant_id or self.grant_id, "as agreed")
        return self.sign(department, f"grant.{word}", body)

    def reply(self, department: str, word: str, grant_id: bytes, version: int = 1) -> Record:
        """What is said about a waiting version: "accept", "approve"; or "ask", "answer", "refuse",
        "retract" with words."""
        if word in ("accept", "approve"):
            return self.sign(department, f"grant.{word}", GrantApprove(grant_id, version))
        body = GrantReply(grant_id, "as agreed", version)
        return self.sign(department, f"grant.{word}", body)

    def receipts(
        self,
        count: int = 1,
        *,
        rows: int = 1,
        grant_id: bytes | None = None,
        department: str = PROVIDER,
        **right: Any,
    ) -> Record:
        """Receipts of `count` exchanges under one grant, each of so many rows."""
        made = [receipt(100 * self.signed + place, rows=rows) for place in range(count)]
        batches = {grant_id or self.grant_id: made}
        return self.receipts_for(batches, department=department, **right)

    def receipts_for(
        self,
        batches: Mapping[bytes, Sequence[Receipt]],
        *,
        department: str = PROVIDER,
        **right: Any,
    ) -> Record:
        """Receipts under several grants in one record. right: see `receipt_lines`."""
        body = Receipts(receipt_lines(batches, **right))
        return self.sign(department, "exchange.receipts", body, items=items_of(batches))

    def acknowledgements(
        self, count: int = 1, *, grant_id: bytes | None = None, department: str = CONSUMER
    ) -> Record:
        """The consumer's halves of `count` exchanges."""
        batches = {
            grant_id or self.grant_id: [
                Acknowledgement(token(place), token("record"), token("asked"), token("answered"))
                for place in range(count)
            ]
        }
        body = Acknowledgements(lines_of(batches))
        return self.sign(department, "exchange.acknowledgements", body, items=items_of(batches))

    def keys(
        self, count: int = 1, *, grant_id: bytes | None = None, department: str = PROVIDER
    ) -> Record:
        """The keys of `count` sealed exchanges."""
        batches = {
            grant_id or self.grant_id: [
                Key(token(place), token("record"), bytes(WRAPPED_BYTES)) for place in range(count)
            ]
        }
        body = Keys(lines_of(batches))
        return self.sign(department, "exchange.keys", body, items=items_of(batches))

    def sealed(self, **more: Any) -> bytes:
        """Appends a sensitive dataset and an approved grant on it; the grant's id."""
        body = DatasetOffer("illnesses", "sensitive", "conditional", authoritative=True, **more)
        self.accept(self.sign(PROVIDER, "dataset.publish", body, document=description()))
        return self.granted(dataset="illnesses")

    def voids(
        self, count: int = 1, *, grant_id: bytes | None = None, department: str = PROVIDER
    ) -> Record:
        """`count` receipts whose data did not go out."""
        batches = {
            grant_id or self.grant_id: [
                Void(token(place), token("record"), 0, "the line broke") for place in range(count)
            ]
        }
        body = Voids(lines_of(batches))
        return self.sign(department, "exchange.voids", body, items=items_of(batches))

    def denials(
        self, count: int = 1, *, grant_id: bytes | None = None, department: str = PROVIDER
    ) -> Record:
        """`count` requests that were not served."""
        batches = {
            grant_id or self.grant_id: [
                Denial(token(place), CONSUMER, token("asked"), "grant-revoked", 1)
                for place in range(count)
            ]
        }
        body = Denials(lines_of(batches))
        return self.sign(department, "exchange.denials", body, items=items_of(batches))

    def grant(self, grant_id: bytes | None = None) -> Grant:
        """The grant's state now."""
        return parse_grant(self.state[grant_key(grant_id or self.grant_id)])
