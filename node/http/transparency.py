"""The ledger for public transparency-log tools: C2SP tlog-tiles, and COSE receipts (RFC 9942).

Everything is as of the newest certificate. The node adds a log signature by its own publication
key to the note, so that stock tools can read *this node's* claim; only the certificate is the
ledger's.
"""

import base64
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from audit.cose import MEDIA_TYPE, make_receipt
from audit.signed import show_proposal
from ledger import store_keys
from ledger.certificates import Certificate
from ledger.codec import encode
from ledger.errors import Malformed
from ledger.tiles import (
    LEVELS_MAX,
    TILE_HEIGHT,
    TILE_WIDTH,
    encode_entries,
    parse_index_path,
)
from ledger.tree import consistency_proof, inclusion_proof
from ledger.types import LeafIndex, TreeSize
from node.http.access import Auditor, Reader, ServiceDep
from node.http.models import ConsistencyView, Hex32
from node.http.problems import Problem
from node.http.reading import snapshot_of
from node.service import Service
from node.stored_tree import stored_leaf, stored_nodes

router = APIRouter(tags=["transparency"])
tlog_router = APIRouter(tags=["transparency"])

BYTES_TYPE = "application/octet-stream"
PAGE_BYTES_MAX = 8 * 1024 * 1024
"""Bytes of the store that are read for one page of statements."""

_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}


@tlog_router.get("/checkpoint", response_class=Response)
def log_checkpoint(service: ServiceDep, _: Reader) -> Response:
    """The newest certificate as a note that also this node's publication key has signed.

    Where witnesses are configured: the newest that one of them cosigned, unless that is too old.
    """
    note = service.witnessed.shown(_certified(service))
    return Response(
        note.to_bytes(),
        media_type="text/plain; charset=utf-8",
        headers={"Cache-Control": "no-store"},
    )


IndexPath = Annotated[str, Path(max_length=100, description="<index>[.p/<width>]")]


@tlog_router.get("/tile/entries/{index:path}", response_class=Response)
def log_entries(service: ServiceDep, _: Reader, index: IndexPath) -> Response:
    """Leaves, 256 to a full tile, each behind its length."""
    first, width = _place(service, 0, index)
    with snapshot_of(service) as view:
        found = [stored_leaf(view.reader, at) for at in range(first, first + width)]
    return Response(encode_entries(found), media_type=BYTES_TYPE, headers=_FOR_EVER)


@tlog_router.get("/tile/{level}/{index:path}", response_class=Response)
def log_tile(
    service: ServiceDep,
    _: Reader,
    level: Annotated[int, Path(ge=0, lt=LEVELS_MAX)],
    index: IndexPath,
) -> Response:
    """Hashes of a level, 256 to a full tile."""
    first, width = _place(service, level, index)
    with snapshot_of(service) as view:
        nodes = stored_nodes(
            view.reader, TreeSize((first + width) << (TILE_HEIGHT * level)), service.node.tile_roots
        )
        hashes = [nodes(TILE_HEIGHT * level, at) for at in range(first, first + width)]
    return Response(b"".join(hashes), media_type=BYTES_TYPE, headers=_FOR_EVER)


def _place(service: Service, level: int, path: str) -> tuple[int, int]:
    """The first hash or leaf of a tile and how many, within the certified tree. Raises Problem."""
    place, partial, text = path.partition(".p/")
    try:
        index = parse_index_path(place)
        width = int(text) if partial else TILE_WIDTH
    except (Malformed, ValueError):
        raise Problem("not-found", f"{path} names no tile") from None
    if (partial and str(width) != text) or not 0 < width <= TILE_WIDTH - bool(partial):
        raise Problem("not-found", f"{path} names no tile")
    first = index * TILE_WIDTH
    if first + width > _certified(service).tree_size >> (TILE_HEIGHT * level):
        raise Problem("not-found", f"the certified tree has no tile {path} at level {level}")
    return first, width


@router.get("/ledger/consistency")
def consistency(
    service: ServiceDep,
    _: Reader,
    old: Annotated[int, Query(ge=1, lt=2**63)],
    new: Annotated[int, Query(ge=1, lt=2**63)],
) -> ConsistencyView:
    """The proof that the tree of `old` leaves is a prefix of that of `new` (RFC 9162 §2.1.4)."""
    size = _certified(service).tree_size
    if not old <= new <= size:
        raise Problem("not-found", f"old ≤ new ≤ {size}, the certified size, is not so")
    with snapshot_of(service) as view:
        nodes = stored_nodes(view.reader, TreeSize(new), service.node.tile_roots)
        proof = consistency_proof(nodes, old_size=TreeSize(old), new_size=TreeSize(new))
    hashes = [base64.b64encode(digest).decode("ascii") for digest in proof]
    return ConsistencyView(old_size=old, new_size=new, hashes=hashes)


@router.get("/ledger/statements", response_class=Response)
def statements(
    service: ServiceDep,
    _: Auditor,
    after: Annotated[str, Query(pattern=r"^([0-9a-f]{2}){0,64}$")] = "",
) -> Response:
    """What nodes have signed beside certificates: MessagePack pairs of stored keys and values.

    This node's own newest signatures, its evidence against others, and the proposals in its Raft
    log, without their entries. The header `Concordat-Next` names the next `after`; empty: the end.
    """
    pairs: list[tuple[bytes, bytes]] = []
    size = 0
    start = bytes.fromhex(after)
    with snapshot_of(service) as view:
        for prefix in (store_keys.ENTRY, store_keys.OWN_SIGNATURE, store_keys.EVIDENCE):
            first = max(prefix, start + b"\x00" if start else prefix)
            before = view.reader.get(start) if start[:1] == store_keys.ENTRY == prefix else None
            for key, stored in view.reader.scan(first, bytes([prefix[0] + 1])):
                value: bytes | None = stored
                if prefix == store_keys.ENTRY:
                    value = show_proposal(stored, before, service.node.ledger_id)
                    before = stored
                if value is not None:
                    pairs.append((key, value))
                size += len(stored)
                if size > PAGE_BYTES_MAX:
                    return _page_of(pairs, key.hex())
    return _page_of(pairs, "")


def _page_of(pairs: list[tuple[bytes, bytes]], following: str) -> Response:
    return Response(encode(pairs), media_type=BYTES_TYPE, headers={"Concordat-Next": following})


@router.get("/records/{record_id}/receipt", response_class=Response)
def cose_receipt(service: ServiceDep, _: Reader, record_id: Annotated[Hex32, Path()]) -> Response:
    """A COSE receipt (RFC 9942) by this node's publication key: the record is in the ledger."""
    certificate = _certified(service)
    with snapshot_of(service) as view:
        place = view.reader.get(store_keys.record_key(bytes.fromhex(record_id)))
        index = None if place is None else store_keys.read_number(place[:8])
        if index is None or index >= certificate.tree_size:
            raise Problem("not-found", f"there is no certified record {record_id}")
        size = TreeSize(certificate.tree_size)
        nodes = stored_nodes(view.reader, size, service.node.tile_roots)
        path = inclusion_proof(nodes, leaf_index=LeafIndex(index), tree_size=size)
    identity = service.node.identity
    receipt = make_receipt(
        identity.sign_publication,
        key=identity.publication_key,
        leaf_index=index,
        tree_size=size,
        path=path,
        root=certificate.root,
    )
    return Response(receipt, media_type=MEDIA_TYPE)


def _certified(service: Service) -> Certificate:
    certificate = service.node.certificate
    if certificate is None:
        raise Problem("not-found", "nothing is certified yet")
    return certificate
