"""Bodies, documents and items of the contracts, as vectors and as decoders."""

from collections.abc import Callable, Iterator
from typing import Any

from vectors.plain import Vector, packed

from contracts.adoption import DocumentPublish
from contracts.calendars import Calendar, parse_calendar
from contracts.catalog import DatasetOffer
from contracts.emergencies import EmergencyConfirm, EmergencyReview, EmergencyStart
from contracts.exchanges import ExchangeRequest, Key, Receipt, ReceiptLine, Receipts
from contracts.grants import GrantAmend, GrantApprove, GrantDecision, GrantReply, GrantRequest
from contracts.limits import Hours, Limits, Rate
from contracts.policies import Citation, GrantForbid, GrantPermit, PolicyPublish
from contracts.vocabularies import Term, Vocabulary, parse_vocabulary
from ledger.codec import Decoder, encode

_ID = bytes(range(32))
_OTHER = bytes(range(32, 64))

_LIMITS = Limits(
    exchanges_max=100,
    rows_max=1_000,
    size_bytes_max=1_000_000,
    rate=Rate(10, 60_000),
    hours=Hours(480, 1_020, "+08:00"),
    subjects_max=50,
    subjects_named=True,
)

_REQUEST = GrantRequest(
    provider="health",
    dataset="births",
    fields=("born", "id_number"),
    purpose="dpv:ServiceProvision",
    description="school enrolment",
    legal_basis="dpv:LegalObligation",
    legal_reference="School Act §7",
    valid_from_ms=5,
    valid_until_ms=1_800_000_000_000,
    limits=_LIMITS,
    onward=False,
)

_LINE = ReceiptLine(_ID, 1, "dpv:ServiceProvision", "dpv:LegalObligation", 2, 3, 400, _OTHER)

BODIES: tuple[tuple[str, str, Any], ...] = (
    ("document publish", "A calendar put forward.", DocumentPublish("calendar")),
    (
        "dataset offer",
        "A dataset whose grants a data protection office approves too.",
        DatasetOffer("births", "personal", "conditional", True, ("data-protection",), (_ID,)),
    ),
    ("grant request", "A request with every limit.", _REQUEST),
    ("grant amend", "Another version of a grant.", GrantAmend(_ID, _REQUEST)),
    ("grant approve", "The approval of a grant's second version.", GrantApprove(_ID, 2)),
    ("grant reply", "A refusal of a grant's first version.", GrantReply(_ID, "no basis", 1)),
    ("grant decision", "A revocation.", GrantDecision(_ID, "the check is over")),
    ("policy publish", "A policy for a dataset.", PolicyPublish("births")),
    (
        "grant permit",
        "An approval by policy.",
        GrantPermit(_ID, 1, Citation(_OTHER, "cedarpy/4.12.2", ("small",))),
    ),
    (
        "grant forbid",
        "A refusal by policy.",
        GrantForbid(_ID, 1, Citation(_OTHER, "cedarpy/4.12.2", ("never",)), "never"),
    ),
    ("emergency start", "A declared emergency.", EmergencyStart(_REQUEST, "a flood")),
    ("emergency confirm", "Its confirmation.", EmergencyConfirm(_ID)),
    ("emergency review", "Its review.", EmergencyReview(_ID, "justified", "there was a flood")),
    ("receipts", "Two exchanges under one grant.", Receipts((_LINE,))),
    ("receipt", "One exchange.", Receipt(_ID, _OTHER, _ID, _OTHER, 3, 400, 2, _ID)),
    (
        "sealed receipt",
        "One sealed exchange.",
        Receipt(_ID, _OTHER, _ID, _OTHER, 3, 400, 2, _ID, _OTHER),
    ),
    ("key", "Its key.", Key(_ID, _OTHER, bytes(80))),
    (
        "exchange request",
        "What a consumer's node sends to the provider's.",
        ExchangeRequest(
            version=1,
            ledger_id=_ID,
            grant_id=_OTHER,
            exchange_id=_ID,
            consumer="housing",
            actor="clerk-7",
            grant_version=2,
            purpose="dpv:ServiceProvision",
            fields=("born",),
            query=b"{}",
            request_blinding=_OTHER,
            case=_ID,
            created_ms=1_790_000_000_000,
        ),
    ),
    (
        "calendar",
        "A week off, and a Saturday worked for it.",
        Calendar("2026", "+08:00", (6, 7), ("2026-10-01", "2026-10-02"), ("2026-10-10",)),
    ),
    (
        "vocabulary",
        "One purpose within another, and one legal basis.",
        Vocabulary(
            "The city's",
            (
                Term("city:SocialHousing", "dpv:ServiceProvision", "flats"),
                Term("dpv:ServiceProvision", None, ""),
            ),
            (Term("dpv:LegalObligation", None, ""),),
        ),
    ),
)
"""Format, description and value."""

_PARSERS: dict[str, Callable[[bytes], Any]] = {
    "calendar": parse_calendar,
    "vocabulary": parse_vocabulary,
}


def _again(form: str, value: Any) -> Callable[[bytes], bytes]:
    decoder: Decoder[Any] = Decoder(type(value), what=form, bytes_max=262_144)
    parse = _PARSERS.get(form, decoder.decode)
    return lambda data: encode(parse(data))


BODIES_AGAIN = {form: _again(form, value) for form, _, value in BODIES}
"""Format → decode and spell again; raises Malformed."""


def contract_vectors() -> Iterator[Vector]:
    """One accepted vector of each."""
    for form, description, value in BODIES:
        yield packed(f"contract/{form.replace(' ', '-')}", form, description, value)
