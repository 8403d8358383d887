"""Who takes part: departments, nodes, record keys, voters and the numbers agreed on.

A key counts exactly where the state just before the record says so; when a record claims to have
been made is never evidence of that. Genesis founds all of this, proposals (`contracts.governance`)
and a department's own keys (`contracts.keys`) change it, and this module reads it.

Voters change in three moves. A decision sets the *target*. The leader proposes a step into the
joint configuration, which has an effect only if its sets are those in force and the target; from
then on both sets have to agree. A second step leaves it for the target. Until the first step is
executed, another decision may replace the target; while joint none may.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from contracts.refusals import Refusal
from contracts.state import (
    DEPARTING_NODES,
    DEPARTMENTS_IN_FORCE,
    NODES,
    TARGET_VOTERS,
    View,
    department_key,
    enrolled_key,
    node_key,
    read,
    record_key_key,
    setting_key,
)
from ledger.blocks import VoterSets
from ledger.codec import Decoder, Format, encode
from ledger.entries import Step
from ledger.errors import BadKey, Malformed
from ledger.genesis import Genesis, NodeDescription
from ledger.signatures import check_public_key
from ledger.types import Identifier, Natural, NodeId, PublicKey

DEPARTMENTS_MAX = 1_024
"""Limit of the departments in force."""

NODES_MAX = 64
"""Limit of the nodes of all departments together, voters and learners."""

DEPARTING_MAX = 64
"""How many retired nodes are remembered as such; the oldest is forgotten first."""

DEPARTMENT_NODES_MAX = 8
"""Limit of one department's nodes."""

DEPARTMENT_KEYS_MAX = 32
"""Limit of one department's record keys in force."""


@dataclass(frozen=True, slots=True)
class SettingRule:
    """A number the consortium agrees on: its default and its bounds, both inclusive."""

    default: int
    least: int
    greatest: int
    meaning: str


_DAY_MS = 86_400_000

SETTINGS: dict[str, SettingRule] = {
    "accept-days-closed": SettingRule(5, 0, 250, "working days to take a request into review"),
    "accept-days-conditional": SettingRule(3, 0, 250, "working days to take a request into review"),
    "accept-days-open": SettingRule(1, 0, 250, "working days to take a request into review"),
    "decide-days-closed": SettingRule(20, 0, 250, "working days to decide a request"),
    "decide-days-conditional": SettingRule(10, 0, 250, "working days to decide a request"),
    "decide-days-open": SettingRule(1, 0, 250, "working days to decide a request"),
    "department-ballots-percent": SettingRule(
        66, 50, 99, "departments are changed by more than so many percent of those in force"
    ),
    "emergency-confirm-ms": SettingRule(
        3_600_000, 60_000, 86_400_000, "how long a declared emergency may wait for its confirmation"
    ),
    "emergency-exchanges-max": SettingRule(
        1_000, 1, 1_000_000, "exchanges that an emergency grant may allow"
    ),
    "emergency-fields-max": SettingRule(8, 1, 256, "fields that an emergency grant may name"),
    "emergency-review-ms": SettingRule(
        86_400_000,
        60_000,
        2_678_400_000,
        "how long after its confirmation an emergency is reviewed",
    ),
    "emergency-validity-max-ms": SettingRule(
        259_200_000, 60_000, 2_678_400_000, "the longest validity of an emergency grant"
    ),
    "grant-validity-max-ms": SettingRule(
        5 * 366 * _DAY_MS, 1_000, 100 * 366 * _DAY_MS, "the longest validity of a grant"
    ),
    "key-ballots-percent": SettingRule(
        50, 50, 99, "a key is revoked by more than so many percent of the departments in force"
    ),
    "node-ballots-percent": SettingRule(
        66, 50, 99, "nodes and voters are changed by more than so many percent of the departments"
    ),
    "proposal-validity-ms": SettingRule(
        30 * _DAY_MS, 1_000, 366 * _DAY_MS, "how long a proposal takes ballots"
    ),
    "record-skew-ms": SettingRule(
        5_000, 0, 600_000, "how far ahead of a block's time a record may be created"
    ),
    "record-window-ms": SettingRule(
        _DAY_MS, 1_000, _DAY_MS, "the longest window in which a record may be accepted"
    ),
    "records-per-block": SettingRule(
        5_000, 1, 10_000, "records that one department may have in one block"
    ),
    "release-window-ms": SettingRule(
        10_000, 100, 600_000, "how long after submitting a receipt a provider may release the data"
    ),
    "setting-ballots-percent": SettingRule(
        66, 50, 99, "a setting is changed by more than so many percent of the departments in force"
    ),
    "voters-max": SettingRule(7, 1, NODES_MAX, "the most voters that may be decided"),
    "voters-min": SettingRule(3, 1, NODES_MAX, "the fewest voters that may be decided"),
}
"""Every setting; genesis may name other values, and each default counts from genesis on."""

DepartmentStatus = Literal["active", "suspended", "retired"]


class Member(Format, frozen=True):
    """A department in the state.

    status: since changed_height; a retired department never comes back.
    nodes, record_keys: those in force, in the order in which they came.
    """

    title: Annotated[str, Meta(max_length=200)]
    status: DepartmentStatus
    nodes: Annotated[tuple[NodeId, ...], Meta(max_length=DEPARTMENT_NODES_MAX)]
    record_keys: Annotated[tuple[PublicKey, ...], Meta(max_length=DEPARTMENT_KEYS_MAX)]
    changed_height: Natural


class KeyState(Format, frozen=True):
    """A record key in the state: whose it is. revoked_height: None while it is in force."""

    department: Identifier
    holder: Annotated[str, Meta(max_length=200)]
    since_height: Natural
    revoked_height: Natural | None = None


class NodeState(Format, frozen=True):
    """A node in the state: whose it is, and its description; kept when it is retired.

    retired_height: where that was decided, None while it is in force. A retired voter votes until
    the block that leaves the joint configuration.
    """

    department: Identifier
    description: NodeDescription
    since_height: Natural
    retired_height: Natural | None = None


STATE_VALUES_REMEMBERED = 512
"""Limit of the decoded state values of one kind that are kept, for every record reads a few."""

_MEMBER: Decoder[Member] = Decoder(
    Member, what="member", bytes_max=4096, remembered=STATE_VALUES_REMEMBERED
)
_KEY: Decoder[KeyState] = Decoder(
    KeyState, what="key state", bytes_max=2048, remembered=STATE_VALUES_REMEMBERED
)
_NODE: Decoder[NodeState] = Decoder(
    NodeState, what="node state", bytes_max=2048, remembered=STATE_VALUES_REMEMBERED
)
_NAMES: Decoder[tuple[Identifier, ...]] = Decoder(
    tuple[Identifier, ...], what="departments in force", bytes_max=128 * 1024
)
_NODE_IDS: Decoder[tuple[NodeId, ...]] = Decoder(
    tuple[NodeId, ...], what="node ids", bytes_max=64 * 1024
)


def check_genesis(genesis: Genesis) -> None:
    """Keys are within the signature rule, settings within their bounds, nodes not too many.

    Raises BadKey or Malformed; the founders' signatures are `GenesisFile.check`'s.
    """
    for department in genesis.departments:
        for key in department.keys():
            try:
                check_public_key(key)
            except BadKey as error:
                raise BadKey(f"a key of {department.department}", error.why) from None
    count = sum(len(department.nodes) for department in genesis.departments)
    if count > NODES_MAX:
        raise Malformed("genesis", f"{count} nodes, at most {NODES_MAX} are allowed")
    for setting in genesis.settings:
        rule = SETTINGS.get(setting.name)
        if rule is None:
            known = ", ".join(SETTINGS)
            raise Malformed("genesis", f"unknown setting {setting.name}; the settings are {known}")
        if not rule.least <= setting.value <= rule.greatest:
            raise Malformed(
                "genesis",
                f"{setting.name} = {setting.value} is not within {rule.least} … {rule.greatest}",
            )
    values = _genesis_values(genesis)
    if values["voters-min"] > values["voters-max"]:
        raise Malformed("genesis", "voters-min is more than voters-max")


def genesis_state(genesis: Genesis) -> dict[bytes, bytes]:
    """The state at height 0."""
    state: dict[bytes, bytes] = {}
    for name, value in _genesis_values(genesis).items():
        state[setting_key(name)] = value.to_bytes(8, "big")
    node_ids: list[NodeId] = []
    for department in genesis.departments:
        name = department.department
        nodes = tuple(node.node_id for node in department.nodes)
        keys = tuple(entry.key for entry in department.record_keys)
        state[department_key(name)] = encode(Member(department.title, "active", nodes, keys, 0))
        for record_key in department.record_keys:
            state[record_key_key(record_key.key)] = encode(KeyState(name, record_key.holder, 0))
        for node in department.nodes:
            state[node_key(node.node_id)] = encode(NodeState(name, node, 0))
        for key in department.keys():
            state[enrolled_key(key)] = name.encode("ascii")
        node_ids += nodes
    state[DEPARTMENTS_IN_FORCE] = encode(tuple(entry.department for entry in genesis.departments))
    state[NODES] = encode(tuple(sorted(node_ids)))
    state[DEPARTING_NODES] = encode(())
    state[TARGET_VOTERS] = encode(genesis.voters)
    return state


def genesis_voters(genesis: Genesis) -> VoterSets:
    """The voters at height 0."""
    return VoterSets(genesis.voters)


def department_of_key(view: View, key: PublicKey) -> str | None:
    """The department for which a record key counts; None if it does not."""
    known = record_key(view, key)
    return None if known is None or known.revoked_height is not None else known.department


def record_key(view: View, key: PublicKey) -> KeyState | None:
    """A record key, revoked or not; None if the ledger never named it."""
    return read(view, record_key_key(key), _KEY)


def parse_member(value: bytes) -> Member:
    """A department from its state value. Raises Malformed."""
    return _MEMBER.decode(value)


def member(view: View, department: str) -> Member | None:
    """A department, whatever became of it; None if it never was one."""
    return read(view, department_key(department), _MEMBER)


def out_of_force(view: View, department: str) -> Refusal | None:
    """Why nothing may be requested of, released by or handed to a department; None if it may."""
    known = member(view, department)
    if known is None:
        return Refusal("unknown-department", department)
    if known.status != "active":
        code = f"department-{known.status}"
        return Refusal(code, f"{department} since height {known.changed_height}")
    return None


def parse_node(value: bytes) -> NodeState:
    """A node from its state value. Raises Malformed."""
    return _NODE.decode(value)


def node(view: View, node_id: NodeId) -> NodeState | None:
    """A node, retired or not; None if the ledger never named it."""
    value = view.get(node_key(node_id))
    return None if value is None else _NODE.decode(value)


def setting(view: View, name: str) -> int:
    """A setting's value."""
    value = view.get(setting_key(name))
    assert value is not None, f"genesis sets {name}"
    return int.from_bytes(value, "big")


def departments_in_force(view: View) -> tuple[str, ...]:
    """The departments that may decide: neither suspended nor retired; sorted."""
    value = view.get(DEPARTMENTS_IN_FORCE)
    assert value is not None, "genesis sets the departments"
    return _NAMES.decode(value)


def nodes(view: View) -> tuple[NodeId, ...]:
    """Every node that is not retired, sorted."""
    return _node_ids(view, NODES)


def departing_nodes(view: View) -> tuple[NodeId, ...]:
    """Nodes that were retired, the latest last, at most DEPARTING_MAX.

    They may be voters still, and are to be served up to the certificate of the block in which they
    are no more.
    """
    return _node_ids(view, DEPARTING_NODES)


def members(view: View) -> tuple[NodeId, ...]:
    """Every node that may connect, sorted: those in force, and those that are departing."""
    return tuple(sorted({*nodes(view), *departing_nodes(view)}))


def target_voters(view: View) -> tuple[NodeId, ...]:
    """The voters that were decided, sorted; in force once the steps have been executed."""
    return _node_ids(view, TARGET_VOTERS)


def next_step(view: View, voters: VoterSets) -> Step | None:
    """The configuration step that is due after a block, None if none is.

    view, voters: as of that block. When to propose it is for the replica to say.
    """
    if voters.incoming:
        return Step("leave-joint", voters.incoming, ())
    target = target_voters(view)
    if target == voters.voters:
        return None
    return Step("enter-joint", voters.voters, target)


def voters_after(view: View, voters: VoterSets, step: Step | None) -> VoterSets:
    """The voters in force once an entry's step is executed.

    view, voters: as of the block before. A step that is not the one due changes nothing.
    """
    if step is None or step != next_step(view, voters):
        return voters
    return VoterSets(step.voters, step.incoming)


def step_between(before: VoterSets, after: VoterSets) -> Step | None:
    """The step that a block must have executed if it changed the voters so; None if it did not.

    Whether it was due is for `voters_after` to say.
    """
    if before == after:
        return None
    return Step("enter-joint" if after.incoming else "leave-joint", after.voters, after.incoming)


def _genesis_values(genesis: Genesis) -> dict[str, int]:
    values = {name: rule.default for name, rule in SETTINGS.items()}
    return values | {setting.name: setting.value for setting in genesis.settings}


def _node_ids(view: View, key: bytes) -> tuple[NodeId, ...]:
    value = view.get(key)
    assert value is not None, "genesis sets the nodes"
    return _NODE_IDS.decode(value)
