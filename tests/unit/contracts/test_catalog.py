"""The catalogue: what a publication, a change and a withdrawal leave in the state."""

from hashlib import sha256

import pytest
from harness import CONSUMER, FIELDS, PEOPLE, PROVIDER, STRANGER, Ledger, Stage, description, offer

from contracts.catalog import (
    FIELDS_MAX,
    DatasetWithdraw,
    dataset,
    parse_description,
)
from contracts.context import Context
from contracts.offers import publish
from contracts.state import Overlay
from ledger.errors import Malformed
from ledger.records import Record


def change(stage: Stage, document: bytes, *, sharing: str = "conditional") -> Record:
    body = offer(sharing=sharing)
    return stage.sign(PROVIDER, "dataset.change", body, document=document)


def test_a_publication_leaves_the_offer_the_fields_and_the_documents_digest(
    ledger: Ledger,
) -> None:
    document = description(insured="boolean")
    ledger.accept(ledger.sign(PROVIDER, "dataset.publish", offer(), document=document))
    known = dataset(ledger.state, PROVIDER, PEOPLE)
    assert known is not None
    assert (known.publisher, known.offer, known.title) == (PROVIDER, offer(), "Residents")
    assert known.document == sha256(document).digest()
    assert (known.version, known.status, known.changed_height) == (1, "offered", 1)
    assert known.subject_field == "person"
    assert [name for name, _ in known.fields] == list(FIELDS)
    assert (known.type_of("insured"), known.type_of("income")) == ("boolean", None)
    assert ledger.lists[b"list/datasets/health"] == [PEOPLE.encode()]


def test_there_is_no_dataset_where_none_was_published(ledger: Ledger) -> None:
    assert dataset(ledger.state, PROVIDER, PEOPLE) is None


def test_two_departments_may_use_one_name(ledger: Ledger) -> None:
    for department in (PROVIDER, STRANGER):
        document = description()
        ledger.accept(ledger.sign(department, "dataset.publish", offer(), document=document))
    assert dataset(ledger.state, PROVIDER, PEOPLE) != dataset(ledger.state, STRANGER, PEOPLE)


def test_a_change_may_add_fields_reorder_them_and_rewrite_the_offer(stage: Stage) -> None:
    more = description(("person", "income", "insured", "district"), income="decimal")
    stage.accept(change(stage, more, sharing="open"))
    known = dataset(stage.state, PROVIDER, PEOPLE)
    assert known is not None
    assert (known.version, known.changed_height) == (2, stage.tip.height)
    assert known.type_of("income") == "decimal"
    assert known.offer.sharing == "open"
    assert stage.lists[b"list/datasets/health"] == [PEOPLE.encode()]


def test_a_change_never_takes_away_what_the_change_before_added(stage: Stage) -> None:
    stage.accept(change(stage, description((*FIELDS, "income"))))
    assert stage.codes(change(stage, description())) == ["incompatible-change"]


def test_the_detail_names_the_fields_that_would_go(stage: Stage) -> None:
    [refused] = stage.execute(change(stage, description(("person",)))).refused
    assert refused.refusal.detail == "fields district, insured"


def test_a_dataset_may_name_no_subject_but_then_never_gets_one(ledger: Ledger) -> None:
    nobody = description(("line",), subject=None)
    ledger.accept(ledger.sign("transport", "dataset.publish", offer("trips"), document=nobody))
    someone = description(("line",), subject="line")
    record = ledger.sign("transport", "dataset.change", offer("trips"), document=someone)
    assert ledger.codes(record) == ["incompatible-change"]


def test_a_withdrawal_keeps_the_dataset_and_stops_its_grants(stage: Stage) -> None:
    before = dataset(stage.state, PROVIDER, PEOPLE)
    assert before is not None
    withdrawal = stage.sign(PROVIDER, "dataset.withdraw", DatasetWithdraw(PEOPLE, "superseded"))
    assert stage.codes(withdrawal, stage.receipts()) == ["dataset-withdrawn"]
    after = dataset(stage.state, PROVIDER, PEOPLE)
    assert after is not None
    assert (after.status, after.changed_height) == ("withdrawn", stage.tip.height)
    assert (after.fields, after.document, after.version) == (
        before.fields,
        before.document,
        before.version,
    )
    assert stage.grant().status == "approved"


def test_a_dataset_has_at_most_so_many_fields(ledger: Ledger) -> None:
    most = tuple(f"field_{number}" for number in range(FIELDS_MAX))
    for name, names, codes in (
        ("most", most, []),
        ("more", (*most, "one"), ["invalid-dataset"]),
    ):
        document = description(names, subject=None)
        record = ledger.sign(CONSUMER, "dataset.publish", offer(name), document=document)
        assert ledger.codes(record) == codes


@pytest.mark.parametrize("name", ["", "1st", "Name", "a-b", "a" * 64, "ä"])
def test_a_field_has_a_name_that_every_language_takes(ledger: Ledger, name: str) -> None:
    with pytest.raises(Malformed):
        parse_description(description((name,), subject=None))


def test_a_description_in_a_second_spelling_is_refused(ledger: Ledger) -> None:
    document = description()
    assert document[:1] == b"\x94"
    second = b"\xdc\x00\x04" + document[1:]
    record = ledger.sign(PROVIDER, "dataset.publish", offer(), document=second)
    assert ledger.codes(record) == ["invalid-dataset"]


def test_a_publication_without_its_document_is_no_description(ledger: Ledger) -> None:
    context = Context(
        ledger_id=ledger.city.ledger_id,
        voters=ledger.tip.voters,
        state=Overlay(ledger.state),
        department=PROVIDER,
        actor="clerk",
        record_id=bytes(32),
        time_ms=1,
        height=1,
        document=None,
        items=0,
    )
    refusal = publish(context, offer())
    assert refusal is not None
    assert refusal.code == "invalid-dataset"
    assert (context.state.writes, context.state.items) == ({}, [])
