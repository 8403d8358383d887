"""Records: a signed header, and optionally something attached.

    header    = [version, ledger id, kind, department, actor, key, created, valid until, nonce,
                 body, attached]                                       at most 4 KiB
    leaf      = [1, header bytes, signature]                            the Merkle leaf
    record    = [leaf bytes, attached bytes or nil]                     what travels
    record id = SHA-256(header bytes)

The leaf alone is in the tree; what is attached is bound to it by digest (`ledger.attachments`), so
it can be withheld or pruned later while every proof still holds. The signature is by the record key
that the header itself names, so whether it is *right* depends on the bytes alone, and whether the
key *counts* is for the contracts to say from the state just before the record.
"""

from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ledger.codec import Decoder, Format, encode
from ledger.errors import Malformed
from ledger.statements import record_statement
from ledger.types import Hash, Identifier, Natural, PublicKey, Signature

HEADER_BYTES_MAX = 4096
"""Limit of a record header, in bytes."""

LEAF_BYTES_MAX = HEADER_BYTES_MAX + 80
"""Limit of a leaf, in bytes: the header, its signature and their framing."""

ATTACHED_BYTES_MAX = 4 * 1024 * 1024
"""Limit of an attachment, in bytes."""

DOCUMENT_BYTES_MAX = 256 * 1024
"""Limit of a document, in bytes."""

RECORD_BYTES_MAX = LEAF_BYTES_MAX + ATTACHED_BYTES_MAX + 16
"""Limit of a whole record, in bytes."""

Nonce = Annotated[bytes, Meta(min_length=16, max_length=16)]
Kind = Annotated[str, Meta(pattern=r"\A[a-z][a-z-]{0,30}\.[a-z][a-z-]{0,30}\Z")]
Actor = Annotated[str, Meta(min_length=1, max_length=128)]


class Attached(Format, frozen=True):
    """What the header says of the bytes that travel beside it.

    form: "items" (an attachment: ordered items under an RFC 6962 root) or "document".
    digest: the items' RFC 6962 root, or the document's SHA-256; 32 bytes.
    count: number of items, ≥ 1; 1 for a document.
    size_bytes: length of the attached bytes.
    """

    form: Literal["items", "document"]
    digest: Hash
    count: Natural
    size_bytes: Natural


class RecordHeader(Format, frozen=True):
    """What an author signs. `ledger.records` gives the whole record's layout.

    actor: the acting person or app, pseudonymous: what it stands for, only the department knows.
    key: the Ed25519 record key that signs, and its own identifier.
    created_ms, valid_until_ms: Unix time in milliseconds.
    body: the kind's own format (`contracts.bodies`), as the bytes of one MessagePack value.
    """

    version: Literal[1]
    ledger_id: Hash
    kind: Kind
    department: Identifier
    actor: Actor
    key: PublicKey
    created_ms: Natural
    valid_until_ms: Natural
    nonce: Nonce
    body: msgspec.Raw
    attached: Attached | None


class _RereadHeader(RecordHeader, frozen=True):
    """A header whose bytes were accepted before: its names are not matched again, which takes
    twice as long as all the rest."""

    kind: str
    department: str


class RecordLeaf(Format, frozen=True, tag=1):
    """A signed header: the Merkle leaf of a record."""

    header: Annotated[bytes, Meta(max_length=HEADER_BYTES_MAX)]
    signature: Signature


class _Envelope(Format, frozen=True):
    leaf: Annotated[bytes, Meta(max_length=LEAF_BYTES_MAX)]
    attached: Annotated[bytes, Meta(max_length=ATTACHED_BYTES_MAX)] | None


_HEADER: Decoder[RecordHeader] = Decoder(
    RecordHeader, what="record header", bytes_max=HEADER_BYTES_MAX
)
_REREAD: Decoder[_RereadHeader] = Decoder(
    _RereadHeader, what="record header", bytes_max=HEADER_BYTES_MAX
)
_LEAF: Decoder[RecordLeaf] = Decoder(RecordLeaf, what="record leaf", bytes_max=LEAF_BYTES_MAX)
_ENVELOPE: Decoder[_Envelope] = Decoder(_Envelope, what="record", bytes_max=RECORD_BYTES_MAX)


class Record(msgspec.Struct, frozen=True, gc=False):
    """A parsed record, with the very bytes it came in.

    leaf_bytes: the Merkle leaf's data. header_bytes: what `record_id` hashes.
    attached: the attached bytes, or None where nothing travelled with the header.
    """

    header: RecordHeader
    signature: bytes
    leaf_bytes: bytes
    header_bytes: bytes
    record_id: bytes
    attached: bytes | None

    def statement(self) -> bytes:
        """The preimage of the author's signature."""
        return record_statement(self.header.ledger_id, self.header_bytes)

    def to_bytes(self) -> bytes:
        """The whole record as it travels."""
        return record_bytes(self.leaf_bytes, self.attached)


def parse_record(data: bytes) -> Record:
    """A record from its bytes; the signature and what is attached are not checked here.

    Raises Malformed if any layer is not the one accepted spelling of its format.
    """
    envelope = _ENVELOPE.decode(data)
    return _record(envelope.leaf, envelope.attached)


def record_bytes(leaf_bytes: bytes, attached: bytes | None) -> bytes:
    """A whole record as it travels, from its Merkle leaf and what is attached to it."""
    return encode(_Envelope(leaf_bytes, attached))


def parse_leaf(leaf_bytes: bytes) -> Record:
    """A record from its Merkle leaf alone, with nothing attached. Raises Malformed."""
    return _record(leaf_bytes, None)


def record_of_leaf(leaf: RecordLeaf, leaf_bytes: bytes) -> Record:
    """A record from its leaf, decoded from `leaf_bytes` before. Raises Malformed."""
    return _made(leaf, leaf_bytes, None)


def reread_record(
    leaf: RecordLeaf, leaf_bytes: bytes, record_id: bytes, attached: bytes | None
) -> Record:
    """The record that `record_of_leaf` made of the same bytes before; nothing is checked again.

    record_id: as it was then. attached: what was found to be the record's, None if nothing is held.
    """
    return Record(
        header=_REREAD.reread(leaf.header),
        signature=leaf.signature,
        leaf_bytes=leaf_bytes,
        header_bytes=leaf.header,
        record_id=record_id,
        attached=attached,
    )


def _record(leaf_bytes: bytes, attached: bytes | None) -> Record:
    return _made(_LEAF.decode(leaf_bytes), leaf_bytes, attached)


def _made(leaf: RecordLeaf, leaf_bytes: bytes, attached: bytes | None) -> Record:
    header = _HEADER.decode(leaf.header)
    if attached is not None and header.attached is None:
        raise Malformed("record", "bytes are attached that its header does not announce")
    return Record(
        header=header,
        signature=leaf.signature,
        leaf_bytes=leaf_bytes,
        header_bytes=leaf.header,
        record_id=sha256(leaf.header).digest(),
        attached=attached,
    )


def assemble_record(
    header: RecordHeader, signature: bytes, *, attached: bytes | None = None
) -> Record:
    """The record of a header and its author's signature over `record_statement`."""
    header_bytes = encode(header)
    return _record(encode(RecordLeaf(header_bytes, signature)), attached)
