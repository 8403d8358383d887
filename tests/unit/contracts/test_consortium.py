"""The consortium: genesis becomes the state at height 0 once its keys and settings are checked."""

import msgspec
import pytest
from builders import DEPARTMENTS, Consortium, signer
from harness import CITY, token

from contracts.consortium import (
    NODES_MAX,
    SETTINGS,
    check_genesis,
    department_of_key,
    departments_in_force,
    genesis_state,
    genesis_voters,
    member,
    members,
    next_step,
    node,
    nodes,
    setting,
    target_voters,
)
from ledger.errors import BadKey, Malformed
from ledger.genesis import Genesis, RecordKey, Setting

GENESIS = CITY.genesis_file.genesis
STATE = genesis_state(GENESIS)


def with_setting(name: str, value: int) -> Genesis:
    return msgspec.structs.replace(GENESIS, settings=(Setting(name, value),))


def test_genesis_makes_every_department_a_member_with_its_keys_and_nodes() -> None:
    check_genesis(GENESIS)
    for name, title in DEPARTMENTS.items():
        known = member(STATE, name)
        assert known is not None
        node_id = CITY.checkpoint_signer(name).public_key
        assert (known.title, known.nodes) == (title, (node_id,))
        assert department_of_key(STATE, CITY.record_signer(name).public_key) == name
        stands = node(STATE, node_id)
        assert stands is not None
        assert (stands.department, stands.since_height) == (name, 0)
        assert stands.description == CITY.department(name).nodes[0]


def test_who_is_not_in_genesis_is_nobody() -> None:
    assert member(STATE, "fisheries") is None
    assert department_of_key(STATE, signer("nobody").public_key) is None
    assert department_of_key(STATE, CITY.proposal_signer("health").public_key) is None
    assert node(STATE, token("node")) is None


def test_the_voters_of_genesis_vote_alone() -> None:
    voters = genesis_voters(Consortium(voter_count=3).genesis_file.genesis)
    assert voters.voters == tuple(sorted(CITY.node_ids[:3]))
    assert voters.incoming == ()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_has_its_default_unless_genesis_names_another_value(name: str) -> None:
    rule = SETTINGS[name]
    assert rule.least <= rule.default <= rule.greatest
    assert rule.meaning
    assert setting(STATE, name) == rule.default
    for value in (rule.least, rule.greatest):
        changed = with_setting(name, value)
        if (name, value) not in (("voters-min", rule.greatest), ("voters-max", rule.least)):
            check_genesis(changed)
        assert setting(genesis_state(changed), name) == value


@pytest.mark.parametrize(("name", "value"), [("voters-min", 8), ("voters-max", 2)])
def test_a_genesis_that_allows_no_number_of_voters_is_refused(name: str, value: int) -> None:
    with pytest.raises(Malformed, match="voters-min is more than voters-max"):
        check_genesis(with_setting(name, value))


def test_a_genesis_of_more_nodes_than_a_consortium_may_have_is_refused() -> None:
    names = tuple(f"department-{number:02}" for number in range(NODES_MAX + 1))
    check_genesis(Consortium(names[:-1]).genesis_file.genesis)
    with pytest.raises(Malformed, match="65 nodes"):
        check_genesis(Consortium(names).genesis_file.genesis)


def test_genesis_lists_who_is_in_force_and_who_votes() -> None:
    genesis = Consortium(voter_count=3).genesis_file.genesis
    state = genesis_state(genesis)
    assert departments_in_force(state) == tuple(sorted(DEPARTMENTS))
    assert nodes(state) == members(state) == tuple(sorted(CITY.node_ids))
    assert target_voters(state) == genesis.voters
    assert next_step(state, genesis_voters(genesis)) is None


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_outside_its_bounds_is_refused(name: str) -> None:
    rule = SETTINGS[name]
    for value in (rule.least - 1, rule.greatest + 1):
        with pytest.raises(Malformed, match="is not within"):
            check_genesis(with_setting(name, value))


def test_a_setting_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(Malformed, match="record-skew-ms") as refused:
        check_genesis(with_setting("colour", 1))
    assert "unknown setting colour" in refused.value.why


def test_a_setting_that_genesis_did_not_make_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="genesis sets"):
        setting({}, "record-skew-ms")


def test_a_key_outside_the_signature_rule_is_refused_with_whose_it_is() -> None:
    weak = RecordKey(b"\x01" + bytes(31), "the node")
    first, *others = GENESIS.departments
    weakened = msgspec.structs.replace(first, record_keys=(weak,))
    changed = msgspec.structs.replace(GENESIS, departments=(weakened, *others))
    with pytest.raises(BadKey, match="a key of civil-affairs"):
        check_genesis(changed)


def test_a_node_key_outside_the_signature_rule_is_refused_too() -> None:
    first, *others = GENESIS.departments
    weak = msgspec.structs.replace(first.nodes[0], tls_key=bytes(32))
    weakened = msgspec.structs.replace(first, nodes=(weak,))
    changed = msgspec.structs.replace(GENESIS, departments=(weakened, *others))
    with pytest.raises(BadKey, match="a key of civil-affairs"):
        check_genesis(changed)
