"""What a Cedar policy says about a request for a grant; the same for whoever evaluates it.

The node of a provider decides with it, an auditor decides again. A policy sees who asks
(`Department`), for what (`Dataset`, with its class) and on which terms (the context); it sees no
state and no time, so the same document and request give the same decision for ever. Cedar has no
loops: evaluation ends, and a document's size bounds it.

    permit, and no forbid   the request is approved        at least one forbid   it is refused
    neither                 a steward decides
"""

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
    found = [str(getattr(error, "error", error)) for error in result.errors]
    return found if result.validation_passed else found or ["it does not fit the schema"]


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
