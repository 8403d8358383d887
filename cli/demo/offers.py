"""The datasets that the five departments publish."""

from typing import Any


def table(name: str, **extra: Any) -> dict[str, Any]:
    """A dataset's offer, as `POST /v1/datasets` takes it."""
    return {
        "name": name,
        "title": name.replace("-", " ").title(),
        "fields": [{"name": "id_number", "type": "text", "meaning": "number of the person"}],
        "subject_field": None,
        "classification": "internal",
        "sharing": "conditional",
    } | extra


def _described(*fields: tuple[str, str, str]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind, "meaning": words} for name, kind, words in fields]


DATASETS = {
    "civil-affairs": table(
        "residents",
        fields=_described(
            ("id_number", "text", "number in the registry"),
            ("name", "text", "full name"),
            ("born", "date", "date of birth"),
            ("address", "text", "main residence"),
            ("registered", "boolean", "whether the residence is current"),
        ),
        subject_field="id_number",
        classification="personal",
        authoritative=True,
    ),
    "health": table(
        "vaccinations",
        fields=_described(
            ("id_number", "text", "number in the registry"),
            ("vaccine", "text", "against what"),
            ("given_on", "date", "day of the vaccination"),
        ),
        subject_field="id_number",
        classification="sensitive",
        authoritative=True,
    ),
    "housing": table(
        "tenancies",
        fields=_described(
            ("id_number", "text", "tenant's number in the registry"),
            ("flat", "text", "which flat"),
            ("since", "date", "start of the tenancy"),
        ),
        subject_field="id_number",
        classification="personal",
        authoritative=True,
    ),
    "tourism": table(
        "airports",
        fields=_described(
            ("iata", "text", "IATA code"),
            ("name", "text", "name of the airport"),
            ("city", "text", "city it serves"),
            ("country", "text", "ISO 3166 code of the country"),
        ),
        classification="public",
        sharing="open",
    ),
    "transport": table(
        "departures",
        fields=_described(
            ("line", "text", "shuttle line"),
            ("stop", "text", "where it leaves"),
            ("departs", "text", "time of day"),
            ("seats_free", "integer", "seats nobody has booked"),
            ("driver", "text", "who drives"),
        ),
        classification="internal",
        authoritative=True,
    ),
}
