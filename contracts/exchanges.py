"""Exchanges: receipts, acknowledgements, denials and voids, a batch of them in one record.

The header has one line for each grant: counts and the RFC 6962 root of that grant's items. The
items travel as the attachment, grant by grant in the order of the lines. A receipt is checked
against its grant *where it stands in the ledger*: one that is ordered after the revocation is
refused, whatever its author knew (promise P2). A record is accepted whole or not at all.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contracts.catalog import dataset
from contracts.context import Context
from contracts.grants import Grant, exhausted, grant, put_grant, standing
from contracts.limits import Counts
from contracts.refusals import Refusal
from contracts.state import View, receipts_list
from contracts.vocabularies import TermName
from ledger.attachments import items_root
from ledger.codec import Decoder, Format
from ledger.records import Attached
from ledger.sealing import WRAPPED_BYTES
from ledger.types import Hash, Identifier, Natural, PublicKey, Signature

LINES_MAX = 16
"""Limit of the lines, and so of the grants, in one record."""

QUERY_BYTES_MAX = 64 * 1024
"""Limit of a query, in bytes of JSON."""

TOTAL_MAX = 2**62
"""Limit of a grant's rows, and of its bytes, over its whole life."""

Count = Annotated[int, Meta(ge=1, le=10_000)]


class ReceiptLine(Format, frozen=True):
    """What was exchanged under one grant: exchanges, rows, bytes of content, root of the items.

    version, purpose, legal_basis: of the grant, as each of these exchanges was made under them.
    sealed: whether their content is sealed, all of it or none.
    """

    grant_id: Hash
    version: Natural
    purpose: TermName
    legal_basis: TermName
    count: Count
    rows: Natural
    size_bytes: Natural
    items_root: Hash
    sealed: bool = False


class Line(Format, frozen=True):
    """Acknowledgements, keys, voids or denials under one grant."""

    grant_id: Hash
    count: Count
    items_root: Hash


class Receipts(Format, frozen=True):
    """Body of `exchange.receipts`; the author is the provider."""

    lines: Annotated[tuple[ReceiptLine, ...], Meta(min_length=1, max_length=LINES_MAX)]


class Acknowledgements(Format, frozen=True):
    """Body of `exchange.acknowledgements`; the author is the consumer."""

    lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=LINES_MAX)]


class Keys(Format, frozen=True):
    """Body of `exchange.keys`; the author is the provider: the keys of sealed exchanges."""

    lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=LINES_MAX)]


class Voids(Format, frozen=True):
    """Body of `exchange.voids`; the author is the provider: receipts whose data did not go out."""

    lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=LINES_MAX)]


class Denials(Format, frozen=True):
    """Body of `exchange.denials`; the author is the provider. The grants need not exist."""

    lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=LINES_MAX)]


class Receipt(Format, frozen=True, tag=1):
    """One exchange, as its provider attests it; an item of the attachment.

    exchange_id: 32 random bytes of the consumer. request, response, case: commitments
    (`ledger.commitments`). subjects: how many persons, subjects_root: RFC 6962 root of their tags
    in order of the rows, each once; zero bytes if the dataset names no subject. key_commitment: of
    a sealed exchange, to the content key (`ledger.sealing`); its response is then to the root over
    the sealed chunks.
    """

    exchange_id: Hash
    request: Hash
    response: Hash
    case: Hash
    rows: Natural
    size_bytes: Natural
    subjects: Natural
    subjects_root: Hash
    key_commitment: Hash | None = None


class Acknowledgement(Format, frozen=True, tag=2):
    """The consumer's half: it received what these commitments say, under that receipt."""

    exchange_id: Hash
    receipt_record: Hash
    request: Hash
    response: Hash


class Void(Format, frozen=True, tag=3):
    """A receipt of which only `delivered_bytes` went out."""

    exchange_id: Hash
    receipt_record: Hash
    delivered_bytes: Natural
    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class Denial(Format, frozen=True, tag=4):
    """An exchange that was asked for and not served; code: of `contracts.refusals`.

    count: how many such requests this item stands for, more than 1 in a flood.
    """

    exchange_id: Hash
    consumer: Identifier
    request: Hash
    code: Annotated[str, Meta(max_length=64)]
    count: Natural


class Key(Format, frozen=True, tag=5):
    """The content key of a sealed exchange, wrapped to the key that its consumer drew for it."""

    exchange_id: Hash
    receipt_record: Hash
    wrapped: Annotated[bytes, Meta(min_length=WRAPPED_BYTES, max_length=WRAPPED_BYTES)]


Item = Receipt | Acknowledgement | Void | Denial | Key

_ITEM: Decoder[Item] = Decoder(Item, what="exchange item", bytes_max=4096)


class ExchangeRequest(Format, frozen=True):
    """What a consumer's node sends to the provider's, signed with a record key of the consumer.

    grant_version: of the grant, as its consumer knows it. purpose: the grant's. fields: what is
    asked for, at most the granted ones. query: JSON.
    request_blinding: opens the commitment to the query. case: commitment to the case number.
    created_ms: Unix time; providers take requests of the last minutes only. seal_to: an X25519
    public key, drawn for this exchange if the dataset is sealed.
    """

    version: Literal[1]
    ledger_id: Hash
    grant_id: Hash
    exchange_id: Hash
    consumer: Identifier
    actor: Annotated[str, Meta(min_length=1, max_length=128)]
    grant_version: Natural
    purpose: TermName
    fields: Annotated[tuple[str, ...], Meta(min_length=1, max_length=256)]
    query: Annotated[bytes, Meta(max_length=QUERY_BYTES_MAX)]
    request_blinding: Hash
    case: Hash
    created_ms: Natural
    seal_to: Hash | None = None


class SignedRequest(Format, frozen=True):
    """An exchange request's bytes and the consumer's signature over them."""

    request: Annotated[bytes, Meta(max_length=2 * QUERY_BYTES_MAX)]
    key: PublicKey
    signature: Signature


_REQUEST: Decoder[ExchangeRequest] = Decoder(
    ExchangeRequest, what="exchange request", bytes_max=2 * QUERY_BYTES_MAX
)
_SIGNED: Decoder[SignedRequest] = Decoder(
    SignedRequest, what="signed exchange request", bytes_max=2 * QUERY_BYTES_MAX + 256
)


def parse_item(data: bytes) -> Item:
    """An item of an attachment. Raises Malformed."""
    return _ITEM.decode(data)


def parse_request(data: bytes) -> ExchangeRequest:
    """An exchange request from its bytes. Raises Malformed."""
    return _REQUEST.decode(data)


def parse_signed_request(data: bytes) -> SignedRequest:
    """A signed exchange request; the signature is not checked. Raises Malformed."""
    return _SIGNED.decode(data)


def admissible(
    view: View, value: Grant, asked: ExchangeRequest, *, provider: str, time_ms: int
) -> Refusal | None:
    """Why a provider must not serve this request under this grant; None if it may.

    The same rules as for the receipt later, and those that a header cannot show.
    """
    if value.request.provider != provider:
        return Refusal("not-the-provider", f"{value.request.provider} provides this grant's data")
    if value.consumer != asked.consumer:
        return Refusal("not-the-consumer", f"{value.consumer} holds this grant")
    refusal = standing(view, value, time_ms=time_ms)
    if refusal is not None:
        return refusal
    refusal = _other_right(value, asked.grant_version, asked.purpose, value.request.legal_basis)
    if refusal is not None:
        return refusal
    offered = dataset(view, provider, value.request.dataset)
    if offered is not None and offered.offer.carried == "elsewhere":
        return Refusal("carried-elsewhere", f"{provider} has an exchange of its own for it")
    extra = sorted(set(asked.fields) - set(value.request.fields))
    if extra:
        return Refusal("not-granted-field", ", ".join(extra))
    return exhausted(value, Counts(1), time_ms=time_ms)


def _other_right(value: Grant, version: int, purpose: str, legal_basis: str) -> Refusal | None:
    """Why an exchange is not under the right that the grant gives: another version of it, another
    purpose or another legal basis."""
    if version != value.version:
        return Refusal("other-version", f"version {value.version} is in force, not {version}")
    if purpose != value.request.purpose:
        return Refusal("purpose-mismatch", f"the grant is for {value.request.purpose}")
    if legal_basis != value.request.legal_basis:
        return Refusal("legal-basis-mismatch", f"the grant rests on {value.request.legal_basis}")
    return None


def single_line_fault(lines: Sequence[ReceiptLine | Line], announced: Attached) -> str | None:
    """What differs between one line and what the header announces; None also for more lines.

    One line has every item, so that count and root are those of the whole attachment.
    """
    if len(lines) != 1:
        return None
    line = lines[0]
    if line.items_root == announced.digest and line.count == announced.count:
        return None
    return f"the items of grant {line.grant_id.hex()[:16]}… have another root"


def lines_fault(lines: Sequence[ReceiptLine | Line], items: Sequence[bytes]) -> str | None:
    """What differs between a body's lines and the attached items; None if nothing does."""
    place = 0
    for line in lines:
        part = items[place : place + line.count]
        if len(part) != line.count or items_root(part) != line.items_root:
            return f"the items of grant {line.grant_id.hex()[:16]}… have another root"
        place += line.count
    return None if place == len(items) else "more items are attached than the lines count"


def receipts(context: Context, body: Receipts) -> Refusal | None:
    """A provider says what it is about to hand over."""
    refusal = _misfit(context, body.lines)
    if refusal is not None:
        return refusal
    for number, line in enumerate(body.lines):
        known = grant(context.state, line.grant_id)
        if known is None:
            return Refusal("unknown-grant", line.grant_id.hex())
        if known.request.provider != context.department:
            return Refusal("not-the-provider", f"{known.request.provider} provides this data")
        more = Counts(line.count, line.rows, line.size_bytes)
        refusal = (
            _other_sealing(context.state, known, line)
            or standing(context.state, known, time_ms=context.time_ms)
            or _other_right(known, line.version, line.purpose, line.legal_basis)
            or exhausted(known, more, time_ms=context.time_ms)
        )
        if refusal is not None:
            return refusal
        sealed = line.count if line.sealed else 0
        counted = known.counting(more, time_ms=context.time_ms, sealed=sealed)
        total = counted.total
        if total.rows > TOTAL_MAX or total.size_bytes > TOTAL_MAX:
            return Refusal("invalid-lines", f"rows or bytes beyond {TOTAL_MAX} in all")
        put_grant(context, counted)
        item = context.record_id + number.to_bytes(2, "big")
        context.state.append(receipts_list(line.grant_id), [item])
    return None


def _other_sealing(view: View, value: Grant, line: ReceiptLine) -> Refusal | None:
    """Why content may not go out as it is: the dataset's has to be sealed, or never is here."""
    offered = dataset(view, value.request.provider, value.request.dataset)
    if offered is None:
        return None
    where = f"{offered.publisher}/{offered.offer.name}"
    if offered.sealed and not line.sealed:
        return Refusal("seal-required", f"{where} is sealed")
    if line.sealed and offered.offer.carried == "elsewhere":
        return Refusal("carried-elsewhere", f"{where} is never sealed here")
    return None


def keys(context: Context, body: Keys) -> Refusal | None:
    """A provider hands over the keys of sealed content whose receipt was acknowledged.

    The grant is looked at once more: what was revoked meanwhile is never opened.
    """
    refusal = _misfit(context, body.lines)
    if refusal is not None:
        return refusal
    for line in body.lines:
        known = grant(context.state, line.grant_id)
        if known is None:
            return Refusal("unknown-grant", line.grant_id.hex())
        if known.request.provider != context.department:
            return Refusal("not-the-provider", f"{known.request.provider} provides this data")
        refusal = standing(context.state, known, time_ms=context.time_ms)
        if refusal is not None:
            return refusal
        opened = known.opened + line.count
        if opened > min(known.sealed, known.acknowledged):
            said = f"{known.sealed} sealed, {known.acknowledged} acknowledged"
            return Refusal("not-acknowledged", f"{opened} keys, {said}")
        put_grant(context, msgspec.structs.replace(known, opened=opened))
    return None


def acknowledgements(context: Context, body: Acknowledgements) -> Refusal | None:
    """A consumer says what it has received; whatever became of the grant since."""
    refusal = _misfit(context, body.lines)
    if refusal is not None:
        return refusal
    for line in body.lines:
        known = grant(context.state, line.grant_id)
        if known is None:
            return Refusal("unknown-grant", line.grant_id.hex())
        if known.consumer != context.department:
            return Refusal("not-the-consumer", f"{known.consumer} holds this grant")
        total = known.acknowledged + line.count
        if total > known.exchanges:
            return Refusal("more-than-received", f"{total} of {known.exchanges} exchanges")
        put_grant(context, msgspec.structs.replace(known, acknowledged=total))
    return None


def voids(context: Context, body: Voids) -> Refusal | None:
    """A provider takes back receipts whose data did not go out, or not all of it."""
    refusal = _misfit(context, body.lines)
    if refusal is not None:
        return refusal
    for line in body.lines:
        known = grant(context.state, line.grant_id)
        if known is None:
            return Refusal("unknown-grant", line.grant_id.hex())
        if known.request.provider != context.department:
            return Refusal("not-the-provider", f"{known.request.provider} provides this data")
        total = known.voided + line.count
        if total > known.exchanges:
            return Refusal("more-than-received", f"{total} of {known.exchanges} exchanges")
        put_grant(context, msgspec.structs.replace(known, voided=total))
    return None


def denials(context: Context, body: Denials) -> Refusal | None:
    """A provider says whom it refused; a grant that exists counts them."""
    refusal = _misfit(context, body.lines)
    if refusal is not None:
        return refusal
    for line in body.lines:
        known = grant(context.state, line.grant_id)
        if known is not None and known.request.provider == context.department:
            denied = msgspec.structs.replace(known, denied=known.denied + line.count)
            put_grant(context, denied)
    return None


def _misfit(context: Context, lines: Sequence[ReceiptLine | Line]) -> Refusal | None:
    count = lines[0].count
    if len(lines) > 1:
        grants = [line.grant_id for line in lines]
        if grants != sorted(set(grants)):
            return Refusal("invalid-lines", "the lines are not sorted by grant, each once")
        count = sum([line.count for line in lines])
    if count != context.items:
        return Refusal("invalid-lines", f"the lines do not count the {context.items} items")
    return None
