"""Routes of the catalogue."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from contracts import catalog as contract
from contracts.adoption import DocumentKind, DocumentPublish
from contracts.calendars import Calendar, calendar_in_force
from contracts.catalog import dataset, parse_description
from contracts.vocabularies import Term, Vocabulary, terms_in_force
from ledger import store_keys
from ledger.codec import Format, encode
from ledger.types import LeafIndex
from node.http.access import Reader, ServiceDep, Steward
from node.http.models import (
    CalendarWanted,
    DatasetOffer,
    DatasetPage,
    DatasetView,
    Decision,
    Name,
    Verdict,
    VocabularyWanted,
    Written,
)
from node.http.problems import Problem
from node.http.reading import (
    Consistent,
    CursorQuery,
    LimitQuery,
    dataset_view,
    page,
    plain,
    snapshot_of,
)
from node.http.writing import Options, WriteOptions, write
from node.tokens import Token

router = APIRouter(tags=["catalogue"])

NamePath = Annotated[Name, Path()]

_PREFIX = store_keys.STATE_VALUE + b"dataset/"


@router.get("/calendar", dependencies=[Consistent])
def calendar(service: ServiceDep, _: Reader) -> dict[str, Any]:
    """The calendar in force, by whose working days time limits are counted."""
    value: dict[str, Any] = plain(calendar_in_force(service.node.view()))
    return value


@router.post("/documents/calendar", status_code=201)
async def publish_calendar(
    service: ServiceDep,
    token: Steward,
    wanted: CalendarWanted,
    options: Options,
) -> Written | Verdict:
    """Puts a calendar forward for the whole consortium."""
    document = Calendar(
        title=wanted.title,
        utc_offset=wanted.utc_offset,
        weekend=tuple(wanted.weekend),
        holidays=tuple(wanted.holidays),
        working_days=tuple(wanted.working_days),
    )
    return await _put_forward(service, token, options, "calendar", document)


@router.post("/documents/vocabulary", status_code=201)
async def publish_vocabulary(
    service: ServiceDep,
    token: Steward,
    wanted: VocabularyWanted,
    options: Options,
) -> Written | Verdict:
    """Puts a vocabulary forward for the whole consortium."""
    purposes, legal_bases = (
        tuple(Term(term.name, term.broader, term.meaning) for term in terms)
        for terms in (wanted.purposes, wanted.legal_bases)
    )
    document = Vocabulary(wanted.title, purposes, legal_bases)
    return await _put_forward(service, token, options, "vocabulary", document)


async def _put_forward(
    service: ServiceDep, token: Token, options: WriteOptions, kind: DocumentKind, document: Format
) -> Written | Verdict:
    body = DocumentPublish(kind)
    return await write(
        service, token, options, kind="document.publish", body=body, document=encode(document)
    )


@router.get("/vocabulary", dependencies=[Consistent])
def vocabulary(service: ServiceDep, _: Reader) -> dict[str, Any]:
    """The purposes and legal bases that a request may name now."""
    value: dict[str, Any] = plain(terms_in_force(service.node.view()))
    return value


@router.get("/datasets", dependencies=[Consistent])
def list_datasets(
    service: ServiceDep,
    _: Reader,
    publisher: Annotated[Name | None, Query()] = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 100,
) -> DatasetPage:
    """The catalogue, by publisher and name."""
    prefix = _PREFIX if publisher is None else _PREFIX + publisher.encode() + b"/"
    with snapshot_of(service) as view:

        def parse(key: bytes, _: bytes) -> DatasetView:
            department, name = key.removeprefix(_PREFIX).decode("ascii").split("/")
            known = dataset(view, department, name)
            assert known is not None
            return dataset_view(known)

        items, following = page(
            view.reader,
            prefix=prefix,
            cursor=cursor,
            limit=min(limit, service.node.config.http.page_max),
            parse=parse,
        )
    return DatasetPage(items=items, next=following)


@router.get("/datasets/{publisher}/{name}", dependencies=[Consistent])
def show_dataset(
    service: ServiceDep, _: Reader, publisher: NamePath, name: NamePath
) -> DatasetView:
    """One dataset."""
    known = dataset(service.node.view(), publisher, name)
    if known is None:
        raise Problem("not-found", f"there is no dataset {publisher}/{name}")
    return dataset_view(known)


@router.get("/datasets/{publisher}/{name}/description", dependencies=[Consistent])
def describe_dataset(
    service: ServiceDep, _: Reader, publisher: NamePath, name: NamePath
) -> dict[str, Any]:
    """The document that describes a dataset: every field with what it means."""
    known = dataset(service.node.view(), publisher, name)
    if known is None:
        raise Problem("not-found", f"there is no dataset {publisher}/{name}")
    place = service.node.store.get(store_keys.document_key(known.document))
    assert place is not None, "a dataset's document is on the ledger"
    index = LeafIndex(store_keys.read_number(place))
    document = service.node.store.get(store_keys.attached_key(index))
    assert document is not None, "documents are never pruned"
    described = parse_description(document)
    return {
        "title": described.title,
        "description": described.description,
        "subject_field": described.subject_field,
        "fields": [
            {"name": field.name, "type": field.type, "meaning": field.meaning}
            for field in described.fields
        ],
    }


@router.post("/datasets", status_code=201)
async def publish_dataset(
    service: ServiceDep,
    token: Steward,
    offer: DatasetOffer,
    options: Options,
) -> Written | Verdict:
    """Offers a new dataset of this department."""
    return await _offer(service, token, options, "dataset.publish", offer)


@router.put("/datasets/{name}")
async def change_dataset(
    service: ServiceDep,
    token: Steward,
    name: NamePath,
    offer: DatasetOffer,
    options: Options,
) -> Written | Verdict:
    """Changes a dataset of this department; fields may be added, not taken away."""
    if offer.name != name:
        raise Problem("invalid-request", f"the body names {offer.name}, the address {name}")
    return await _offer(service, token, options, "dataset.change", offer)


@router.post("/datasets/{name}/withdraw")
async def withdraw_dataset(
    service: ServiceDep,
    token: Steward,
    name: NamePath,
    decision: Decision,
    options: Options,
) -> Written | Verdict:
    """Ends a dataset of this department for good."""
    body = contract.DatasetWithdraw(name, decision.reason)
    return await write(service, token, options, kind="dataset.withdraw", body=body)


async def _offer(
    service: ServiceDep, token: Token, options: WriteOptions, kind: str, offer: DatasetOffer
) -> Written | Verdict:
    described = contract.Description(
        title=offer.title,
        description=offer.description,
        fields=tuple(
            contract.Field(field.name, field.type, field.meaning) for field in offer.fields
        ),
        subject_field=offer.subject_field,
    )
    body = contract.DatasetOffer(
        name=offer.name,
        classification=offer.classification,
        sharing=offer.sharing,
        authoritative=offer.authoritative,
        co_approvers=tuple(sorted(offer.co_approvers)),
        derived_from=tuple(sorted(bytes.fromhex(each) for each in offer.derived_from)),
        carried=offer.carried,
    )
    return await write(service, token, options, kind=kind, body=body, document=encode(described))
