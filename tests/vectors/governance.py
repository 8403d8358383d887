"""Vectors of what departments propose: one body for each action, and the enrolments they bring."""

from collections.abc import Iterator

from builders import joining_enrolment, signer
from vectors.plain import Vector, packed
from vectors.sample import CITY, NEW_VOTERS, OLD_VOTERS

from contracts.governance import Ballot, Propose
from contracts.keys import KeyAdd
from contracts.membership import (
    ACTIONS,
    Action,
    AdmitDepartment,
    AdmitNode,
    AdoptDocument,
    ChangeSetting,
    ChangeVoters,
    ReplaceNode,
    ResumeDepartment,
    RetireDepartment,
    RetireNode,
    RevokeKey,
    SuspendDepartment,
)
from ledger.genesis import RecordKey
from ledger.statements import record_key_statement

NEWCOMER = joining_enrolment(CITY.ledger_id, "fisheries")
SECOND_NODE = joining_enrolment(CITY.ledger_id, "health", 1)
OLD_NODE = CITY.node_ids[1]
NEW_KEY = signer("health/records/next")

PROPOSED: tuple[Action, ...] = (
    AdmitDepartment(NEWCOMER.signed()),
    SuspendDepartment("health"),
    ResumeDepartment("health"),
    RetireDepartment("health"),
    AdmitNode(SECOND_NODE.signed()),
    RetireNode(OLD_NODE),
    ReplaceNode(OLD_NODE, SECOND_NODE.signed(), True),
    ChangeVoters(
        tuple(node_id for node_id in NEW_VOTERS if node_id not in OLD_VOTERS),
        tuple(node_id for node_id in OLD_VOTERS if node_id not in NEW_VOTERS),
    ),
    RevokeKey(CITY.record_signer("health").public_key),
    AdoptDocument("calendar", "health", bytes(range(32))),
    ChangeSetting("voters-min", 1),
)

KEY_ADD = KeyAdd(
    RecordKey(NEW_KEY.public_key, "the registry"),
    NEW_KEY.sign(record_key_statement(CITY.ledger_id, department="health", key=NEW_KEY.public_key)),
)


def governance_vectors() -> Iterator[Vector]:
    """Bodies of records about the consortium."""
    for action in PROPOSED:
        name = ACTIONS[type(action)].name
        yield packed(
            f"propose/{name}",
            "propose",
            f"The body of a proposal: {name.replace('-', ' ')}.",
            Propose(action, "as agreed"),
        )
    cast = Ballot(bytes(range(32)), True)
    yield packed("ballot/yes", "ballot", "The body of a ballot for a proposal.", cast)
    yield packed(
        "key-add/health",
        "key add",
        "The body that enrols another record key, with that key's own signature.",
        KEY_ADD,
        ledger_id=CITY.ledger_id,
        department="health",
    )
