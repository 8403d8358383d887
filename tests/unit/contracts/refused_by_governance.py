"""Cases about the consortium that a contract refuses, and those of a suspended department."""

import msgspec
import refused_by_catalogue
import refused_by_exchanges
import refused_by_grants
import refused_by_policies
from builders import enrolment_of, joining_enrolment, node_description, signer
from council import NEWCOMER, Council
from harness import CONSUMER, PROVIDER, STRANGER, Sent, token, wanted
from refused_by_machine import CASES, refused

from contracts.consortium import DEPARTMENT_KEYS_MAX, DEPARTMENT_NODES_MAX
from contracts.governance import OPEN_PROPOSALS_MAX
from contracts.membership import (
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
from ledger.genesis import Department, RecordKey, SignedEnrolment
from ledger.statements import NO_LEDGER

PURPOSES = ("checkpoint", "proposal", "tls", "publication", "witness")


def suspended(council: Council, name: str = STRANGER) -> Council:
    """The council after a department was suspended."""
    council.decide_to(SuspendDepartment(name))
    return council


def retired(council: Council, name: str = STRANGER) -> Council:
    """The council after a department was retired."""
    council.decide_to(RetireDepartment(name))
    return council


def alone(council: Council) -> Council:
    """The council after every department but transport was suspended."""
    for name in council.names:
        if name != "transport":
            council.decide_to(SuspendDepartment(name), "transport")
    return council


def of_nodes(council: Council, name: str, count: int) -> SignedEnrolment:
    """An enrolment of one record key and so many nodes."""
    key = signer(f"{name}/9/records")
    department = Department(
        department=name,
        title=name,
        record_keys=(RecordKey(key.public_key, "the node"),),
        nodes=tuple(node_description(name, 10 + place) for place in range(count)),
    )
    signers = [key]
    for place in range(count):
        signers += [signer(f"{name}/{10 + place}/{purpose}") for purpose in PURPOSES]
    made = enrolment_of(department, council.city.ledger_id, signers)
    return SignedEnrolment(made.enrolment_bytes, made.signatures)


# Departments


@refused("department-exists")
def a_newcomer_with_a_members_name(council: Council) -> Sent:
    return council.proposal(AdmitDepartment(council.enrolment("health", 1)))


@refused("department-exists")
def a_newcomer_with_a_retired_members_name(council: Council) -> Sent:
    enrolment = council.enrolment(STRANGER, 1)
    return retired(council).proposal(AdmitDepartment(enrolment))


@refused("unknown-department")
def a_suspension_of_nobody(council: Council) -> Sent:
    return council.proposal(SuspendDepartment(NEWCOMER))


@refused("unknown-department")
def a_node_for_nobody(council: Council) -> Sent:
    return council.proposal(AdmitNode(council.enrolment()))


@refused("department-retired")
def a_resumption_of_a_retired_department(council: Council) -> Sent:
    return retired(council).proposal(ResumeDepartment(STRANGER))


@refused("department-retired")
def a_node_for_a_retired_department(council: Council) -> Sent:
    return retired(council).proposal(AdmitNode(council.enrolment(STRANGER, 1)))


@refused("department-retired")
def a_record_of_a_retired_department(council: Council) -> Sent:
    return retired(council).key_add(STRANGER)


@refused("department-retired")
def a_receipt_under_a_retired_consumers_grant(council: Council) -> Sent:
    return retired(council, CONSUMER).receipts()


@refused("department-suspended")
def a_request_of_a_suspended_department(council: Council) -> Sent:
    return suspended(council, CONSUMER).sign(CONSUMER, "grant.request", wanted())


@refused("department-suspended")
def a_request_to_a_suspended_provider(council: Council) -> Sent:
    return suspended(council, PROVIDER).sign(CONSUMER, "grant.request", wanted())


@refused("department-suspended")
def a_receipt_under_a_suspended_consumers_grant(council: Council) -> Sent:
    return suspended(council, CONSUMER).receipts()


@refused("department-suspended")
def a_receipt_of_a_suspended_provider(council: Council) -> Sent:
    return suspended(council, PROVIDER).receipts()


@refused("department-suspended")
def a_ballot_of_a_suspended_department(council: Council) -> Sent:
    proposal_id = council.opened(SuspendDepartment(PROVIDER))
    return suspended(council).ballot(STRANGER, proposal_id)


@refused("department-suspended")
def a_key_that_a_suspended_department_adds(council: Council) -> Sent:
    return suspended(council).key_add(STRANGER)


@refused("last-department")
def a_suspension_of_the_last_department(council: Council) -> Sent:
    return alone(council).proposal(SuspendDepartment("transport"), "transport")


@refused("last-department")
def a_retirement_of_the_last_department(council: Council) -> Sent:
    return alone(council).proposal(RetireDepartment("transport"), "transport")


@refused("nothing-to-change")
def a_suspension_of_a_suspended_department(council: Council) -> Sent:
    return suspended(council).proposal(SuspendDepartment(STRANGER))


@refused("nothing-to-change")
def a_resumption_of_an_active_department(council: Council) -> Sent:
    return council.proposal(ResumeDepartment(STRANGER))


# Enrolments and nodes


@refused("invalid-enrolment")
def an_enrolment_for_no_ledger_yet(council: Council) -> Sent:
    return council.proposal(AdmitDepartment(joining_enrolment(NO_LEDGER, NEWCOMER).signed()))


@refused("invalid-enrolment")
def an_enrolment_that_one_key_did_not_sign(council: Council) -> Sent:
    whole = council.enrolment()
    forged = SignedEnrolment(whole.enrolment, (*whole.signatures[:-1], bytes(64)))
    return council.proposal(AdmitDepartment(forged))


@refused("invalid-enrolment")
def an_enrolment_without_all_signatures(council: Council) -> Sent:
    whole = council.enrolment()
    short = SignedEnrolment(whole.enrolment, whole.signatures[:-1])
    return council.proposal(AdmitDepartment(short))


@refused("invalid-enrolment")
def an_enrolment_that_is_none(council: Council) -> Sent:
    return council.proposal(AdmitDepartment(SignedEnrolment(b"words", ())))


@refused("invalid-enrolment")
def a_further_node_without_a_node(council: Council) -> Sent:
    return council.proposal(AdmitNode(of_nodes(council, "health", 0)))


@refused("invalid-enrolment")
def a_successor_of_another_department(council: Council) -> Sent:
    enrolment = council.enrolment("housing", 1)
    return council.proposal(ReplaceNode(council.node_of("health"), enrolment, True))


@refused("invalid-enrolment")
def two_successors_of_one_node(council: Council) -> Sent:
    enrolment = of_nodes(council, "health", 2)
    return council.proposal(ReplaceNode(council.node_of("health"), enrolment, True))


@refused("invalid-enrolment")
def a_new_key_that_did_not_sign(council: Council) -> Sent:
    record = council.key_add("health")
    body = msgspec.msgpack.decode(record.header.body)
    return council.sign("health", "key.add", [body[0], bytes(64)])


@refused("invalid-enrolment")
def a_new_key_that_signed_for_another_department(council: Council) -> Sent:
    return council.key_add("health", key_of="housing")


@refused("invalid-enrolment")
def a_new_key_outside_the_signature_rule(council: Council) -> Sent:
    return council.sign("health", "key.add", [[b"\x01" + bytes(31), "a thief"], bytes(64)])


@refused("key-in-use")
def an_enrolment_with_a_founders_keys(council: Council) -> Sent:
    return council.proposal(AdmitNode(council.enrolment("health", 0)))


@refused("key-in-use")
def a_key_that_is_added_twice(council: Council) -> Sent:
    council.accept(council.key_add("health"))
    return council.key_add("health")


@refused("key-in-use")
def a_key_that_was_revoked(council: Council) -> Sent:
    council.accept(council.key_add("health"))
    council.accept(council.key_revoke("health", signer("health/more/1").public_key))
    return council.key_add("health")


@refused("unknown-node")
def a_retirement_of_no_node(council: Council) -> Sent:
    return council.proposal(RetireNode(token("node")))


@refused("unknown-node")
def a_retirement_of_a_retired_node(council: Council) -> Sent:
    council.decide_to(RetireNode(council.node_of(STRANGER)))
    return council.proposal(RetireNode(council.node_of(STRANGER)))


@refused("unknown-node")
def a_replacement_of_no_node(council: Council) -> Sent:
    return council.proposal(ReplaceNode(token("node"), council.enrolment("health", 1), False))


@refused("unknown-node")
def a_voter_that_is_no_node(council: Council) -> Sent:
    return council.proposal(ChangeVoters((token("node"),), ()))


@refused("unknown-node")
def a_voter_that_was_retired(council: Council) -> Sent:
    council.decide_to(RetireNode(council.node_of(STRANGER)))
    return council.proposal(ChangeVoters((council.node_of(STRANGER),), ()))


@refused("limit-reached")
def more_nodes_than_a_department_may_have(council: Council) -> Sent:
    for start in range(1, DEPARTMENT_NODES_MAX):
        council.decide_to(AdmitNode(council.enrolment("health", start)))
    return council.proposal(AdmitNode(council.enrolment("health", DEPARTMENT_NODES_MAX)))


@refused("limit-reached")
def more_keys_than_a_department_may_have(council: Council) -> Sent:
    for number in range(1, DEPARTMENT_KEYS_MAX):
        council.accept(council.key_add("health", number))
    return council.key_add("health", DEPARTMENT_KEYS_MAX)


# Voters


@refused("nothing-to-change")
def a_voter_that_is_one(council: Council) -> Sent:
    return council.proposal(ChangeVoters((council.node_of("health"),), ()))


@refused("nothing-to-change")
def a_change_of_no_voter(council: Council) -> Sent:
    return council.proposal(ChangeVoters((), ()))


@refused("not-a-voter")
def a_learner_that_is_to_vote_no_more(council: Council) -> Sent:
    learner = council.admit()
    return council.proposal(ChangeVoters((), (learner,)))


@refused("not-a-voter")
def a_successor_to_a_place_that_is_none(council: Council) -> Sent:
    learner = council.admit()
    return council.proposal(ReplaceNode(learner, council.enrolment(NEWCOMER, 1), True))


@refused("invalid-voters")
def fewer_voters_than_allowed(council: Council) -> Sent:
    leaving = tuple(sorted(council.node_of(name) for name in council.names[:3]))
    return council.proposal(ChangeVoters((), leaving))


@refused("invalid-voters")
def more_voters_than_allowed(council: Council) -> Sent:
    council.decide_to(ChangeSetting("voters-max", 5))
    return council.proposal(ChangeVoters((council.admit(),), ()))


@refused("invalid-voters")
def voters_out_of_order(council: Council) -> Sent:
    leaving = sorted((council.node_of(name) for name in council.names[:2]), reverse=True)
    return council.proposal(ChangeVoters((), tuple(leaving)))


@refused("invalid-voters")
def a_retirement_that_leaves_too_few_voters(council: Council) -> Sent:
    council.decide_to(ChangeSetting("voters-min", 5))
    return council.proposal(RetireDepartment(STRANGER))


@refused("voter-change-open")
def another_change_while_the_voters_are_joint(council: Council) -> Sent:
    council.change_voters((), (council.node_of(STRANGER),))
    council.step()
    return council.proposal(RetireNode(council.node_of("health")))


# Keys and settings


@refused("unknown-key")
def a_revocation_of_another_departments_key(council: Council) -> Sent:
    return council.key_revoke("health", council.city.record_signer("housing").public_key)


@refused("unknown-key")
def a_revocation_of_no_key(council: Council) -> Sent:
    return council.proposal(RevokeKey(token("key")))


@refused("unknown-key")
def a_record_with_a_revoked_key(council: Council) -> Sent:
    council.accept(council.key_add(STRANGER))
    council.accept(council.key_revoke(STRANGER))
    return council.sign(STRANGER, "grant.request", wanted())


@refused("nothing-to-change")
def a_revocation_of_a_revoked_key(council: Council) -> Sent:
    key = council.city.record_signer(STRANGER).public_key
    council.accept(council.key_add(STRANGER))
    council.accept(council.key_revoke(STRANGER))
    return council.proposal(RevokeKey(key))


@refused("last-key")
def a_revocation_of_the_last_key(council: Council) -> Sent:
    return council.key_revoke("health")


@refused("invalid-setting")
def a_setting_that_there_is_not(council: Council) -> Sent:
    return council.proposal(ChangeSetting("colour", 1))


@refused("invalid-setting")
def a_setting_out_of_its_bounds(council: Council) -> Sent:
    return council.proposal(ChangeSetting("voters-min", 65))


@refused("invalid-setting")
def a_least_number_of_voters_above_the_most(council: Council) -> Sent:
    return council.proposal(ChangeSetting("voters-min", 8))


@refused("nothing-to-change")
def a_setting_that_has_this_value(council: Council) -> Sent:
    return council.proposal(ChangeSetting("voters-min", 3))


# Proposals


@refused("unknown-proposal")
def a_ballot_on_nothing(council: Council) -> Sent:
    return council.ballot("health", token("proposal"))


@refused("unknown-proposal")
def a_withdrawal_of_nothing(council: Council) -> Sent:
    return council.withdrawal("health", token("proposal"))


@refused("proposal-closed")
def a_ballot_on_what_is_decided(council: Council) -> Sent:
    proposal_id = council.almost(ChangeSetting("voters-min", 1))
    council.accept(council.ballot("tourism", proposal_id))
    return council.ballot("transport", proposal_id)


@refused("proposal-closed")
def a_ballot_on_what_was_rejected(council: Council) -> Sent:
    proposal_id = council.opened(ChangeSetting("voters-min", 1))
    council.accept(council.ballot("health", proposal_id, False))
    council.accept(council.ballot("housing", proposal_id, False))
    return council.ballot("transport", proposal_id)


@refused("proposal-closed")
def a_ballot_on_what_was_withdrawn(council: Council) -> Sent:
    proposal_id = council.opened(ChangeSetting("voters-min", 1))
    council.accept(council.withdrawal("civil-affairs", proposal_id))
    return council.ballot("transport", proposal_id)


@refused("proposal-closed")
def a_withdrawal_of_what_is_decided(council: Council) -> Sent:
    proposal_id = council.almost(ChangeSetting("voters-min", 1))
    council.accept(council.ballot("tourism", proposal_id))
    return council.withdrawal("civil-affairs", proposal_id)


@refused("already-voted")
def the_same_ballot_again(council: Council) -> Sent:
    proposal_id = council.opened(ChangeSetting("voters-min", 1))
    return council.ballot("civil-affairs", proposal_id)


@refused("not-the-proposer")
def a_withdrawal_of_anothers_proposal(council: Council) -> Sent:
    proposal_id = council.opened(ChangeSetting("voters-min", 1))
    return council.withdrawal("health", proposal_id)


@refused("too-many-proposals")
def more_open_proposals_than_a_department_may_have(council: Council) -> Sent:
    for value in range(OPEN_PROPOSALS_MAX):
        council.opened(ChangeSetting("record-skew-ms", value))
    return council.proposal(ChangeSetting("voters-min", 1))


OTHERS = (refused_by_catalogue, refused_by_grants, refused_by_policies, refused_by_exchanges)
"""Their cases enter the table as they are imported."""

ALL_CASES = tuple(CASES)
"""The whole table: the machine's cases and the contracts'."""
