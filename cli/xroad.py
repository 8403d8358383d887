"""Reads X-Road operational-monitoring records and makes entries of them for the bulk routes. Pure.

Every exchange over X-Road leaves two records, the client's and the producer's security server's.
They come as they are: duplicated, in either order, one half missing, after time-outs, with keys and
enumerations in any case and "None" for nothing. Each record is used or refused for a reason; the
numbers of both add up to what was read.

A department imports the side that it was on. Commitments are over what both halves share, with
blindings that follow from a secret that both departments hold for this: so both halves carry the
same bytes, and nobody without the secret can try names or numbers.
"""

import hmac
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from ledger.codec import encode
from ledger.commitments import commitment

Side = Literal["client", "producer"]

REASONS: dict[str, str] = {
    "no-record": "The value is not an object with the keys of a monitoring record.",
    "no-side": "It does not say which security server wrote it.",
    "no-message-id": "It has no message id, so its other half cannot be found.",
    "no-parties": "It does not say who asked whom for which service.",
    "no-time": "It has no time of the request.",
    "failed": "The exchange failed or timed out; no data moved.",
    "duplicate": "The same record was read before.",
    "contradiction": "Another record of this half says something else.",
    "other-side": "It is the other department's half, which that department imports.",
    "halves-differ": "The two halves name different sizes.",
    "no-grant": "No grant is given for this client and service.",
}
"""Why a record is not imported, and what that means."""


@dataclass(frozen=True, slots=True)
class Half:
    """One security server's record of an exchange. sizes in bytes; -1 where it is not known."""

    side: Side
    message_id: str
    client: str
    service: str
    request_ms: int
    request_bytes: int
    response_bytes: int
    issue: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What both halves of an exchange share."""
        return self.message_id, self.client, self.service


@dataclass(slots=True)
class Imported:
    """What was read. entries: for the bulk route. read = used + the sum of refused."""

    read: int = 0
    used: int = 0
    paired: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    entries: list[dict[str, Any]] = field(default_factory=list)


def records(text: str) -> Iterator[object]:
    """The records of a file: a JSON list, an object with `records`, or one object after another.

    An object with `client` and `producer` holds two records; one with `data` and `columns` a table
    of them, as X-Road's open data come. Raises ValueError if it is no JSON.
    """
    decoder = json.JSONDecoder()
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        value, place = decoder.raw_decode(text, place)
        listed = _listed(value)
        for each in listed if isinstance(listed, list) else [value]:
            yield from _halves_of(each)


def _listed(value: object) -> object:
    """What a value lists; itself if it is one record."""
    if not isinstance(value, dict):
        return value
    columns, rows = value.get("columns"), value.get("data")
    if not isinstance(columns, list) or not isinstance(rows, list):
        return value.get("records")
    names = [str(column) for column in columns]
    return [
        dict(zip(names, row, strict=True))
        if isinstance(row, list) and len(row) == len(names)
        else row
        for row in rows
    ]


def _halves_of(value: object) -> Iterator[object]:
    if isinstance(value, dict) and {"client", "producer"} & value.keys():
        for side in ("client", "producer"):
            if value.get(side) is not None:
                yield value[side]
    else:
        yield value


def half_of(value: object) -> Half | str:
    """A record as what it says, or the reason for which it says nothing of use."""
    if not isinstance(value, dict):
        return "no-record"
    told = {
        str(key).lower(): None if content in ("", "None", "null", "-") else content
        for key, content in value.items()
    }
    side = str(told.get("securityservertype")).strip().lower()
    if side not in ("client", "producer"):
        return "no-side"
    if _failed(told):
        return "failed"
    message_id = told.get("messageid")
    if not isinstance(message_id, str):
        return "no-message-id"
    client = _identifier(told, "client", ("xroadinstance", "memberclass", "membercode"))
    service = _identifier(told, "service", ("xroadinstance", "memberclass", "membercode", "code"))
    if client is None or service is None:
        return "no-parties"
    request_ms = _number(told.get("requestints"))
    if request_ms < 0:
        return "no-time"
    return Half(
        side="client" if side == "client" else "producer",
        message_id=message_id,
        client=client,
        service=service,
        request_ms=request_ms,
        request_bytes=_size(told, "request"),
        response_bytes=_size(told, "response"),
        issue=str(told.get("messageissue") or message_id)[:200],
    )


def _failed(told: Mapping[str, Any]) -> bool:
    """Whether no answer came: a fault, or a time-out that left no time of a response."""
    succeeded = str(told.get("succeeded")).strip().lower()
    if succeeded in ("false", "0") or told.get("soapfaultcode") is not None:
        return True
    return "responseints" in told and told["responseints"] is None


def _identifier(told: Mapping[str, Any], party: str, needed: tuple[str, ...]) -> str | None:
    """instance/class/member/subsystem, and for a service its code, as X-Road writes them."""
    parts = {part: told.get(party + part) for part in (*needed, "subsystemcode")}
    if any(parts[part] is None for part in needed):
        return None
    order = ("xroadinstance", "memberclass", "membercode", "subsystemcode", "code")
    return "/".join(str(parts[part]) for part in order if parts.get(part) is not None)


def _number(value: object) -> int:
    """A number however it is spelled; -1 if it is none."""
    try:
        return int(str(value))
    except ValueError:
        return -1


def _size(told: Mapping[str, Any], what: str) -> int:
    for measure in ("mimesize", "soapsize", "size"):
        size = _number(told.get(what + measure))
        if size >= 0:
            return size
    return -1


def imported(
    values: Iterable[object],
    *,
    side: Side,
    grants: Mapping[tuple[str, str], str],
    secret: bytes,
    ledger_id: bytes,
) -> Imported:
    """The entries of one side. grants: grant id in hexadecimal by client and service."""
    found = Imported()
    halves: dict[tuple[str, str, str], dict[str, Half]] = {}
    for value in values:
        found.read += 1
        half = half_of(value)
        if isinstance(half, str):
            found.refused[half] += 1
            continue
        pair = halves.setdefault(half.key, {})
        known = pair.setdefault(half.side, half)
        if known is not half:
            found.refused["duplicate" if known == half else "contradiction"] += 1
    for pair in halves.values():
        _pair(found, pair, side=side, grants=grants, secret=secret, ledger_id=ledger_id)
    assert found.read == found.used + found.refused.total()
    return found


def _pair(
    found: Imported,
    pair: Mapping[str, Half],
    *,
    side: Side,
    grants: Mapping[tuple[str, str], str],
    secret: bytes,
    ledger_id: bytes,
) -> None:
    """Uses this side's half of an exchange, or says why not."""
    own = pair.get(side)
    other = pair.get("client" if side == "producer" else "producer")
    if other is not None:
        found.refused["other-side"] += 1
    if own is None:
        return
    if other is not None and _sizes(own) != _sizes(other):
        found.refused["halves-differ"] += 1
        return
    grant_id = grants.get((own.client, own.service))
    if grant_id is None:
        found.refused["no-grant"] += 1
        return
    found.used += 1
    found.paired += other is not None
    found.entries.append(_entry(own, grant_id, secret, ledger_id))


def _sizes(half: Half) -> tuple[int, int]:
    return half.request_bytes, half.response_bytes


def _entry(half: Half, grant_id: str, secret: bytes, ledger_id: bytes) -> dict[str, Any]:
    """A half as the bulk route takes it; a producer's is a receipt. Rows are not known: 0."""
    exchange_id = _derived(secret, "exchange", half)

    def committed(role: Literal["request", "response", "case"], content: bytes) -> str:
        blinding = _derived(secret, role, half)
        return commitment(ledger_id, role=role, blinding=blinding, content=content).hex()

    entry = {
        "exchange_id": exchange_id.hex(),
        "grant_id": grant_id,
        "request": committed("request", encode((*half.key, max(half.request_bytes, 0)))),
        "response": committed("response", encode((*half.key, max(half.response_bytes, 0)))),
    }
    if half.side == "client":
        return entry
    return entry | {
        "case": committed("case", half.issue.encode()),
        "rows": 0,
        "size_bytes": max(half.response_bytes, 0),
    }


def _derived(secret: bytes, purpose: str, half: Half) -> bytes:
    message = b"concordat/x-road/v1\x00" + encode((purpose, *half.key))
    return hmac.new(secret, message, sha256).digest()
