"""Cases that a contract refuses: of exchanges."""

from acts import amendment, shared_onward, with_dataset_withdrawn
from builders import START_MS
from harness import (
    CONSUMER,
    DAY_MS,
    PROVIDER,
    Sent,
    Stage,
    items_of,
    receipt,
    receipt_lines,
    token,
)
from refused_by_machine import refused

from contracts.exchanges import Receipts
from contracts.limits import Hours, Rate

HOUR_MS = 3_600_000


# Exchanges


@refused("grant-not-active")
def a_receipt_before_the_approval(stage: Stage) -> Sent:
    return stage.receipts(grant_id=stage.requested())


@refused("grant-not-active")
def a_receipt_after_the_provider_said_no(stage: Stage) -> Sent:
    grant_id = stage.requested()
    stage.accept(stage.reply(PROVIDER, "refuse", grant_id))
    return stage.receipts(grant_id=grant_id)


@refused("grant-revoked")
def a_receipt_after_the_revocation(stage: Stage) -> Sent:
    stage.accept(stage.decide(PROVIDER, "revoke"))
    return stage.receipts()


@refused("grant-withdrawn")
def a_receipt_after_the_consumer_withdrew(stage: Stage) -> Sent:
    stage.accept(stage.decide(CONSUMER, "withdraw"))
    return stage.receipts()


@refused("grant-not-started")
def a_receipt_before_the_validity(stage: Stage) -> Sent:
    return stage.receipts(grant_id=stage.granted(valid_from_ms=START_MS + HOUR_MS))


@refused("grant-expired")
def a_receipt_as_the_validity_ends(stage: Stage) -> Sent:
    ends = stage.time_ms + 3_000
    return stage.receipts(grant_id=stage.granted(valid_until_ms=ends))


@refused("exchanges-exhausted")
def one_exchange_more_than_the_limit(stage: Stage) -> Sent:
    stage.accept(stage.receipts(5))
    return stage.receipts()


@refused("exchanges-exhausted")
def a_batch_that_passes_the_limit_of_exchanges(stage: Stage) -> Sent:
    return stage.receipts(6)


@refused("rows-exhausted")
def one_row_more_than_the_limit(stage: Stage) -> Sent:
    stage.accept(stage.receipts(rows=50))
    return stage.receipts()


@refused("invalid-lines")
def two_lines_for_one_grant(stage: Stage) -> Sent:
    line = receipt_lines({stage.grant_id: [receipt(1)]})[0]
    items = 2 * items_of({stage.grant_id: [receipt(1)]})
    return stage.sign(PROVIDER, "exchange.receipts", Receipts((line, line)), items=items)


@refused("invalid-lines")
def lines_out_of_order(stage: Stage) -> Sent:
    first, second = sorted([stage.grant_id, stage.granted()])
    lines = receipt_lines({first: [receipt(1)], second: [receipt(2)]})
    items = tuple(reversed(items_of({first: [receipt(1)], second: [receipt(2)]})))
    body = Receipts((lines[1], lines[0]))
    return stage.sign(PROVIDER, "exchange.receipts", body, items=items)


@refused("more-than-received")
def an_acknowledgement_of_more_than_was_exchanged(stage: Stage) -> Sent:
    stage.accept(stage.receipts())
    return stage.acknowledgements(2)


@refused("more-than-received")
def a_void_of_more_than_was_exchanged(stage: Stage) -> Sent:
    stage.accept(stage.receipts())
    return stage.voids(2)


# Exchanges: under another right than the grant gives, at the wrong hour, beyond a limit


@refused("other-version")
def a_receipt_under_a_version_that_was_replaced(stage: Stage) -> Sent:
    stage.accept(amendment(stage))
    stage.accept(stage.reply(PROVIDER, "approve", stage.grant_id, version=2))
    return stage.receipts(version=1)


@refused("other-version")
def a_receipt_under_a_version_that_only_waits(stage: Stage) -> Sent:
    stage.accept(amendment(stage))
    return stage.receipts(version=2)


@refused("purpose-mismatch")
def a_receipt_for_another_purpose(stage: Stage) -> Sent:
    return stage.receipts(purpose="dpv:ScientificResearch")


@refused("legal-basis-mismatch")
def a_receipt_on_another_legal_basis(stage: Stage) -> Sent:
    return stage.receipts(legal_basis="dpv:Consent")


@refused("grant-suspended")
def a_receipt_while_the_grant_is_suspended(stage: Stage) -> Sent:
    stage.accept(stage.decide(PROVIDER, "suspend"))
    return stage.receipts()


@refused("outside-hours")
def a_receipt_outside_the_hours_of_the_grant(stage: Stage) -> Sent:
    minute = (stage.time_ms // 60_000) % 1_440
    hours = Hours((minute + 10) % 1_440, (minute + 20) % 1_440 or 1_440, "+00:00")
    return stage.receipts(grant_id=stage.granted(hours=hours))


@refused("origin-ended")
def a_receipt_of_what_was_derived_under_a_revoked_grant(stage: Stage) -> Sent:
    origin, grant_id = shared_onward(stage)
    stage.accept(stage.decide(PROVIDER, "revoke", origin))
    return stage.receipts(grant_id=grant_id, department=CONSUMER)


@refused("origin-ended")
def a_receipt_of_what_was_derived_from_a_withdrawn_dataset(stage: Stage) -> Sent:
    _, grant_id = shared_onward(stage)
    with_dataset_withdrawn(stage)
    return stage.receipts(grant_id=grant_id, department=CONSUMER)


@refused("origin-ended")
def a_receipt_after_an_amendment_ended_onward_sharing(stage: Stage) -> Sent:
    origin, grant_id = shared_onward(stage)
    stage.accept(amendment(stage, grant_id=origin))
    stage.accept(stage.reply(PROVIDER, "approve", origin, version=2))
    return stage.receipts(grant_id=grant_id, department=CONSUMER)


@refused("bytes-exhausted")
def a_receipt_of_more_bytes_than_the_grant_allows(stage: Stage) -> Sent:
    return stage.receipts(rows=3, grant_id=stage.granted(size_bytes_max=299))


@refused("rate-exceeded")
def one_exchange_more_than_the_rate(stage: Stage) -> Sent:
    grant_id = stage.granted(rate=Rate(2, DAY_MS))
    stage.accept(stage.receipts(2, grant_id=grant_id))
    return stage.receipts(grant_id=grant_id)


# Sealed exchanges


@refused("seal-required")
def a_receipt_of_sensitive_data_that_is_not_sealed(stage: Stage) -> Sent:
    return stage.receipts(grant_id=stage.sealed())


@refused("carried-elsewhere")
def a_sealed_receipt_of_what_its_publisher_carries_itself(stage: Stage) -> Sent:
    return stage.receipts(grant_id=stage.sealed(carried="elsewhere"), sealed=True)


@refused("not-acknowledged")
def a_key_before_the_acknowledgement(stage: Stage) -> Sent:
    grant_id = stage.sealed()
    stage.accept(stage.receipts(2, grant_id=grant_id, sealed=True))
    stage.accept(stage.acknowledgements(1, grant_id=grant_id))
    return stage.keys(2, grant_id=grant_id)


@refused("not-acknowledged")
def a_key_of_what_was_not_sealed(stage: Stage) -> Sent:
    stage.accept(stage.receipts())
    stage.accept(stage.acknowledgements())
    return stage.keys()


@refused("grant-revoked")
def a_key_after_the_revocation(stage: Stage) -> Sent:
    grant_id = stage.sealed()
    stage.accept(stage.receipts(grant_id=grant_id, sealed=True))
    stage.accept(stage.acknowledgements(grant_id=grant_id))
    stage.accept(stage.decide(PROVIDER, "revoke", grant_id))
    return stage.keys(grant_id=grant_id)


@refused("not-the-provider")
def a_key_by_the_consumer(stage: Stage) -> Sent:
    return stage.keys(department=CONSUMER)


@refused("unknown-grant")
def a_key_under_no_grant(stage: Stage) -> Sent:
    return stage.keys(grant_id=token("none"))
