"""Documents of the whole consortium: its calendar and its vocabulary.

Any department may publish a document, which is checked and kept as its candidate; its next one
replaces it. A proposal (`contracts.membership.AdoptDocument`) puts a candidate in force. What the
state keeps is what contracts read: the calendar, or the names of the terms.
"""

from hashlib import sha256
from typing import Literal

from contracts.calendars import parse_calendar
from contracts.context import Context
from contracts.refusals import Refusal
from contracts.state import candidate_key, in_force_key
from contracts.vocabularies import parse_vocabulary, terms_of
from ledger.codec import Decoder, Format, encode
from ledger.errors import Malformed
from ledger.records import DOCUMENT_BYTES_MAX
from ledger.types import Hash, Identifier

DocumentKind = Literal["calendar", "vocabulary"]


class DocumentPublish(Format, frozen=True):
    """Body of `document.publish`, with the document; the author is any department."""

    kind: DocumentKind


class CandidateDocument(Format, frozen=True):
    """A department's newest document of a kind. content: what would be in force."""

    document: Hash
    content: bytes


_CANDIDATE: Decoder[CandidateDocument] = Decoder(
    CandidateDocument, what="candidate", bytes_max=DOCUMENT_BYTES_MAX + 64
)


def publish(context: Context, body: DocumentPublish) -> Refusal | None:
    """A department puts a document forward."""
    assert context.document is not None, "the kind wants a document"
    try:
        if body.kind == "calendar":
            content = encode(parse_calendar(context.document))
        else:
            content = encode(terms_of(parse_vocabulary(context.document)))
    except Malformed as error:
        return Refusal("invalid-document", str(error))
    candidate = CandidateDocument(sha256(context.document).digest(), content)
    context.state.put(candidate_key(body.kind, context.department), encode(candidate))
    return None


def adopt(
    context: Context, kind: DocumentKind, publisher: Identifier, document: bytes
) -> Refusal | None:
    """Puts a candidate in force; it has to be the very document that was proposed."""
    value = context.state.get(candidate_key(kind, publisher))
    candidate = None if value is None else _CANDIDATE.decode(value)
    if candidate is None or candidate.document != document:
        return Refusal("unknown-document", f"{publisher} put forward no {kind} {document.hex()}")
    if context.state.get(in_force_key(kind)) == candidate.content:
        return Refusal("nothing-to-change", f"this {kind} is in force")
    context.state.put(in_force_key(kind), candidate.content)
    return None
