"""COSE receipts (RFC 9942): a node's signature on a root, and a record's way to it, in CBOR.

    18([ protected: {alg: EdDSA, kid: publication key, vds 395: RFC9162_SHA256},
         {vdp 396: {inclusion -1: [ [tree size, leaf index, path] ]}},
         nil, signature ])

The payload is detached: it is the root that the path leads to from the record's leaf, which whoever
checks a receipt brings (RFC 9942 §5.2). One node signs it, with the publication key that genesis or
the ledger names: a receipt is that node's word and no certificate.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cbor2

from ledger.errors import BadSignature, LedgerError, Malformed
from ledger.proofs import root_from_inclusion
from ledger.signatures import verify
from ledger.tree import leaf_hash
from ledger.types import LeafIndex, PublicKey, TreeSize

MEDIA_TYPE = "application/cose"

RECEIPT_BYTES_MAX = 16 * 1024
"""Limit of a receipt, in bytes."""

_SIGN1_TAG = 18
_ALGORITHM, _KEY_ID, _STRUCTURE, _PROOFS, _INCLUSION = 1, 4, 395, 396, -1
_EDDSA, _RFC9162_SHA256 = -8, 1


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a receipt shows: key signed the root of a tree that holds the leaf at leaf_index.

    tree_size: as the receipt says; RFC 9942 signs the root alone, and trees of several sizes may
    have paths of one shape.
    """

    key: PublicKey
    leaf_index: int
    tree_size: int
    root: bytes


def make_receipt(
    sign: Callable[[bytes], bytes],
    *,
    key: PublicKey,
    leaf_index: int,
    tree_size: int,
    path: tuple[bytes, ...],
    root: bytes,
) -> bytes:
    """A receipt; sign: by `key`, over the root that the path leads to."""
    protected = cbor2.dumps(
        {_ALGORITHM: _EDDSA, _KEY_ID: key, _STRUCTURE: _RFC9162_SHA256}, canonical=True
    )
    inclusion = cbor2.dumps([tree_size, leaf_index, list(path)], canonical=True)
    content = [
        protected,
        {_PROOFS: {_INCLUSION: [inclusion]}},
        None,
        sign(_signed(protected, root)),
    ]
    return cbor2.dumps(cbor2.CBORTag(_SIGN1_TAG, content), canonical=True)


def check_receipt(receipt: bytes, leaf: bytes) -> Vouched:
    """Whose word on the record with this leaf the receipt is. Raises Malformed, BadSignature.

    Whether the key is a node's is for the caller to say.
    """
    if len(receipt) > RECEIPT_BYTES_MAX:
        raise Malformed(
            "COSE receipt", f"{len(receipt)} bytes, at most {RECEIPT_BYTES_MAX} allowed"
        )
    try:
        tag = cbor2.loads(receipt)
        assert isinstance(tag, cbor2.CBORTag) and tag.tag == _SIGN1_TAG
        protected, unprotected, payload, signature = tag.value
        headers = cbor2.loads(protected)
        (inclusion,) = unprotected[_PROOFS][_INCLUSION]
        tree_size, leaf_index, path = cbor2.loads(inclusion)
        key = headers[_KEY_ID]
        root = root_from_inclusion(
            leaf_hash=leaf_hash(leaf),
            leaf_index=LeafIndex(leaf_index),
            tree_size=TreeSize(tree_size),
            proof=path,
        )
        wanted = make_receipt(
            lambda _: signature,
            key=key,
            leaf_index=leaf_index,
            tree_size=tree_size,
            path=tuple(path),
            root=root,
        )
    except LedgerError:
        raise
    except (cbor2.CBORError, AssertionError, LookupError, TypeError, ValueError, OverflowError):
        raise Malformed("COSE receipt", "it is none of this kind") from None
    if payload is not None or wanted != receipt:
        raise Malformed("COSE receipt", "it is not the one accepted spelling")
    if not verify(key, _signed(protected, root), signature):
        raise BadSignature("COSE receipt", "its signature does not fit this record")
    return Vouched(key, leaf_index, tree_size, root)


def _signed(protected: bytes, root: bytes) -> bytes:
    """Sig_structure of RFC 9052 §4.4, with the root as the detached payload."""
    return cbor2.dumps(["Signature1", protected, b"", root], canonical=True)
