"""The catalogue: which datasets there are, field by field, and on what terms they are shared.

Formats and look-ups; what makes and changes a dataset is in `contracts.offers`.
"""

from typing import Annotated, Literal

from msgspec import Meta

from contracts.state import View, dataset_key, read
from ledger.codec import Decoder, Format
from ledger.records import DOCUMENT_BYTES_MAX
from ledger.types import Hash, Identifier, Natural

FIELDS_MAX = 256
"""Limit of the fields of one dataset."""

CO_APPROVERS_MAX = 8
"""Limit of the departments that approve beside a publisher."""

ORIGINS_MAX = 2
"""Limit of the grants from which one dataset is derived."""

DERIVATIONS_MAX = 2
"""How often data may be shared onward: a dataset derived from one so often derived is refused."""

FieldName = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,62}\Z")]
FieldType = Literal["text", "integer", "decimal", "date", "boolean", "timestamp"]
Sharing = Literal["open", "conditional", "closed"]
Carried = Literal["nodes", "elsewhere"]
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
    co_approvers: departments that have to approve each grant beside the publisher, a data
    protection office say; sorted. derived_from: grants of the publisher that allow onward sharing
    and under which it got the data; sorted. What is derived is shared only while they stand.
    carried: "elsewhere" if the publisher hands the data over by an exchange of its own, whose
    receipts come in bulk and which nobody here can seal; never changed.
    """

    name: Identifier
    classification: Literal["public", "internal", "personal", "sensitive"]
    sharing: Sharing
    authoritative: bool
    co_approvers: Annotated[tuple[Identifier, ...], Meta(max_length=CO_APPROVERS_MAX)] = ()
    derived_from: Annotated[tuple[Hash, ...], Meta(max_length=ORIGINS_MAX)] = ()
    carried: Carried = "nodes"


class DatasetWithdraw(Format, frozen=True):
    """Body of `dataset.withdraw`."""

    name: Identifier
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class Dataset(Format, frozen=True):
    """A dataset in the state. version: 1, then one more with each change.

    derivations: 0 at a source, one more than at its origins if derived.
    """

    publisher: Identifier
    offer: DatasetOffer
    title: str
    fields: tuple[tuple[FieldName, FieldType], ...]
    subject_field: FieldName | None
    document: Hash
    version: Natural
    status: Literal["offered", "withdrawn"]
    changed_height: Natural
    derivations: Natural

    @property
    def sealed(self) -> bool:
        """Whether its exchanges have to be sealed: nodes carry it, and the data is sensitive or
        shared no more."""
        secret = self.offer.classification == "sensitive" or self.offer.sharing == "closed"
        return secret and self.offer.carried == "nodes"

    def type_of(self, field: str) -> str | None:
        """A field's type; None if there is no such field."""
        return dict(self.fields).get(field)


_DESCRIPTION: Decoder[Description] = Decoder(
    Description, what="dataset description", bytes_max=DOCUMENT_BYTES_MAX
)
_DATASET: Decoder[Dataset] = Decoder(
    Dataset, what="dataset", bytes_max=DOCUMENT_BYTES_MAX, remembered=64
)


def parse_description(document: bytes) -> Description:
    """A description from its document. Raises Malformed."""
    return _DESCRIPTION.decode(document)


def parse_dataset(value: bytes) -> Dataset:
    """A dataset from its state value. Raises Malformed."""
    return _DATASET.decode(value)


def dataset(view: View, publisher: str, name: str) -> Dataset | None:
    """A dataset, withdrawn or not; None if there never was one."""
    return read(view, dataset_key(publisher, name), _DATASET)
