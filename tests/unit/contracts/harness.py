"""A ledger in memory for the contracts' tests: it executes entries and checks itself.

`Ledger` holds what a node derives from blocks (state, pages of its tree, nonces, lists, leaves) in
dicts and executes entries with `contracts.machine.execute_entry`, signatures checked. `verify`
proves the whole of it again from its leaves and values. `Stage` is a ledger on which a dataset is
published and a grant on it approved; its methods make the bodies that tests send.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

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
    Line,
    Receipt,
    ReceiptLine,
    Receipts,
    Void,
    Voids,
)
from contracts.grants import Grant, GrantApprove, GrantRequest, parse_grant
from contracts.machine import Candidate, ExecutedBlock, candidate, execute_entry, genesis_tip
from ledger.attachments import items_root
from ledger.blocks import block_hash, parse_block_header
from ledger.codec import encode
from ledger.entries import Entry
from ledger.list_heads import EMPTY_LIST, parse_list_head, rebuilds
from ledger.records import Record
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

    def fork(self) -> "Ledger":
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
        self, *sent: Sent, time_ms: int | None = None, pruned: bool = False
    ) -> ExecutedBlock:
        """Appends the block of one entry. pruned: execute as an auditor without attachments."""
        self.time_ms = self.time_ms + 1_000 if time_ms is None else time_ms
        raw = tuple(each if isinstance(each, bytes) else each.to_bytes() for each in sent)
        entry = Entry(self.time_ms, None, raw)
        self.entry_hash = entry_hash(
            self.city.ledger_id,
            term=1,
            index=self.tip.height + 1,
            previous_hash=self.entry_hash,
            data=encode(entry),
        )
        candidates = [judged(each) for each in raw]
        if pruned:
            candidates = [msgspec_pruned(each) for each in candidates]
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
            asked = known.request
            assert not asked.exchanges_max or known.exchanges <= asked.exchanges_max
            assert not asked.rows_max or known.rows <= asked.rows_max
            assert max(known.acknowledged, known.voided) <= known.exchanges

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


def msgspec_pruned(each: Candidate) -> Candidate:
    """The candidate without the items that travelled beside its header."""
    record = each.record
    assert record is not None
    announced = record.header.attached
    if announced is None or announced.form == "document":
        return each
    bare = Record(
        record.header,
        record.signature,
        record.leaf_bytes,
        record.header_bytes,
        record.record_id,
        None,
    )
    return Candidate(bare, "", signature_valid=each.signature_valid)
