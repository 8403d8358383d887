"""What a provider releases: the head that opens the receipt, then the content in chunks."""

from typing import Annotated

from msgspec import Meta

from ledger.codec import Decoder, Format
from ledger.types import Hash, Natural

CHUNK_BYTES = 256 * 1024
"""Content bytes in one chunk of a release."""

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""Limit of a whole answer, in bytes."""

Value = str | int | bool | None


class Answer(Format, frozen=True):
    """The content of an exchange: rows of the asked fields, in the order asked."""

    fields: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


class ReleaseHead(Format, frozen=True):
    """First chunk of a release. item: the receipt's bytes in the attachment of receipt_record."""

    receipt_record: Hash
    item: Annotated[bytes, Meta(max_length=4096)]
    response_blinding: Hash
    size_bytes: Natural


ANSWER: Decoder[Answer] = Decoder(Answer, what="answer", bytes_max=ANSWER_BYTES_MAX)
RELEASE_HEAD: Decoder[ReleaseHead] = Decoder(ReleaseHead, what="release", bytes_max=8192)
