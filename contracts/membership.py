"""What can be decided about a consortium, and how a decision changes the state.

`perform` checks an action against the state it meets and writes what it changes. It is run where
the action is proposed, for the refusal alone, and again where the last ballot decides it.

Rules of every action:

1. A key is enrolled once, for whatever purpose, and never again, also after it was revoked.
2. Every new key has signed the enrolment that brings it, and the enrolment names this ledger.
3. A department that is retired and a node that is retired never come back; a new node is a new key.
4. The target voters are nodes in force, not fewer than `voters-min` nor more than `voters-max`; the
   target does not change while the voters in force are joint.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from contracts.adoption import DocumentKind, adopt
from contracts.consortium import (
    DEPARTING_MAX,
    DEPARTMENT_KEYS_MAX,
    DEPARTMENT_NODES_MAX,
    DEPARTMENTS_MAX,
    NODES_MAX,
    SETTINGS,
    KeyState,
    Member,
    NodeState,
    departing_nodes,
    departments_in_force,
    member,
    node,
    nodes,
    record_key,
    target_voters,
)
from contracts.context import Context
from contracts.refusals import Refusal
from contracts.state import (
    DEPARTING_NODES,
    DEPARTMENTS_IN_FORCE,
    NODES,
    TARGET_VOTERS,
    department_key,
    enrolled_key,
    node_key,
    record_key_key,
    setting_key,
)
from ledger.codec import Format, encode
from ledger.errors import LedgerError
from ledger.genesis import Department, SignedEnrolment, open_enrolment
from ledger.signatures import check_public_key
from ledger.types import Hash, Identifier, Natural, NodeId, PublicKey

NodeIds = Annotated[tuple[NodeId, ...], Meta(max_length=NODES_MAX)]


class AdmitDepartment(Format, frozen=True, tag=1):
    """A new department joins with its record keys and nodes; its nodes are learners."""

    enrolment: SignedEnrolment


class SuspendDepartment(Format, frozen=True, tag=2):
    """A department may no longer decide, request, release or receive, until it is resumed."""

    department: Identifier


class ResumeDepartment(Format, frozen=True, tag=3):
    """A suspended department is active again."""

    department: Identifier


class RetireDepartment(Format, frozen=True, tag=4):
    """A department leaves for good, and its nodes with it."""

    department: Identifier


class AdmitNode(Format, frozen=True, tag=5):
    """A member gets further nodes, as learners, and the record keys that come with them."""

    enrolment: SignedEnrolment


class RetireNode(Format, frozen=True, tag=6):
    """A node leaves for good; if it votes, it is no target voter any more."""

    node_id: NodeId


class ReplaceNode(Format, frozen=True, tag=7):
    """A node leaves for good and another one of the same department comes in its stead.

    votes: whether the successor takes the place among the target voters at once; if not, it is a
    learner, and the place is vacant. Without meaning, and to be false, where the node has no place.
    """

    node_id: NodeId
    enrolment: SignedEnrolment
    votes: bool


class ChangeVoters(Format, frozen=True, tag=8):
    """Learners become target voters, and target voters learners. Both sorted, no repeats."""

    joining: NodeIds
    leaving: NodeIds


class RevokeKey(Format, frozen=True, tag=9):
    """A record key of any department counts no more."""

    key: PublicKey


class ChangeSetting(Format, frozen=True, tag=10):
    """A setting of the consortium has another value from the next record on."""

    name: Identifier
    value: Natural


class AdoptDocument(Format, frozen=True, tag=11):
    """The document of this kind that a department put forward last is in force."""

    kind: DocumentKind
    publisher: Identifier
    document: Hash


Action = (
    AdmitDepartment
    | SuspendDepartment
    | ResumeDepartment
    | RetireDepartment
    | AdmitNode
    | RetireNode
    | ReplaceNode
    | ChangeVoters
    | RevokeKey
    | ChangeSetting
    | AdoptDocument
)


@dataclass(frozen=True, slots=True)
class ActionRule:
    """name: for people and programs. threshold: the setting that says how many ballots decide."""

    name: str
    threshold: str


ACTIONS: dict[type[Action], ActionRule] = {
    AdmitDepartment: ActionRule("admit-department", "department-ballots-percent"),
    SuspendDepartment: ActionRule("suspend-department", "department-ballots-percent"),
    ResumeDepartment: ActionRule("resume-department", "department-ballots-percent"),
    RetireDepartment: ActionRule("retire-department", "department-ballots-percent"),
    AdmitNode: ActionRule("admit-node", "node-ballots-percent"),
    RetireNode: ActionRule("retire-node", "node-ballots-percent"),
    ReplaceNode: ActionRule("replace-node", "node-ballots-percent"),
    ChangeVoters: ActionRule("change-voters", "node-ballots-percent"),
    RevokeKey: ActionRule("revoke-key", "key-ballots-percent"),
    ChangeSetting: ActionRule("change-setting", "setting-ballots-percent"),
    AdoptDocument: ActionRule("adopt-document", "setting-ballots-percent"),
}
"""Every action that ballots decide."""


def perform(context: Context, action: Action) -> Refusal | None:
    """Changes the state as the action says, or says why it cannot be done here."""
    match action:
        case AdmitDepartment():
            return _admit_department(context, action)
        case SuspendDepartment():
            return _suspend(context, action.department)
        case ResumeDepartment():
            return _resume(context, action.department)
        case RetireDepartment():
            return _retire_department(context, action.department)
        case AdmitNode():
            return _admit_node(context, action)
        case RetireNode():
            return _retire_node(context, action.node_id)
        case ReplaceNode():
            return _replace_node(context, action)
        case ChangeVoters():
            return _change_voters(context, action)
        case RevokeKey():
            return revoke_key(context, action.key)
        case ChangeSetting():
            return _change_setting(context, action)
        case AdoptDocument():
            return adopt(context, action.kind, action.publisher, action.document)


# Departments.


def _admit_department(context: Context, action: AdmitDepartment) -> Refusal | None:
    enrolled = _enrolled(context, action.enrolment)
    if isinstance(enrolled, Refusal):
        return enrolled
    name = enrolled.department
    if member(context.state, name) is not None:
        return Refusal("department-exists", name)
    if len(departments_in_force(context.state)) >= DEPARTMENTS_MAX:
        return Refusal("limit-reached", f"{DEPARTMENTS_MAX} departments are in force")
    _put_member(context, name, Member(enrolled.title, "active", (), (), context.height))
    _set_in_force(context, name, in_force=True)
    return _enrol(context, enrolled)


def _suspend(context: Context, name: str) -> Refusal | None:
    known = _department(context, name)
    if isinstance(known, Refusal):
        return known
    if known.status == "suspended":
        return Refusal("nothing-to-change", f"{name} is suspended")
    if departments_in_force(context.state) == (name,):
        return Refusal("last-department", name)
    changed = msgspec.structs.replace(known, status="suspended", changed_height=context.height)
    _put_member(context, name, changed)
    _set_in_force(context, name, in_force=False)
    return None


def _resume(context: Context, name: str) -> Refusal | None:
    known = _department(context, name)
    if isinstance(known, Refusal):
        return known
    if known.status == "active":
        return Refusal("nothing-to-change", f"{name} is active")
    if len(departments_in_force(context.state)) >= DEPARTMENTS_MAX:
        return Refusal("limit-reached", f"{DEPARTMENTS_MAX} departments are in force")
    changed = msgspec.structs.replace(known, status="active", changed_height=context.height)
    _put_member(context, name, changed)
    _set_in_force(context, name, in_force=True)
    return None


def _retire_department(context: Context, name: str) -> Refusal | None:
    known = _department(context, name)
    if isinstance(known, Refusal):
        return known
    if departments_in_force(context.state) == (name,):
        return Refusal("last-department", name)
    refusal = _set_target(context, leaving=known.nodes)
    if refusal is not None:
        return refusal
    for node_id in known.nodes:
        _retire(context, node_id)
    left = _department(context, name)
    assert isinstance(left, Member)
    changed = msgspec.structs.replace(left, status="retired", changed_height=context.height)
    _put_member(context, name, changed)
    _set_in_force(context, name, in_force=False)
    return None


def _department(context: Context, name: str) -> Member | Refusal:
    """A department that is not retired."""
    known = member(context.state, name)
    if known is None:
        return Refusal("unknown-department", name)
    if known.status == "retired":
        return Refusal("department-retired", f"{name} at height {known.changed_height}")
    return known


def _put_member(context: Context, name: str, value: Member) -> None:
    context.state.put(department_key(name), encode(value))


def _set_in_force(context: Context, name: str, *, in_force: bool) -> None:
    names = set(departments_in_force(context.state)) - {name}
    if in_force:
        names.add(name)
    context.state.put(DEPARTMENTS_IN_FORCE, encode(tuple(sorted(names))))


# Nodes.


def _admit_node(context: Context, action: AdmitNode) -> Refusal | None:
    enrolled = _enrolled(context, action.enrolment)
    if isinstance(enrolled, Refusal):
        return enrolled
    known = _department(context, enrolled.department)
    if isinstance(known, Refusal):
        return known
    if not enrolled.nodes:
        return Refusal("invalid-enrolment", "it brings no node")
    return _enrol(context, enrolled)


def _retire_node(context: Context, node_id: NodeId) -> Refusal | None:
    known = _node(context, node_id)
    if isinstance(known, Refusal):
        return known
    refusal = _set_target(context, leaving=(node_id,))
    if refusal is None:
        _retire(context, node_id)
    return refusal


def _replace_node(context: Context, action: ReplaceNode) -> Refusal | None:
    known = _node(context, action.node_id)
    if isinstance(known, Refusal):
        return known
    enrolled = _enrolled(context, action.enrolment)
    if isinstance(enrolled, Refusal):
        return enrolled
    if enrolled.department != known.department:
        return Refusal("invalid-enrolment", f"the node is {known.department}'s")
    if len(enrolled.nodes) != 1:
        return Refusal("invalid-enrolment", "it does not bring exactly one node")
    if action.votes and action.node_id not in target_voters(context.state):
        return Refusal("not-a-voter", action.node_id.hex())
    successor = enrolled.nodes[0].node_id
    joining = (successor,) if action.votes else ()
    refusal = _set_target(context, joining=joining, leaving=(action.node_id,))
    if refusal is not None:
        return refusal
    _retire(context, action.node_id)
    return _enrol(context, enrolled)


def _node(context: Context, node_id: NodeId) -> NodeState | Refusal:
    """A node that is not retired."""
    known = node(context.state, node_id)
    if known is None:
        return Refusal("unknown-node", node_id.hex())
    if known.retired_height is not None:
        return Refusal("unknown-node", f"{node_id.hex()} retired at {known.retired_height}")
    return known


def _retire(context: Context, node_id: NodeId) -> None:
    known = _node(context, node_id)
    assert isinstance(known, NodeState)
    gone = msgspec.structs.replace(known, retired_height=context.height)
    context.state.put(node_key(node_id), encode(gone))
    owner = member(context.state, known.department)
    assert owner is not None
    kept = tuple(each for each in owner.nodes if each != node_id)
    _put_member(context, known.department, msgspec.structs.replace(owner, nodes=kept))
    in_force = tuple(each for each in nodes(context.state) if each != node_id)
    context.state.put(NODES, encode(in_force))
    departing = (*departing_nodes(context.state), node_id)[-DEPARTING_MAX:]
    context.state.put(DEPARTING_NODES, encode(departing))


# Voters.


def _change_voters(context: Context, action: ChangeVoters) -> Refusal | None:
    for listed in (action.joining, action.leaving):
        if list(listed) != sorted(set(listed)):
            return Refusal("invalid-voters", "the nodes are not sorted and unique")
    target = target_voters(context.state)
    in_force = nodes(context.state)
    for node_id in action.joining:
        if node_id not in in_force:
            return Refusal("unknown-node", node_id.hex())
        if node_id in target:
            return Refusal("nothing-to-change", f"{node_id.hex()} votes")
    for node_id in action.leaving:
        if node_id not in target:
            return Refusal("not-a-voter", node_id.hex())
    if not action.joining and not action.leaving:
        return Refusal("nothing-to-change", "no node is named")
    return _set_target(context, joining=action.joining, leaving=action.leaving)


def _set_target(
    context: Context, *, joining: tuple[NodeId, ...] = (), leaving: tuple[NodeId, ...] = ()
) -> Refusal | None:
    """Moves nodes into and out of the target, if that changes it at all."""
    before = target_voters(context.state)
    after = tuple(sorted({*before, *joining} - set(leaving)))
    if after == before:
        return None
    if context.voters.incoming:
        return Refusal("voter-change-open", "the voters are joint; the change is under way")
    least, most = context.setting("voters-min"), context.setting("voters-max")
    if not least <= len(after) <= most:
        return Refusal("invalid-voters", f"{len(after)} voters, {least} to {most} are allowed")
    context.state.put(TARGET_VOTERS, encode(after))
    return None


# Keys and settings.


def revoke_key(context: Context, key: PublicKey) -> Refusal | None:
    """A record key counts no more from the next record on."""
    known = record_key(context.state, key)
    if known is None:
        return Refusal("unknown-key", key.hex())
    if known.revoked_height is not None:
        return Refusal("nothing-to-change", f"revoked at height {known.revoked_height}")
    revoked = msgspec.structs.replace(known, revoked_height=context.height)
    context.state.put(record_key_key(key), encode(revoked))
    owner = member(context.state, known.department)
    assert owner is not None
    kept = tuple(each for each in owner.record_keys if each != key)
    _put_member(context, known.department, msgspec.structs.replace(owner, record_keys=kept))
    return None


def add_key(context: Context, name: str, key: PublicKey, holder: str) -> Refusal | None:
    """A record key of a department counts from the next record on; who holds it is checked."""
    refusal = _enrol_key(context, name, key)
    if refusal is not None:
        return refusal
    owner = member(context.state, name)
    assert owner is not None
    if len(owner.record_keys) >= DEPARTMENT_KEYS_MAX:
        return Refusal("limit-reached", f"{name} has {DEPARTMENT_KEYS_MAX} record keys")
    context.state.put(record_key_key(key), encode(KeyState(name, holder, context.height)))
    keys = (*owner.record_keys, key)
    _put_member(context, name, msgspec.structs.replace(owner, record_keys=keys))
    return None


def _change_setting(context: Context, action: ChangeSetting) -> Refusal | None:
    rule = SETTINGS.get(action.name)
    if rule is None:
        return Refusal("invalid-setting", f"there is no setting {action.name}")
    if not rule.least <= action.value <= rule.greatest:
        return Refusal(
            "invalid-setting",
            f"{action.name} = {action.value} is not within {rule.least} … {rule.greatest}",
        )
    if action.value == context.setting(action.name):
        return Refusal("nothing-to-change", f"{action.name} is {action.value}")
    context.state.put(setting_key(action.name), action.value.to_bytes(8, "big"))
    if context.setting("voters-min") > context.setting("voters-max"):
        return Refusal("invalid-setting", "voters-min would be more than voters-max")
    return None


# Enrolments.


def _enrolled(context: Context, signed: SignedEnrolment) -> Department | Refusal:
    """The department of an enrolment for this ledger that every key in it has signed."""
    try:
        file = open_enrolment(signed)
        file.check()
        for key in file.enrolment.department.keys():
            check_public_key(key)
    except LedgerError as error:
        return Refusal("invalid-enrolment", str(error))
    if file.enrolment.ledger_id != context.ledger_id:
        return Refusal("invalid-enrolment", "it is for another ledger")
    return file.enrolment.department


def _enrol(context: Context, enrolled: Department) -> Refusal | None:
    """Adds an enrolment's keys and nodes to a department that is in the state."""
    name = enrolled.department
    for record_key_ in enrolled.record_keys:
        refusal = add_key(context, name, record_key_.key, record_key_.holder)
        if refusal is not None:
            return refusal
    owner = member(context.state, name)
    assert owner is not None
    if len(owner.nodes) + len(enrolled.nodes) > DEPARTMENT_NODES_MAX:
        return Refusal("limit-reached", f"a department has at most {DEPARTMENT_NODES_MAX} nodes")
    in_force = nodes(context.state)
    added = tuple(described.node_id for described in enrolled.nodes)
    if len(in_force) + len(added) > NODES_MAX:
        return Refusal("limit-reached", f"a consortium has at most {NODES_MAX} nodes")
    for described in enrolled.nodes:
        for key in described.keys():
            refusal = _enrol_key(context, name, key)
            if refusal is not None:
                return refusal
        state = NodeState(name, described, context.height)
        context.state.put(node_key(described.node_id), encode(state))
    _put_member(context, name, msgspec.structs.replace(owner, nodes=owner.nodes + added))
    context.state.put(NODES, encode(tuple(sorted(in_force + added))))
    return None


def _enrol_key(context: Context, name: str, key: PublicKey) -> Refusal | None:
    """Notes that a key is enrolled; a key is enrolled once."""
    where = enrolled_key(key)
    if context.state.get(where) is not None:
        return Refusal("key-in-use", key.hex())
    context.state.put(where, name.encode("ascii"))
    return None
