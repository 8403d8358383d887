"""The vocabulary: the purposes and legal bases that a request may name.

Terms are named as in the Data Privacy Vocabulary of the W3C (DPV 2.0, https://w3id.org/dpv), with a
prefix. A vocabulary is a document on the ledger; until the consortium adopts one, the DPV terms
below are in force. It may add terms of its own ("city:SocialHousing") under broader ones. A grant
keeps the terms it was approved with, also after a vocabulary without them.
"""

from typing import Annotated

from msgspec import Meta

from contracts.refusals import Refusal
from contracts.state import View, in_force_key, read
from ledger.codec import Decoder, Format
from ledger.errors import Malformed
from ledger.records import DOCUMENT_BYTES_MAX

PURPOSES_MAX = 256
LEGAL_BASES_MAX = 64

TermName = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9-]{0,14}:[A-Za-z][A-Za-z0-9-]{0,47}\Z")]


class Term(Format, frozen=True):
    """One term. broader: the term of the same list that it narrows; None at the top."""

    name: TermName
    broader: TermName | None
    meaning: Annotated[str, Meta(max_length=500)]


class Vocabulary(Format, frozen=True):
    """A vocabulary; the document that the consortium adopts. Terms are sorted by name."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    purposes: Annotated[tuple[Term, ...], Meta(min_length=1, max_length=PURPOSES_MAX)]
    legal_bases: Annotated[tuple[Term, ...], Meta(min_length=1, max_length=LEGAL_BASES_MAX)]


class Terms(Format, frozen=True):
    """What the state keeps of the vocabulary in force: names alone."""

    purposes: tuple[TermName, ...]
    legal_bases: tuple[TermName, ...]


_DPV_PURPOSES = (
    "AcademicResearch",
    "AgeVerification",
    "CombatClimateChange",
    "Counterterrorism",
    "DisputeManagement",
    "EnforceSecurity",
    "FraudPreventionAndDetection",
    "FulfilmentOfObligation",
    "IdentityVerification",
    "ImproveHealthcare",
    "ImprovePublicServices",
    "ImproveTransportMobility",
    "LegalCompliance",
    "MisusePreventionAndDetection",
    "OrganisationGovernance",
    "ProtectionOfNationalSecurity",
    "ProtectionOfPublicSecurity",
    "ProvideOfficialStatistics",
    "PublicBenefit",
    "PublicPolicyMaking",
    "RecordManagement",
    "RequestedServiceProvision",
    "ResearchAndDevelopment",
    "ScientificResearch",
    "ServiceProvision",
    "Verification",
)

_DPV_LEGAL_BASES = (
    "Consent",
    "Contract",
    "ContractPerformance",
    "EnterIntoContract",
    "LegalObligation",
    "LegitimateInterest",
    "OfficialAuthorityOfController",
    "PublicInterest",
    "VitalInterest",
    "VitalInterestOfDataSubject",
    "VitalInterestOfNaturalPerson",
)

DEFAULT_TERMS = Terms(
    tuple(f"dpv:{name}" for name in _DPV_PURPOSES),
    tuple(f"dpv:{name}" for name in _DPV_LEGAL_BASES),
)
"""In force until the consortium adopts a vocabulary."""

_VOCABULARY: Decoder[Vocabulary] = Decoder(
    Vocabulary, what="vocabulary", bytes_max=DOCUMENT_BYTES_MAX
)
_TERMS: Decoder[Terms] = Decoder(Terms, what="terms", bytes_max=64 * 1024)


def parse_vocabulary(document: bytes) -> Vocabulary:
    """A vocabulary from its document. Raises Malformed, also for terms out of order or a broader
    term that is not there."""
    value = _VOCABULARY.decode(document)
    for what, terms in (("purposes", value.purposes), ("legal bases", value.legal_bases)):
        names = [term.name for term in terms]
        if names != sorted(set(names)):
            raise Malformed("vocabulary", f"{what} are not sorted by name, each once")
        for term in terms:
            if term.broader is not None and term.broader not in names:
                raise Malformed("vocabulary", f"{term.name} narrows {term.broader}, not a term")
            if term.broader == term.name:
                raise Malformed("vocabulary", f"{term.name} narrows itself")
    return value


def terms_of(vocabulary: Vocabulary) -> Terms:
    """What the state keeps of it."""
    return Terms(
        tuple(term.name for term in vocabulary.purposes),
        tuple(term.name for term in vocabulary.legal_bases),
    )


def terms_in_force(view: View) -> Terms:
    """The terms that a request may name now."""
    return read(view, in_force_key("vocabulary"), _TERMS) or DEFAULT_TERMS


def unknown_terms(view: View, *, purpose: str, legal_basis: str) -> Refusal | None:
    """Why a request may not name these terms; None if it may."""
    terms = terms_in_force(view)
    if purpose not in terms.purposes:
        return Refusal("unknown-purpose", f"{purpose} is no purpose of the vocabulary in force")
    if legal_basis not in terms.legal_bases:
        return Refusal(
            "unknown-legal-basis", f"{legal_basis} is no legal basis of the vocabulary in force"
        )
    return None
