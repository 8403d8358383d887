"""Vocabularies: the terms that a request may name."""

import msgspec
import pytest
from harness import CONSUMER, LEGAL_BASIS, PURPOSE, Stage, wanted

from contracts.state import in_force_key
from contracts.vocabularies import (
    DEFAULT_TERMS,
    Term,
    Terms,
    Vocabulary,
    parse_vocabulary,
    terms_in_force,
    terms_of,
    unknown_terms,
)
from ledger.codec import encode
from ledger.errors import Malformed

CITY = Vocabulary(
    title="The city's",
    purposes=(
        Term("city:SocialHousing", "dpv:ServiceProvision", "flats for those who need them"),
        Term("dpv:ServiceProvision", None, "provision of a service"),
    ),
    legal_bases=(Term("dpv:LegalObligation", None, "a law demands it"),),
)


def test_the_terms_of_the_data_privacy_vocabulary_are_in_force_by_default() -> None:
    assert terms_in_force({}) == DEFAULT_TERMS
    for names in (DEFAULT_TERMS.purposes, DEFAULT_TERMS.legal_bases):
        assert list(names) == sorted(set(names))
    assert unknown_terms({}, purpose=PURPOSE, legal_basis=LEGAL_BASIS) is None
    known = Vocabulary(
        "DPV",
        tuple(Term(name, None, "") for name in DEFAULT_TERMS.purposes),
        tuple(Term(name, None, "") for name in DEFAULT_TERMS.legal_bases),
    )
    assert terms_of(parse_vocabulary(encode(known))) == DEFAULT_TERMS


def test_an_adopted_vocabulary_replaces_the_terms_and_grants_keep_theirs(stage: Stage) -> None:
    old = stage.granted(purpose="dpv:PublicBenefit")
    view = stage.state | {in_force_key("vocabulary"): encode(terms_of(CITY))}
    assert terms_in_force(view) == Terms(
        ("city:SocialHousing", "dpv:ServiceProvision"), ("dpv:LegalObligation",)
    )
    refusal = unknown_terms(view, purpose="dpv:PublicBenefit", legal_basis=LEGAL_BASIS)
    assert refusal is not None
    assert refusal.code == "unknown-purpose"
    assert unknown_terms(view, purpose="city:SocialHousing", legal_basis=LEGAL_BASIS) is None
    assert stage.grant(old).request.purpose == "dpv:PublicBenefit"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"purposes": ()}, "length"),
        ({"purposes": tuple(reversed(CITY.purposes))}, "sorted"),
        ({"purposes": CITY.purposes[:1]}, "narrows"),
        ({"legal_bases": (Term("dpv:Consent", "dpv:Consent", ""),)}, "itself"),
        ({"legal_bases": (Term("consent", None, ""),)}, "match"),
    ],
)
def test_a_vocabulary_that_contradicts_itself_is_malformed(changes: dict, fault: str) -> None:
    assert parse_vocabulary(encode(CITY)) == CITY
    with pytest.raises(Malformed) as caught:
        parse_vocabulary(encode(msgspec.structs.replace(CITY, **changes)))
    assert fault in str(caught.value)


def test_a_request_names_terms_and_says_the_rest_in_words(stage: Stage) -> None:
    asked = wanted(description="flats for families", legal_reference="Housing Act §12")
    record = stage.sign(CONSUMER, "grant.request", asked)
    stage.accept(record)
    known = stage.grant(record.record_id).request
    assert (known.description, known.legal_reference) == ("flats for families", "Housing Act §12")
