"""What may be proposed over HTTP becomes the contracts' action, and is shown as what it is."""

import json
from typing import Any

import pytest
from builders import Consortium, joining_enrolment
from pydantic import TypeAdapter, ValidationError

from contracts import membership
from contracts.membership import ACTIONS, Action
from node.http.consortium import action_of, described
from node.http.consortium_models import ActionWanted
from node.http.problems import Problem

CITY = Consortium()
FILE = joining_enrolment(CITY.ledger_id, "fisheries")
ENROLMENT = json.loads(FILE.to_json())
FIRST, SECOND = sorted(CITY.node_ids[:2])

CASES: list[tuple[dict[str, Any], Action]] = [
    (
        {"action": "admit-department", "enrolment": ENROLMENT},
        membership.AdmitDepartment(FILE.signed()),
    ),
    (
        {"action": "suspend-department", "department": "health"},
        membership.SuspendDepartment("health"),
    ),
    (
        {"action": "resume-department", "department": "health"},
        membership.ResumeDepartment("health"),
    ),
    (
        {"action": "retire-department", "department": "health"},
        membership.RetireDepartment("health"),
    ),
    ({"action": "admit-node", "enrolment": ENROLMENT}, membership.AdmitNode(FILE.signed())),
    ({"action": "retire-node", "node_id": FIRST.hex()}, membership.RetireNode(FIRST)),
    (
        {
            "action": "replace-node",
            "node_id": FIRST.hex(),
            "enrolment": ENROLMENT,
            "votes": True,
        },
        membership.ReplaceNode(FIRST, FILE.signed(), True),
    ),
    (
        {"action": "change-voters", "joining": [SECOND.hex(), FIRST.hex()], "leaving": []},
        membership.ChangeVoters((FIRST, SECOND), ()),
    ),
    ({"action": "revoke-key", "key": FIRST.hex()}, membership.RevokeKey(FIRST)),
    (
        {"action": "change-setting", "name": "voters-min", "value": 1},
        membership.ChangeSetting("voters-min", 1),
    ),
    (
        {
            "action": "adopt-document",
            "kind": "calendar",
            "publisher": "health",
            "document": FIRST.hex(),
        },
        membership.AdoptDocument("calendar", "health", FIRST),
    ),
]

WANTED: TypeAdapter[ActionWanted] = TypeAdapter(ActionWanted)


def test_every_action_has_a_case() -> None:
    assert {type(action) for _, action in CASES} == set(ACTIONS)


@pytest.mark.parametrize(("sent", "action"), CASES, ids=[sent["action"] for sent, _ in CASES])
def test_an_action_comes_in_and_is_shown(sent: dict[str, Any], action: Action) -> None:
    assert action_of(WANTED.validate_python(sent)) == action
    shown = described(action)
    assert shown["action"] == ACTIONS[type(action)].name == sent["action"]
    if "enrolment" in sent:
        assert shown["enrolment"]["fingerprint"] == FILE.fingerprint
    else:
        listed = {
            name: sorted(value) if isinstance(value, list) else value
            for name, value in sent.items()
        }
        assert shown == listed


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "resign"},
        {"action": "retire-node"},
        {"action": "retire-node", "node_id": "health"},
        {"action": "change-setting", "name": "voters-min", "value": -1},
        {"action": "revoke-key", "key": FIRST.hex(), "reason": "x"},
    ],
)
def test_what_is_no_action_is_refused_with_its_fields(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WANTED.validate_python(wrong)


def test_an_enrolment_that_is_none_is_an_invalid_request() -> None:
    damaged = ENROLMENT | {"enrolment": "AAAA"}
    wanted = WANTED.validate_python({"action": "admit-node", "enrolment": damaged})
    with pytest.raises(Problem) as caught:
        action_of(wanted)
    assert caught.value.kind == "invalid-request"
