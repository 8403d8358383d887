"""Proposals and ballots: what decides, when, and where it takes effect."""

import msgspec
import pytest
from builders import START_MS, Consortium, signer
from council import NEWCOMER, Council
from harness import CONSUMER, DAY_MS, PROVIDER, STRANGER, description, offer, token, wanted

from contracts.consortium import (
    departing_nodes,
    department_of_key,
    departments_in_force,
    member,
    members,
    next_step,
    node,
    nodes,
    setting,
    step_between,
    target_voters,
    voters_after,
)
from contracts.governance import Cast, is_open, tally
from contracts.grants import standing
from contracts.membership import (
    ACTIONS,
    AdmitDepartment,
    AdmitNode,
    ChangeSetting,
    ChangeVoters,
    ReplaceNode,
    ResumeDepartment,
    RetireDepartment,
    RetireNode,
    RevokeKey,
    SuspendDepartment,
)
from ledger.blocks import VoterSets
from ledger.entries import Step

CHANGE = ChangeSetting("record-skew-ms", 7_000)


@pytest.fixture
def council() -> Council:
    return Council()


def status(council: Council, name: str) -> str:
    known = member(council.state, name)
    assert known is not None
    return known.status


# What decides


def test_it_is_decided_exactly_with_the_ballot_that_reaches_the_threshold(
    council: Council,
) -> None:
    proposal_id = council.almost(CHANGE)
    assert setting(council.state, "record-skew-ms") == 5_000
    block = council.accept(council.ballot("tourism", proposal_id))
    known = council.standing(proposal_id)
    assert (known.status, known.decided_height) == ("decided", block.height)
    assert setting(council.state, "record-skew-ms") == 7_000


def test_what_is_decided_counts_from_the_next_record_of_the_same_block_on(
    council: Council,
) -> None:
    proposal_id = council.almost(SuspendDepartment(STRANGER))
    before = council.sign(STRANGER, "grant.request", wanted())
    after = council.sign(STRANGER, "grant.request", wanted(description="another one"))
    deciding = council.ballot("transport", proposal_id)
    assert council.codes(before, deciding, after) == ["department-suspended"]
    assert council.standing(proposal_id).status == "decided"


@pytest.mark.parametrize(
    ("percent", "departments", "needed"),
    [(50, 1, 1), (50, 2, 2), (50, 4, 3), (66, 3, 2), (66, 6, 4), (66, 50, 34), (99, 5, 5)],
)
def test_more_than_the_percentage_of_the_departments_has_to_approve(
    percent: int, departments: int, needed: int
) -> None:
    names = tuple(f"department-{number:02}" for number in range(departments))
    percents = (("setting-ballots-percent", percent),)
    council = Council(Consortium(names, 1, percents), staged=False)
    record = council.proposal(CHANGE, names[0])
    council.accept(record)
    for count, name in enumerate(names[1:], 1):
        known = council.standing(record.record_id)
        assert tally(council.state, known).needed == needed
        assert (known.status == "decided") is (count >= needed)
        if known.status == "decided":
            break
        council.accept(council.ballot(name, record.record_id))
    assert council.standing(record.record_id).status == "decided"


def test_a_proposal_is_rejected_once_the_threshold_is_out_of_reach(council: Council) -> None:
    proposal_id = council.opened(CHANGE)
    council.accept(council.ballot("health", proposal_id, False))
    assert council.standing(proposal_id).status == "open"
    block = council.accept(council.ballot("housing", proposal_id, False))
    known = council.standing(proposal_id)
    assert (known.status, known.decided_height) == ("rejected", block.height)


def test_a_department_may_change_its_ballot_and_has_only_one(council: Council) -> None:
    proposal_id = council.opened(CHANGE)
    council.accept(council.ballot("health", proposal_id, False))
    council.accept(council.ballot("health", proposal_id))
    council.accept(council.ballot("civil-affairs", proposal_id, False))
    assert council.standing(proposal_id).ballots == (
        Cast("civil-affairs", False),
        Cast("health", True),
    )


def test_only_ballots_of_departments_in_force_count(council: Council) -> None:
    proposal_id = council.almost(CHANGE)
    council.decide_to(SuspendDepartment("health"))
    counted = tally(council.state, council.standing(proposal_id))
    assert (counted.approvals, counted.departments, counted.needed) == (2, 4, 3)
    council.accept(council.ballot("tourism", proposal_id))
    assert council.standing(proposal_id).status == "decided"


def test_a_threshold_that_falls_decides_with_the_next_ballot_and_not_by_itself(
    council: Council,
) -> None:
    proposal_id = council.almost(CHANGE)
    council.decide_to(SuspendDepartment("transport"))
    known = council.standing(proposal_id)
    assert known.status == "open"
    assert tally(council.state, known).decided
    council.accept(council.ballot("health", proposal_id))
    assert council.standing(proposal_id).status == "decided"


def test_a_newcomer_counts_and_decides_as_the_founders_do(council: Council) -> None:
    council.admit()
    proposal_id = council.opened(CHANGE, by=NEWCOMER)
    counted = tally(council.state, council.standing(proposal_id))
    assert (counted.departments, counted.needed) == (6, 4)
    for name in ("health", "housing"):
        council.accept(council.ballot(name, proposal_id))
    assert council.standing(proposal_id).status == "open"
    council.accept(council.ballot("tourism", proposal_id))
    assert council.standing(proposal_id).status == "decided"


def test_a_proposal_takes_no_ballot_from_the_moment_on_that_it_expires(council: Council) -> None:
    proposal_id = council.opened(CHANGE)
    known = council.standing(proposal_id)
    assert known.expires_ms == council.time_ms + 30 * DAY_MS
    assert is_open(known, time_ms=known.expires_ms - 1)
    assert not is_open(known, time_ms=known.expires_ms)
    late = known.expires_ms
    council.accept(council.ballot("health", proposal_id, created_ms=late - 1), time_ms=late - 1)
    last = council.ballot("housing", proposal_id, created_ms=late)
    assert council.codes(last, time_ms=late) == ["proposal-closed"]


def test_expired_and_closed_proposals_make_room_for_others(council: Council) -> None:
    ids = [council.opened(ChangeSetting("record-skew-ms", value)) for value in range(16)]
    council.accept(council.withdrawal("civil-affairs", ids[0]))
    council.opened(CHANGE)
    assert council.codes(council.proposal(CHANGE)) == ["too-many-proposals"]
    later = START_MS + 40 * DAY_MS
    council.accept(council.proposal(CHANGE, created_ms=later), time_ms=later)


def test_every_proposal_is_in_the_list_in_order(council: Council) -> None:
    ids = [council.opened(CHANGE, name) for name in council.names]
    assert council.lists[b"list/proposals"] == ids
    council.verify()


def test_an_action_that_cannot_be_done_any_more_refuses_the_deciding_ballot(
    council: Council,
) -> None:
    stranger = council.node_of(STRANGER)
    proposal_id = council.almost(RetireNode(stranger))
    council.decide_to(ChangeSetting("voters-min", 5))
    assert council.codes(council.ballot("tourism", proposal_id)) == ["invalid-voters"]
    assert council.standing(proposal_id).status == "open"
    council.decide_to(ChangeSetting("voters-min", 4))
    council.accept(council.ballot("tourism", proposal_id))
    assert stranger not in nodes(council.state)


def test_one_department_alone_decides_with_its_proposal() -> None:
    council = Council(Consortium(("health",), 1), staged=False)
    record = council.proposal(AdmitDepartment(council.enrolment()), "health")
    council.accept(record)
    assert council.standing(record.record_id).status == "decided"
    assert departments_in_force(council.state) == (NEWCOMER, "health")


def test_every_action_has_a_threshold_of_its_own_kind(council: Council) -> None:
    assert len(ACTIONS) == 11
    for rule in ACTIONS.values():
        assert 50 <= setting(council.state, rule.threshold) <= 99
    council.almost(RevokeKey(council.city.record_signer("health").public_key), ballots=2)


# Departments


def test_an_admitted_department_takes_part_and_its_node_is_a_learner(council: Council) -> None:
    learner = council.admit()
    assert status(council, NEWCOMER) == "active"
    known = node(council.state, learner)
    assert known is not None
    assert (known.department, known.retired_height) == (NEWCOMER, None)
    assert known.since_height == council.tip.height
    assert learner in members(council.state)
    assert learner not in target_voters(council.state)
    publish = council.sign(NEWCOMER, "dataset.publish", offer("boats"), document=description())
    council.accept(publish, council.sign(NEWCOMER, "grant.request", wanted()))


def test_a_suspended_department_may_only_end_and_settle(council: Council) -> None:
    grant_id = council.granted(exchanges_max=0, rows_max=0)
    council.accept(council.receipts(2, grant_id=grant_id))
    council.accept(council.key_add(PROVIDER))
    council.decide_to(SuspendDepartment(PROVIDER))
    assert council.codes(
        council.sign(PROVIDER, "dataset.publish", offer("beds"), document=description()),
        council.receipts(grant_id=grant_id),
        council.proposal(CHANGE, PROVIDER),
    ) == 3 * ["department-suspended"]
    council.accept(council.voids(grant_id=grant_id), council.denials(grant_id=grant_id))
    council.accept(council.acknowledgements(grant_id=grant_id))
    council.accept(council.decide(PROVIDER, "revoke", grant_id), council.key_revoke(PROVIDER))


def test_a_grant_lets_nothing_through_while_a_side_is_suspended(council: Council) -> None:
    for name in (PROVIDER, CONSUMER):
        council.decide_to(SuspendDepartment(name))
        refusal = standing(council.state, council.grant(), time_ms=council.time_ms)
        assert refusal is not None
        assert refusal.code == "department-suspended"
        council.decide_to(ResumeDepartment(name))
        assert standing(council.state, council.grant(), time_ms=council.time_ms) is None
        council.accept(council.receipts())


def test_a_retired_department_leaves_with_its_nodes_and_for_good(council: Council) -> None:
    stranger = council.node_of(STRANGER)
    council.decide_to(RetireDepartment(STRANGER))
    assert status(council, STRANGER) == "retired"
    assert STRANGER not in departments_in_force(council.state)
    assert stranger not in nodes(council.state)
    assert stranger not in target_voters(council.state)
    assert departing_nodes(council.state) == (stranger,)
    assert stranger in members(council.state)
    assert council.codes(council.key_add(STRANGER)) == ["department-retired"]


def test_a_retired_providers_grants_let_nothing_through(council: Council) -> None:
    council.decide_to(RetireDepartment(PROVIDER))
    refusal = standing(council.state, council.grant(), time_ms=council.time_ms)
    assert refusal is not None
    assert refusal.code == "department-retired"


# Nodes and voters


def test_a_further_node_is_a_learner_and_brings_its_record_key(council: Council) -> None:
    council.decide_to(AdmitNode(council.enrolment("health", 1)))
    second = signer("health/1/checkpoint").public_key
    known = member(council.state, "health")
    assert known is not None
    assert known.nodes == (council.node_of("health"), second)
    assert department_of_key(council.state, signer("health/1/records").public_key) == "health"
    by_new_key = council.sign(
        "health", "grant.request", wanted(provider="none"), by=signer("health/1/records")
    )
    assert council.codes(by_new_key) == ["unknown-dataset"]


def test_voters_change_by_two_steps_and_only_by_those_that_are_due(council: Council) -> None:
    before = council.tip.voters
    learner, leaves = council.admit(), council.node_of(STRANGER)
    council.change_voters((learner,), (leaves,))
    target = tuple(sorted({*before.voters, learner} - {leaves}))
    assert target_voters(council.state) == target
    assert council.tip.voters == before
    enter = Step("enter-joint", before.voters, target)
    leave = Step("leave-joint", target, ())
    assert next_step(council.state, council.tip.voters) == enter
    assert council.execute(step=leave).header.voters == before
    assert council.execute(step=enter).header.voters == VoterSets(before.voters, target)
    assert next_step(council.state, council.tip.voters) == leave
    assert council.execute(step=enter).header.voters == VoterSets(before.voters, target)
    assert council.execute(step=leave).header.voters == VoterSets(target)
    assert next_step(council.state, council.tip.voters) is None
    assert council.execute(step=leave).header.voters == VoterSets(target)


def test_a_step_counts_only_if_an_earlier_block_decided_it(council: Council) -> None:
    before = council.tip.voters
    leaves = council.node_of(STRANGER)
    proposal_id = council.almost(RetireNode(leaves))
    target = tuple(node_id for node_id in before.voters if node_id != leaves)
    enter = Step("enter-joint", before.voters, target)
    block = council.execute(council.ballot("tourism", proposal_id), step=enter)
    assert target_voters(council.state) == target
    assert block.header.voters == before
    assert council.execute(step=enter).header.voters == VoterSets(before.voters, target)


def test_until_a_change_is_entered_another_decision_replaces_it(council: Council) -> None:
    before = council.tip.voters
    first, second = council.node_of(STRANGER), council.node_of("health")
    council.change_voters((), (first,))
    stale = next_step(council.state, before)
    council.change_voters((first,), (second,))
    assert council.execute(step=stale).header.voters == before
    council.step()
    council.step()
    assert second not in council.tip.voters.voters
    assert first in council.tip.voters.voters


def test_a_change_that_is_taken_back_before_it_is_entered_leaves_no_step(
    council: Council,
) -> None:
    leaves = council.node_of(STRANGER)
    council.change_voters((), (leaves,))
    council.change_voters((leaves,), ())
    assert next_step(council.state, council.tip.voters) is None


def test_while_joint_no_voter_changes_and_a_ballot_may_be_cast_again_later(
    council: Council,
) -> None:
    council.change_voters((), (council.node_of(STRANGER),))
    proposal_id = council.almost(RetireNode(council.node_of("health")))
    council.step()
    ballot = council.ballot("tourism", proposal_id)
    assert council.codes(ballot) == ["voter-change-open"]
    council.step()
    council.accept(council.ballot("tourism", proposal_id))
    council.step()
    council.step()
    assert len(council.tip.voters.voters) == 3


def test_a_learner_comes_and_goes_while_the_voters_are_joint(council: Council) -> None:
    council.change_voters((), (council.node_of(STRANGER),))
    council.step()
    learner = council.admit()
    council.decide_to(RetireNode(learner))
    council.step()
    assert learner not in nodes(council.state)


def test_the_block_that_leaves_joint_may_decide_the_next_change(council: Council) -> None:
    council.change_voters((), (council.node_of(STRANGER),))
    proposal_id = council.almost(RetireNode(council.node_of("health")))
    council.step()
    leave = next_step(council.state, council.tip.voters)
    block = council.execute(council.ballot("tourism", proposal_id), step=leave)
    assert not block.refused
    assert len(block.header.voters.voters) == 4
    assert len(target_voters(council.state)) == 3


@pytest.mark.parametrize("votes", [True, False])
def test_a_successor_takes_the_place_or_starts_as_a_learner(council: Council, votes: bool) -> None:
    old, new = council.node_of("health"), signer("health/1/checkpoint").public_key
    council.decide_to(ReplaceNode(old, council.enrolment("health", 1), votes))
    target = target_voters(council.state)
    assert (new in target) is votes
    assert old not in target
    assert new in nodes(council.state)
    known = member(council.state, "health")
    assert known is not None
    assert known.nodes == (new,)
    retired = node(council.state, old)
    assert retired is not None
    assert retired.retired_height == council.tip.height


def test_a_learner_is_replaced_without_touching_the_voters(council: Council) -> None:
    learner, before = council.admit(), target_voters(council.state)
    council.decide_to(ReplaceNode(learner, council.enrolment(NEWCOMER, 1), False))
    assert target_voters(council.state) == before
    assert learner not in nodes(council.state)


def test_a_step_can_be_told_from_the_voters_around_it(council: Council) -> None:
    council.change_voters((), (council.node_of(STRANGER),))
    for _ in range(2):
        before, state = council.tip.voters, dict(council.state)
        council.step()
        made = step_between(before, council.tip.voters)
        assert voters_after(state, before, made) == council.tip.voters
    assert step_between(council.tip.voters, council.tip.voters) is None


# Keys


def test_a_key_counts_exactly_where_the_state_just_before_the_record_says_so(
    council: Council,
) -> None:
    new = signer("housing/more/1")
    early, late = (
        council.sign("housing", "grant.request", wanted(description=purpose), by=new)
        for purpose in ("early", "late")
    )
    assert council.codes(early, council.key_add("housing"), late) == ["unknown-key"]
    old = council.sign("housing", "grant.request", wanted(description="with the old key"))
    revoke = council.key_revoke("housing")
    stale = council.sign(
        "housing", "grant.request", wanted(description="created before"), created_ms=START_MS
    )
    assert council.codes(old, revoke, stale) == ["unknown-key"]


def test_a_rotation_has_an_overlap_in_which_both_keys_count(council: Council) -> None:
    council.accept(council.key_add("housing"))
    new = signer("housing/more/1")
    council.accept(
        council.sign("housing", "grant.request", wanted(description="old key")),
        council.sign("housing", "grant.request", wanted(description="new key"), by=new),
    )
    revoked = council.city.record_signer("housing").public_key
    council.accept(council.key_revoke("housing", revoked, by=new))
    assert department_of_key(council.state, revoked) is None
    assert department_of_key(council.state, new.public_key) == "housing"


def test_a_key_may_revoke_itself_if_another_one_is_left(council: Council) -> None:
    council.accept(council.key_add("housing"))
    council.accept(council.key_revoke("housing"))
    assert council.codes(council.key_revoke("housing")) == ["unknown-key"]


def test_ballots_revoke_even_the_last_key_and_an_enrolment_brings_another(
    council: Council,
) -> None:
    key = council.city.record_signer("health").public_key
    council.decide_to(RevokeKey(key))
    known = member(council.state, "health")
    assert known is not None
    assert known.record_keys == ()
    assert council.codes(council.key_add("health")) == ["unknown-key"]
    council.decide_to(ReplaceNode(council.node_of("health"), council.enrolment("health", 1), True))
    again = council.sign(
        "health", "dataset.publish", offer("beds"), document=description(),
        by=signer("health/1/records"),
    )  # fmt: skip
    council.accept(again)


# Formats


def test_a_proposal_in_the_state_says_what_its_record_said(council: Council) -> None:
    action = ChangeVoters((), (council.node_of(STRANGER),))
    record = council.proposal(action)
    block = council.accept(record)
    known = council.standing(record.record_id)
    assert msgspec.structs.asdict(known) == {
        "proposal_id": record.record_id,
        "proposer": "civil-affairs",
        "action": action,
        "reason": "as agreed",
        "status": "open",
        "opened_height": block.height,
        "decided_height": block.height,
        "expires_ms": block.header.time_ms + 30 * DAY_MS,
        "ballots": (Cast("civil-affairs", True),),
    }
    assert member(council.state, "nobody") is None
    assert node(council.state, token("nobody")) is None
