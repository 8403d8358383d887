"""Cases that a contract refuses: of policies and of emergencies."""

from acts import (
    co_approved,
    confirmed,
    emergency,
    permitted,
    policy_of,
    review,
    with_dataset_withdrawn,
)
from harness import (
    CONSUMER,
    DAY_MS,
    PEOPLE,
    PROVIDER,
    STRANGER,
    Sent,
    Stage,
    token,
)
from refused_by_machine import refused

from contracts.emergencies import EmergencyConfirm
from contracts.policies import (
    PolicyWithdraw,
)

HOUR_MS = 3_600_000


# Policies


@refused("unknown-dataset")
def a_policy_for_no_dataset(stage: Stage) -> Sent:
    return policy_of(stage, name="pupils")


@refused("unknown-dataset")
def a_policy_for_another_departments_dataset(stage: Stage) -> Sent:
    return policy_of(stage, department=STRANGER)


@refused("dataset-withdrawn")
def a_policy_for_a_withdrawn_dataset(stage: Stage) -> Sent:
    return policy_of(with_dataset_withdrawn(stage))


@refused("invalid-document")
def a_policy_that_is_too_long(stage: Stage) -> Sent:
    return policy_of(stage, document=b" " * (64 * 1024 + 1))


@refused("invalid-document")
def a_policy_that_is_no_text(stage: Stage) -> Sent:
    return policy_of(stage, document=b"\xff")


@refused("other-policy")
def a_withdrawal_of_no_policy(stage: Stage) -> Sent:
    body = PolicyWithdraw(PEOPLE, "stewards decide")
    return stage.sign(PROVIDER, "policy.withdraw", body)


@refused("other-policy")
def a_decision_that_cites_a_policy_where_there_is_none(stage: Stage) -> Sent:
    return permitted(stage, stage.requested())


@refused("other-policy")
def a_decision_that_cites_a_policy_that_was_replaced(stage: Stage) -> Sent:
    stage.accept(
        policy_of(stage), policy_of(stage, document=b"permit(principal, action, resource);")
    )
    return permitted(stage, stage.requested())


@refused("other-policy")
def a_decision_that_cites_policies_out_of_order(stage: Stage) -> Sent:
    stage.accept(policy_of(stage))
    return permitted(stage, stage.requested(), policies=("b", "a"))


@refused("not-the-provider")
def a_decision_by_a_co_approvers_policy(stage: Stage) -> Sent:
    grant_id = stage.requested(dataset=co_approved(stage))
    return permitted(stage, grant_id, department=STRANGER)


@refused("unknown-grant")
def a_decision_about_no_grant(stage: Stage) -> Sent:
    stage.accept(policy_of(stage))
    return permitted(stage, token("none"))


@refused("already-decided")
def a_decision_after_a_steward_was_faster(stage: Stage) -> Sent:
    stage.accept(policy_of(stage))
    return permitted(stage, stage.grant_id)


# Emergencies


@refused("emergency-too-wide")
def an_emergency_for_more_fields_than_the_setting(stage: Stage) -> Sent:
    names = tuple(f"f{number}" for number in range(9))
    return emergency(stage, fields=names)


@refused("emergency-too-wide")
def an_emergency_without_a_limit_of_exchanges(stage: Stage) -> Sent:
    return emergency(stage, exchanges_max=0)


@refused("emergency-too-wide")
def an_emergency_for_longer_than_the_setting(stage: Stage) -> Sent:
    return emergency(stage, valid_until_ms=stage.time_ms + 3 * DAY_MS + 2_000)


@refused("emergency-too-wide")
def an_emergency_that_need_not_name_its_subjects(stage: Stage) -> Sent:
    return emergency(stage, subjects_named=False)


@refused("emergency-too-wide")
def an_emergency_whose_data_may_be_shared_onward(stage: Stage) -> Sent:
    return emergency(stage, onward=True)


@refused("not-shared")
def an_emergency_on_a_closed_dataset(stage: Stage) -> Sent:
    stage.accept(stage.publish("pupils", sharing="closed"))
    return emergency(stage, dataset="pupils")


@refused("unknown-grant")
def a_confirmation_of_no_grant(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "emergency.confirm", EmergencyConfirm(token("none")))


@refused("unknown-grant")
def a_review_of_no_grant(stage: Stage) -> Sent:
    return review(stage, token("none"))


@refused("no-emergency")
def a_confirmation_of_an_ordinary_grant(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "emergency.confirm", EmergencyConfirm(stage.requested()))


@refused("no-emergency")
def a_review_of_an_ordinary_grant(stage: Stage) -> Sent:
    return review(stage, stage.grant_id)


@refused("not-the-provider")
def an_emergency_that_its_own_department_confirms(stage: Stage) -> Sent:
    started = emergency(stage)
    stage.accept(started)
    return stage.sign(CONSUMER, "emergency.confirm", EmergencyConfirm(started.record_id))


@refused("not-the-provider")
def a_review_by_the_department_that_used_the_emergency(stage: Stage) -> Sent:
    return review(stage, confirmed(stage), CONSUMER)


@refused("already-decided")
def a_second_confirmation(stage: Stage) -> Sent:
    grant_id = confirmed(stage)
    return stage.sign(PROVIDER, "emergency.confirm", EmergencyConfirm(grant_id))


@refused("already-decided")
def an_ordinary_approval_of_an_emergency(stage: Stage) -> Sent:
    started = emergency(stage)
    stage.accept(started)
    return stage.reply(PROVIDER, "approve", started.record_id)


@refused("already-decided")
def a_review_before_the_confirmation(stage: Stage) -> Sent:
    started = emergency(stage)
    stage.accept(started)
    return review(stage, started.record_id)


@refused("already-decided")
def a_second_review(stage: Stage) -> Sent:
    grant_id = confirmed(stage)
    stage.accept(review(stage, grant_id))
    return review(stage, grant_id)


@refused("emergency-lapsed")
def a_confirmation_after_the_hour(stage: Stage) -> Sent:
    started = emergency(stage)
    stage.accept(started)
    stage.execute(time_ms=stage.time_ms + HOUR_MS - 1_000)
    return stage.sign(PROVIDER, "emergency.confirm", EmergencyConfirm(started.record_id))


@refused("review-missing")
def a_receipt_under_an_emergency_whose_review_is_missing(stage: Stage) -> Sent:
    grant_id = confirmed(stage)
    stage.execute(time_ms=stage.time_ms + DAY_MS - 1_000)
    return stage.receipts(grant_id=grant_id)


@refused("review-missing")
def another_emergency_while_a_review_is_missing(stage: Stage) -> Sent:
    confirmed(stage)
    stage.execute(time_ms=stage.time_ms + DAY_MS)
    return emergency(stage)


@refused("review-missing")
def a_seventeenth_emergency_while_none_is_reviewed(stage: Stage) -> Sent:
    for _ in range(16):
        confirmed(stage)
    started = emergency(stage)
    stage.accept(started)
    return stage.sign(PROVIDER, "emergency.confirm", EmergencyConfirm(started.record_id))
