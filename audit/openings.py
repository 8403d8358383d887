"""What a provider shows of its own exchanges: one JSON object a line, an *opening* each.

A receipt commits to whom it is about (a root over salted tags) and to what was asked (a commitment
to fields and query). An opening shows the tags, and, where the auditor may see people's
identifiers, the query with the salts of those it names. Tags name nobody: they only tell whether
two exchanges under one grant were about the same person. Any exchange can write this form, a
node's or a department's own (docs/FORMATS.md, "Openings").
"""

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from audit.proofs.format import HexId, Json
from ledger.errors import Malformed

OPENING_BYTES_MAX = 16 * 1024 * 1024
"""Limit of one line, in bytes."""


class Asked(Json, frozen=True):
    """What was asked, as its commitment has it. salts: by identifier, of subjects that the query
    names and that were answered about."""

    fields: list[str]
    query: str
    request_blinding: HexId
    salts: dict[str, HexId]


class Opening(Json, frozen=True):
    """One exchange of the provider that shows it. tags: each once, in the order of the rows."""

    exchange_id: HexId
    grant_id: HexId
    tags: list[Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]]
    asked: Asked | None = None

    def to_line(self) -> bytes:
        """The opening as a line, its end included."""
        return msgspec.json.encode(self) + b"\n"


_OPENING = msgspec.json.Decoder(Opening)


def parse_opening(line: bytes) -> Opening:
    """An opening from its line. Raises Malformed."""
    if len(line) > OPENING_BYTES_MAX:
        raise Malformed("opening", f"more than {OPENING_BYTES_MAX} bytes in a line")
    try:
        return _OPENING.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("opening", str(error)) from None


def parse_openings(lines: Iterable[bytes]) -> Iterator[Opening]:
    """Openings from their lines; empty ones are passed over. Raises Malformed, with the line."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield parse_opening(line)
        except Malformed as error:
            raise Malformed("opening", f"line {number}: {error.why}") from None
