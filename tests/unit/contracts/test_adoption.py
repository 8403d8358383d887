"""Documents of the consortium: one department puts them forward, the ballots put them in force."""

from acts import put_forward
from council import Council
from harness import CONSUMER, DAY_MS, PROVIDER, STRANGER, Stage, wanted

from contracts.adoption import DocumentPublish
from contracts.calendars import DEFAULT_CALENDAR, Calendar, calendar_in_force
from contracts.grants import overdue
from contracts.membership import AdoptDocument
from contracts.vocabularies import DEFAULT_TERMS, Term, Vocabulary, terms_in_force
from ledger.codec import encode


def test_a_calendar_is_in_force_once_the_departments_have_decided_so() -> None:
    council = Council()
    publication, adoption = put_forward(council)
    council.accept(publication)
    assert calendar_in_force(council.state) == DEFAULT_CALENDAR
    council.decide_to(adoption)
    adopted = calendar_in_force(council.state)
    assert (adopted.utc_offset, adopted.holidays) == ("+08:00", ("2026-10-01",))
    assert council.codes(council.proposal(adoption)) == ["nothing-to-change"]
    council.verify()


def test_a_holiday_that_is_adopted_late_moves_the_deadlines_it_touches() -> None:
    council = Council()
    grant_id = council.requested()
    week = tuple(f"2026-09-{day}" for day in range(22, 26))
    document = encode(Calendar("a week off", "+00:00", (6, 7), week, ()))
    body = DocumentPublish("calendar")
    record = council.sign(STRANGER, "document.publish", body, document=document)
    council.accept(record)
    late_ms = council.tip.time_ms + 4 * DAY_MS
    assert overdue(council.state, council.grant(grant_id), time_ms=late_ms)
    assert record.header.attached is not None
    council.decide_to(AdoptDocument("calendar", STRANGER, record.header.attached.digest))
    assert not overdue(council.state, council.grant(grant_id), time_ms=late_ms)
    council.verify()


def test_requests_name_the_terms_of_the_vocabulary_that_was_adopted() -> None:
    council = Council()
    city = Vocabulary(
        "The city's",
        (Term("city:SocialHousing", None, "flats"),),
        (Term("dpv:LegalObligation", None, ""),),
    )
    body = DocumentPublish("vocabulary")
    record = council.sign(CONSUMER, "document.publish", body, document=encode(city))
    council.accept(record)
    asked = council.sign(CONSUMER, "grant.request", wanted(purpose="city:SocialHousing"))
    assert council.codes(asked) == ["unknown-purpose"]
    assert terms_in_force(council.state) == DEFAULT_TERMS
    assert record.header.attached is not None
    council.decide_to(AdoptDocument("vocabulary", CONSUMER, record.header.attached.digest))
    council.requested(purpose="city:SocialHousing")
    old = council.sign(CONSUMER, "grant.request", wanted())
    assert council.codes(old) == ["unknown-purpose"]
    council.accept(council.receipts())
    council.verify()


def test_a_department_has_one_candidate_of_a_kind(stage: Stage) -> None:
    for holidays in (("2026-10-01",), ("2026-10-02",)):
        stage.accept(put_forward(stage, holidays)[0])
    candidates = [key for key in stage.state if key.startswith(b"candidate/")]
    assert candidates == [f"candidate/calendar/{PROVIDER}".encode()]
