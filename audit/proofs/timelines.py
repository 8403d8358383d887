"""Whether records are a grant's whole timeline: nothing about it is left out, or was put in. Pure.

acts                 whoever asked, decided or changed something: the list `list/acts/` of ids
receipts             the list `list/receipts/`, and the exchanges that the grant counts
acknowledgements,    have no list, but the grant counts them, and each record counts at least
voids, keys,         one: records that are distinct, in the ledger, of the right author and add
denials              up to the count are all of them
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from audit.proofs.format import ProofRefused
from contracts.grants import Grant
from contracts.registry import CONTRACTS
from ledger.list_heads import ListHead, rebuilds
from ledger.records import Record

_COUNTED = ("acknowledgements", "voids", "keys", "denials")


def check_timeline(
    value: Grant, *, acts: ListHead, receipts: ListHead, records: Sequence[tuple[int, Record]]
) -> None:
    """Records, with their leaf indexes, are the whole timeline of the grant. Raises ProofRefused.

    value, acts, receipts: as the certified state has them. records: signed, of the tree.
    """
    indexes = [leaf_index for leaf_index, _ in records]
    if any(one >= other for one, other in pairwise(indexes)):
        raise ProofRefused("timeline", "its records do not stand in the order of the ledger")
    acted: list[bytes] = []
    receipted: list[bytes] = []
    totals = dict.fromkeys(_COUNTED, 0)
    exchanges = [0, 0, 0]
    for _, record in records:
        area, _, what = record.header.kind.partition(".")
        if area != "exchange":
            acted.append(record.record_id)
            continue
        number, line = line_about(value, record)
        if what == "receipts":
            receipted.append(record.record_id + number.to_bytes(2, "big"))
            more = (line.count, line.rows, line.size_bytes)
            exchanges = [count + each for count, each in zip(exchanges, more, strict=True)]
        else:
            totals[what] += line.count
    if not rebuilds(acts, acted):
        raise ProofRefused("timeline", "its acts are not the whole list that the state commits to")
    if not rebuilds(receipts, receipted):
        raise ProofRefused("timeline", "its receipts are not the whole list of the state")
    counted = (value.acknowledged, value.voided, value.opened, value.denied)
    if exchanges != [value.exchanges, value.rows, value.size_bytes] or (
        tuple(totals.values()) != counted
    ):
        raise ProofRefused("timeline", "its records do not add up to the grant's counts")


def line_about(value: Grant, record: Record) -> tuple[int, Any]:
    """A record's line about the grant, and its number from 0. Raises ProofRefused, Malformed.

    Who is not the grant's provider may deny in its name, and counts for nothing.
    """
    header = record.header
    known = CONTRACTS.get(header.kind)
    if known is None:
        raise ProofRefused("timeline", f"there is no kind of record {header.kind}")
    author = value.request.provider
    if header.kind == "exchange.acknowledgements":
        author = value.consumer
    if header.department == author:
        for number, line in enumerate(known.body.decode(bytes(header.body)).lines):
            if line.grant_id == value.grant_id:
                return number, line
    raise ProofRefused("timeline", f"record {record.record_id.hex()} says nothing of this grant")
