"""What a Cedar policy says about a request for a grant; the same for whoever evaluates it.

The node of a provider decides with it, an auditor decides again. A policy sees who asks
(`Department`), for what (`Dataset`, with its class) and on which terms (the context); it sees no
state and no time, so the same document and request give the same decision for ever. Cedar has no
loops: evaluation ends, and a document's size bounds it.

    permit, and no forbid   the request is approved        at least one forbid   it is refused
    neither                 a steward decides
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import cedarpy

from contracts.catalog import Dataset
from contracts.grants import GrantRequest
from contracts.policies import POLICY_BYTES_MAX

ENGINE = f"cedarpy/{version('cedarpy')}"
"""The engine that decides here; a citation names the one that decided."""

SCHEMA = """
entity Department;
entity Dataset = { classification: String, sharing: String, authoritative: Bool };
action read appliesTo {
  principal: Department,
  resource: Dataset,
  context: {
    purpose: String, legal_basis: String, fields: Set<String>, days: Long, onward: Bool,
    exchanges_max: Long, rows_max: Long, size_bytes_max: Long, subjects_max: Long,
    subjects_named: Bool
  }
};
"""
"""What a policy may speak of. Limits of 0 are no limits."""

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy says. policies: the deciding ones by their @id, sorted."""

    verdict: Literal["permit", "forbid", "steward"]
    policies: tuple[str, ...] = ()


def faults(text: str) -> list[str]:
    """What is wrong with a policy document, each with its place; nothing if it may be published."""
    if len(text.encode()) > POLICY_BYTES_MAX:
        return [f"a policy has at most {POLICY_BYTES_MAX} bytes"]
    result = cedarpy.validate_policies(text, SCHEMA)
    if result.validation_passed:
        return []
    statements = list(_statements(text))
    for line, statement in statements:
        try:
            cedarpy.policies_to_json_str(statement)
        except ValueError as error:
            return [f"{_place_of(str(error), statement, line)}: {error}"]
    found = [_placed(str(getattr(error, "error", error)), statements) for error in result.errors]
    return found or ["it does not fit the schema"]


_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|;|.', re.DOTALL)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each policy of a document, and the line on which it begins, from 1. The engine tells no
    places; a semicolon in a string or a comment ends nothing."""
    start, line = 0, 1
    for piece in _PIECE.finditer(text):
        if piece[0] == ";":
            yield _begun(text[start : piece.end()], line)
            line += text.count("\n", start, piece.end())
            start = piece.end()
    if text[start:].strip():
        yield _begun(text[start:], line)


def _begun(statement: str, line: int) -> tuple[int, str]:
    begun = statement.lstrip()
    return line + statement.count("\n", 0, len(statement) - len(begun)), begun


def _placed(fault: str, statements: list[tuple[int, str]]) -> str:
    """A fault of the policy that it names by its number, with the line."""
    named = re.search(r"policy `policy(\d+)`", fault)
    if named is None or int(named[1]) >= len(statements):
        return fault
    line, statement = statements[int(named[1])]
    return f"{_place_of(fault[named.end() :], statement, line)}: {fault}"


def _place_of(fault: str, statement: str, line: int) -> str:
    """Where a policy is at fault: at its end if it ends too early, at the last word that the fault
    quotes and the policy has once; else where the policy begins."""
    if "unexpected end" in fault:
        return f"line {line + statement.rstrip().count(chr(10))}"
    for word in reversed(re.findall(r"`([^`]+)`", fault)):
        if statement.count(word) == 1:
            return f"line {line + statement.count(chr(10), 0, statement.index(word))}"
    return f"the policy from line {line} on"


def decide(text: str, *, consumer: str, request: GrantRequest, offered: Dataset) -> Decision:
    """What the policy says about the request. A policy that fails decides nothing."""
    where = f"{request.provider}/{request.dataset}"
    entities: list[dict[str, Any]] = [
        {"uid": {"type": "Department", "id": consumer}, "attrs": {}, "parents": []},
        {
            "uid": {"type": "Dataset", "id": where},
            "attrs": {
                "classification": offered.offer.classification,
                "sharing": offered.offer.sharing,
                "authoritative": offered.offer.authoritative,
            },
            "parents": [],
        },
    ]
    limits = request.limits
    asked = {
        "principal": {"type": "Department", "id": consumer},
        "action": {"type": "Action", "id": "read"},
        "resource": {"type": "Dataset", "id": where},
        "context": {
            "purpose": request.purpose,
            "legal_basis": request.legal_basis,
            "fields": list(request.fields),
            "days": -(-(request.valid_until_ms - request.valid_from_ms) // DAY_MS),
            "onward": request.onward,
            "exchanges_max": limits.exchanges_max,
            "rows_max": limits.rows_max,
            "size_bytes_max": limits.size_bytes_max,
            "subjects_max": limits.subjects_max,
            "subjects_named": limits.subjects_named,
        },
    }
    try:
        result = cedarpy.is_authorized(asked, text, entities, SCHEMA)
    except ValueError:
        return Decision("steward")
    found = result.diagnostics
    if found.errors or not found.reasons or result.decision == cedarpy.Decision.NoDecision:
        return Decision("steward")
    names = {found.id_annotations_by_reason.get(each) or each for each in found.reasons}
    policies = tuple(sorted(names))[:32]
    allowed = result.decision == cedarpy.Decision.Allow
    return Decision("permit" if allowed else "forbid", policies)
