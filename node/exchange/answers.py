"""What a provider releases: the head that opens the receipt, then the content in chunks.

Each chunk is an Answer of its own, so that neither side ever holds more than a chunk of a result.
The receipt's response commitment is to the RFC 6962 root over the chunks, whose leaf hashes are in
the head: a chunk is checked as it comes, and a broken release goes on with the chunk that is next.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

from msgspec import Meta

from ledger.codec import Decoder, Format, encode
from ledger.types import Hash, Natural
from node.exchange.spool import CHUNKS_MAX

CHUNK_BYTES = 256 * 1024
"""Content bytes after which a chunk ends, at the next row."""

CHUNK_BYTES_MAX = 4 * 1024 * 1024
"""Limit of one chunk, and so of one row, in bytes."""

HEAD_BYTES_MAX = 8_192 + 34 * CHUNKS_MAX

Value = str | int | bool | None
Row = tuple[Value, ...]


class Answer(Format, frozen=True):
    """A chunk of an exchange's content: rows of the asked fields, in the order asked."""

    fields: tuple[str, ...]
    rows: tuple[Row, ...]


class ReleaseHead(Format, frozen=True):
    """First chunk of a release. item: the receipt's bytes in the attachment of receipt_record.
    hashes: the leaf hashes of all chunks, as sent. next_offset: where the next window of rows
    begins, if there are more than one exchange may carry."""

    receipt_record: Hash
    item: Annotated[bytes, Meta(max_length=4096)]
    response_blinding: Hash
    hashes: Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=CHUNKS_MAX)]
    next_offset: Natural | None


class Resume(Format, frozen=True):
    """Body of the RPC `resume`: the release broke off, and goes on with chunk `number`."""

    exchange_id: Hash
    number: Natural


class KeyWanted(Format, frozen=True):
    """Body of the RPC `key`: the sealed content has come, as the consumer's record says."""

    exchange_id: Hash
    acknowledgement_record: Hash


ANSWER: Decoder[Answer] = Decoder(Answer, what="answer", bytes_max=CHUNK_BYTES_MAX)
RELEASE_HEAD: Decoder[ReleaseHead] = Decoder(ReleaseHead, what="release", bytes_max=HEAD_BYTES_MAX)
RESUME: Decoder[Resume] = Decoder(Resume, what="resumption", bytes_max=256)
KEY_WANTED: Decoder[KeyWanted] = Decoder(KeyWanted, what="wish for a key", bytes_max=256)


def chunks_of(fields: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    """Rows in chunks, as they come; without rows there is one empty chunk."""
    names = tuple(fields)
    gathered: list[Row] = []
    size = 0
    empty = True
    for row in rows:
        gathered.append(row)
        size += row_bytes(row)
        if size >= CHUNK_BYTES:
            yield encode(Answer(names, tuple(gathered)))
            gathered, size, empty = [], 0, False
    if gathered or empty:
        yield encode(Answer(names, tuple(gathered)))


def row_bytes(row: Row) -> int:
    """About how many bytes a row takes."""
    return sum(len(value.encode()) + 3 if isinstance(value, str) else 9 for value in row)
