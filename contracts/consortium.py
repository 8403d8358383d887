"""Who takes part: departments, nodes, record keys and the numbers agreed on, as genesis set them.

A key counts exactly where the state just before the record says so; when a record claims to have
been made is never evidence of that.
"""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from contracts.state import (
    View,
    department_key,
    node_key,
    record_key_key,
    setting_key,
)
from ledger.blocks import VoterSets
from ledger.codec import Decoder, Format, encode
from ledger.errors import BadKey, Malformed
from ledger.genesis import Genesis, NodeDescription
from ledger.signatures import check_public_key
from ledger.types import Identifier, Natural, NodeId, PublicKey


@dataclass(frozen=True, slots=True)
class SettingRule:
    """A number the consortium agrees on: its default and its bounds, both inclusive."""

    default: int
    least: int
    greatest: int
    meaning: str


SETTINGS: dict[str, SettingRule] = {
    "grant-validity-max-ms": SettingRule(
        5 * 366 * 86_400_000, 1_000, 100 * 366 * 86_400_000, "the longest validity of a grant"
    ),
    "record-skew-ms": SettingRule(
        5_000, 0, 600_000, "how far ahead of a block's time a record may be created"
    ),
    "record-window-ms": SettingRule(
        86_400_000, 1_000, 86_400_000, "the longest window in which a record may be accepted"
    ),
    "records-per-block": SettingRule(
        5_000, 1, 10_000, "records that one department may have in one block"
    ),
    "release-window-ms": SettingRule(
        10_000, 100, 600_000, "how long after submitting a receipt a provider may release the data"
    ),
}
"""Every setting; genesis may name other values, and each default counts from genesis on."""


class Member(Format, frozen=True):
    """A department in the state."""

    title: Annotated[str, Meta(max_length=200)]
    nodes: tuple[NodeId, ...]


class KeyState(Format, frozen=True):
    """A record key in the state: whose it is."""

    department: Identifier
    holder: Annotated[str, Meta(max_length=200)]


class NodeState(Format, frozen=True):
    """A node in the state: whose it is, and its description."""

    department: Identifier
    description: NodeDescription
    since_height: Natural


_MEMBER: Decoder[Member] = Decoder(Member, what="member", bytes_max=4096)
_KEY: Decoder[KeyState] = Decoder(KeyState, what="key state", bytes_max=2048)
_NODE: Decoder[NodeState] = Decoder(NodeState, what="node state", bytes_max=2048)


def check_genesis(genesis: Genesis) -> None:
    """Keys are within the signature rule and settings within their bounds.

    Raises BadKey or Malformed; the founders' signatures are `GenesisFile.check`'s.
    """
    for department in genesis.departments:
        for key in department.keys():
            try:
                check_public_key(key)
            except BadKey as error:
                raise BadKey(f"a key of {department.department}", error.why) from None
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


def genesis_state(genesis: Genesis) -> dict[bytes, bytes]:
    """The state at height 0."""
    state: dict[bytes, bytes] = {}
    values = {name: rule.default for name, rule in SETTINGS.items()}
    values |= {setting.name: setting.value for setting in genesis.settings}
    for name, value in values.items():
        state[setting_key(name)] = value.to_bytes(8, "big")
    for department in genesis.departments:
        name = department.department
        nodes = tuple(node.node_id for node in department.nodes)
        state[department_key(name)] = encode(Member(department.title, nodes))
        for record_key in department.record_keys:
            state[record_key_key(record_key.key)] = encode(KeyState(name, record_key.holder))
        for node in department.nodes:
            state[node_key(node.node_id)] = encode(NodeState(name, node, 0))
    return state


def genesis_voters(genesis: Genesis) -> VoterSets:
    """The voters at height 0."""
    return VoterSets(genesis.voters)


def department_of_key(view: View, key: PublicKey) -> str | None:
    """The department for which a record key counts; None if it does not."""
    value = view.get(record_key_key(key))
    return None if value is None else _KEY.decode(value).department


def member(view: View, department: str) -> Member | None:
    """A department, None if it is none."""
    value = view.get(department_key(department))
    return None if value is None else _MEMBER.decode(value)


def node(view: View, node_id: NodeId) -> NodeState | None:
    """A node, None if the ledger names none such."""
    value = view.get(node_key(node_id))
    return None if value is None else _NODE.decode(value)


def setting(view: View, name: str) -> int:
    """A setting's value."""
    value = view.get(setting_key(name))
    assert value is not None, f"genesis sets {name}"
    return int.from_bytes(value, "big")
