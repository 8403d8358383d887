"""What travels beside a record's header: ordered items, or one document.

An attachment is a list of items under an RFC 6962 root, so that a single receipt of a batch can be
proved alone. It may be pruned or withheld later and is never input of a contract. A document is
content-addressed and never pruned; contracts may read it. Nodes check either against the header
when the record is executed; auditors check again wherever the bytes are still held.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

from msgspec import Meta

from ledger.codec import Decoder, encode
from ledger.errors import Malformed
from ledger.records import ATTACHED_BYTES_MAX, DOCUMENT_BYTES_MAX, Attached
from ledger.tree import root_of

ITEMS_MAX = 10_000
"""Limit of the items in one attachment."""

ITEM_BYTES_MAX = 4096
"""Limit of one item, in bytes."""

Items = Annotated[
    tuple[Annotated[bytes, Meta(max_length=ITEM_BYTES_MAX)], ...],
    Meta(min_length=1, max_length=ITEMS_MAX),
]

_ITEMS: Decoder[tuple[bytes, ...]] = Decoder(Items, what="attachment", bytes_max=ATTACHED_BYTES_MAX)


def items_root(items: Sequence[bytes]) -> bytes:
    """The RFC 6962 root over `items` in their order, 32 bytes."""
    return root_of([sha256(b"\x00" + item).digest() for item in items])  # `leaf_hash`, inlined


def attach_items(items: Sequence[bytes]) -> tuple[Attached, bytes]:
    """An attachment's description for the header, and its bytes."""
    data = encode(tuple(items))
    _ITEMS.decode(data)
    attached = Attached(
        form="items", digest=items_root(items), count=len(items), size_bytes=len(data)
    )
    return attached, data


def attach_document(document: bytes) -> tuple[Attached, bytes]:
    """A document's description for the header, and its bytes. Raises Malformed if too long."""
    if len(document) > DOCUMENT_BYTES_MAX:
        raise Malformed("document", f"{len(document)} bytes, at most {DOCUMENT_BYTES_MAX} allowed")
    digest = sha256(document).digest()
    return Attached(form="document", digest=digest, count=1, size_bytes=len(document)), document


def parse_items(data: bytes) -> tuple[bytes, ...]:
    """An attachment's items in order. Raises Malformed."""
    return _ITEMS.decode(data)


def attached_fault(attached: Attached, data: bytes) -> str | None:
    """What differs between the header's words and the attached bytes; None if nothing does."""
    if len(data) != attached.size_bytes:
        return f"the header announces {attached.size_bytes} bytes, {len(data)} came"
    if attached.form == "document":
        if attached.count != 1 or len(data) > DOCUMENT_BYTES_MAX:
            return f"a document counts as 1 and has at most {DOCUMENT_BYTES_MAX} bytes"
        return None if sha256(data).digest() == attached.digest else "the document's digest differs"
    try:
        items = parse_items(data)
    except Malformed as error:
        return str(error)
    if len(items) != attached.count:
        return f"the header announces {attached.count} items, {len(items)} came"
    return None if items_root(items) == attached.digest else "the items' root differs"
