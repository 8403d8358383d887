"""The catalogue: which datasets a department offers, field by field.

`dataset.publish` and `dataset.change` carry a document, the `Description`; `dataset.withdraw` ends
a dataset for good. A change may add fields and rewrite words, and never takes away what a grant may
rely on.
"""

from hashlib import sha256
from typing import Annotated, Literal

from msgspec import Meta

from contracts.context import Context
from contracts.refusals import Refusal
from contracts.state import View, dataset_key, datasets_list
from ledger.codec import Decoder, Format, encode
from ledger.errors import Malformed
from ledger.records import DOCUMENT_BYTES_MAX
from ledger.types import Hash, Identifier, Natural

FIELDS_MAX = 256
"""Limit of the fields of one dataset."""

FieldName = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,62}\Z")]
FieldType = Literal["text", "integer", "decimal", "date", "boolean", "timestamp"]
Words = Annotated[str, Meta(max_length=2000)]


class Field(Format, frozen=True):
    """One field: its name, its type, and what it means. Decimals and times travel as text."""

    name: FieldName
    type: FieldType
    meaning: Words


class Description(Format, frozen=True):
    """What a dataset is; the document of its record.

    subject_field: the field that identifies the person or thing a row is about; None if none does.
    """

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    description: Words
    fields: Annotated[tuple[Field, ...], Meta(min_length=1, max_length=FIELDS_MAX)]
    subject_field: FieldName | None


class DatasetOffer(Format, frozen=True):
    """Body of `dataset.publish` and `dataset.change`.

    classification: how sensitive. sharing: "open" to every member on request, "conditional" on the
    publisher's decision, "closed" to all. authoritative: whether this is the source others copy.
    """

    name: Identifier
    classification: Literal["public", "internal", "personal", "sensitive"]
    sharing: Literal["open", "conditional", "closed"]
    authoritative: bool


class DatasetWithdraw(Format, frozen=True):
    """Body of `dataset.withdraw`."""

    name: Identifier
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class Dataset(Format, frozen=True):
    """A dataset in the state. version: 1, then one more with each change."""

    publisher: Identifier
    offer: DatasetOffer
    title: str
    fields: tuple[tuple[FieldName, FieldType], ...]
    subject_field: FieldName | None
    document: Hash
    version: Natural
    status: Literal["offered", "withdrawn"]
    changed_height: Natural

    def type_of(self, field: str) -> str | None:
        """A field's type; None if there is no such field."""
        return dict(self.fields).get(field)


_DESCRIPTION: Decoder[Description] = Decoder(
    Description, what="dataset description", bytes_max=DOCUMENT_BYTES_MAX
)
_DATASET: Decoder[Dataset] = Decoder(Dataset, what="dataset", bytes_max=DOCUMENT_BYTES_MAX)


def parse_description(document: bytes) -> Description:
    """A description from its document. Raises Malformed."""
    return _DESCRIPTION.decode(document)


def dataset(view: View, publisher: str, name: str) -> Dataset | None:
    """A dataset, withdrawn or not; None if there never was one."""
    value = view.get(dataset_key(publisher, name))
    return None if value is None else _DATASET.decode(value)


def publish(context: Context, body: DatasetOffer) -> Refusal | None:
    """A department offers a new dataset."""
    if dataset(context.state, context.department, body.name) is not None:
        return Refusal("dataset-exists", f"{context.department}/{body.name}")
    described = _described(context)
    if isinstance(described, Refusal):
        return described
    _put(context, body, described, version=1)
    context.state.append(datasets_list(context.department), [body.name.encode("ascii")])
    return None


def change(context: Context, body: DatasetOffer) -> Refusal | None:
    """The publisher rewrites a dataset's description or offer."""
    known = dataset(context.state, context.department, body.name)
    if known is None:
        return Refusal("unknown-dataset", f"{context.department}/{body.name}")
    if known.status == "withdrawn":
        return Refusal("dataset-withdrawn", f"{context.department}/{body.name}")
    described = _described(context)
    if isinstance(described, Refusal):
        return described
    offered = {(field.name, field.type) for field in described.fields}
    gone = [name for name, kind in known.fields if (name, kind) not in offered]
    if gone or known.subject_field != described.subject_field:
        what = f"fields {', '.join(gone)}" if gone else "the field that identifies the subject"
        return Refusal("incompatible-change", what)
    _put(context, body, described, version=known.version + 1)
    return None


def withdraw(context: Context, body: DatasetWithdraw) -> Refusal | None:
    """The publisher ends a dataset; grants on it no longer let anything through."""
    known = dataset(context.state, context.department, body.name)
    if known is None:
        return Refusal("unknown-dataset", f"{context.department}/{body.name}")
    if known.status == "withdrawn":
        return Refusal("dataset-withdrawn", f"{context.department}/{body.name}")
    ended = Dataset(
        known.publisher,
        known.offer,
        known.title,
        known.fields,
        known.subject_field,
        known.document,
        known.version,
        "withdrawn",
        context.height,
    )
    context.state.put(dataset_key(context.department, body.name), encode(ended))
    return None


def _described(context: Context) -> Description | Refusal:
    if context.document is None:
        return Refusal("invalid-dataset", "its description is not attached as a document")
    try:
        described = parse_description(context.document)
    except Malformed as error:
        return Refusal("invalid-dataset", str(error))
    names = [field.name for field in described.fields]
    if len(set(names)) != len(names):
        return Refusal("invalid-dataset", "a field is described twice")
    if described.subject_field is not None and described.subject_field not in names:
        return Refusal("invalid-dataset", "the field that identifies the subject is not described")
    return described


def _put(context: Context, body: DatasetOffer, described: Description, *, version: int) -> None:
    assert context.document is not None
    value = Dataset(
        publisher=context.department,
        offer=body,
        title=described.title,
        fields=tuple((field.name, field.type) for field in described.fields),
        subject_field=described.subject_field,
        document=sha256(context.document).digest(),
        version=version,
        status="offered",
        changed_height=context.height,
    )
    context.state.put(dataset_key(context.department, body.name), encode(value))
