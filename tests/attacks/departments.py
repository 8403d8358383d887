"""A department, with its own valid keys.

Others refuse the record; a leader who takes it in anyway, with everybody's signatures, is seen.
"""

from builders import START_MS, Consortium
from recorded import RIGHT, dataset, grant_request, receipts

from attacks.listing import THE_LEDGER, THE_RECORDS, attack
from attacks.world import (
    World,
    acknowledge,
    force,
    gaps,
    last_record_id,
    verified,
)
from contracts import exchanges as forms
from contracts.grants import GrantApprove, GrantDecision
from contracts.membership import RevokeKey
from ledger.attachments import items_root, parse_items
from ledger.codec import encode


@attack("department", "limits of a grant", "exchanges-exhausted", THE_LEDGER)
def uses_a_grant_too_often(world: World) -> set[str]:
    """Receipts a fourth exchange under a grant for three."""
    force(world, receipts(world.consortium, "health", world.limited, range(50, 54)))
    return verified(world.branch)


@attack("department", "order of revocation", "grant-revoked", THE_LEDGER)
def hands_over_after_revocation(world: World) -> set[str]:
    """Receipts an exchange under a grant that is revoked."""
    force(world, receipts(world.consortium, "health", world.revoked, range(60, 61)))
    return verified(world.branch)


@attack("department", "order of revocation", "grant-revoked", THE_LEDGER)
def backdates_a_receipt(world: World) -> set[str]:
    """Dates a receipt before the revocation that it stands behind."""
    made = receipts(world.consortium, "health", world.revoked, range(60, 61))
    items = parse_items(made.attached)
    line = forms.ReceiptLine(world.revoked, *RIGHT, 1, 1, 10, items_root(items))
    body = forms.Receipts((line,))
    created_ms = START_MS + 1_000
    force(
        world,
        world.record("health", "exchange.receipts", body, items=items, created_ms=created_ms),
    )
    return verified(world.branch)


@attack("department", "replay", "replayed", THE_LEDGER)
def replays_a_record(world: World) -> set[str]:
    """Brings a receipt a second time, byte for byte."""
    force(world, receipts(world.consortium, "health", world.used, range(10)))
    return verified(world.branch)


@attack("department", "replay", "wrong-ledger", THE_LEDGER)
def brings_a_record_of_another_ledger(world: World) -> set[str]:
    """Brings an approval that was signed for another ledger with the same keys."""
    other = Consortium(settings=(("record-skew-ms", 1_000),))
    decision = GrantApprove(world.limited)
    force(world, other.record("health", "grant.approve", decision, created_ms=START_MS + 9_000))
    return verified(world.branch)


@attack("department", "false author", "unknown-key", THE_LEDGER)
def acts_for_another_department(world: World) -> set[str]:
    """Withdraws another department's grant, signed with its own key."""
    decision = GrantDecision(world.used, "not needed")
    by = world.consortium.record_signer("tourism")
    force(world, world.record("housing", "grant.withdraw", decision, by=by))
    return verified(world.branch)


@attack("department", "false author", "unknown-key", THE_LEDGER)
def signs_with_a_revoked_key(world: World) -> set[str]:
    """Goes on signing with a key that the consortium has revoked."""
    key = world.consortium.record_signer("tourism").public_key
    world.branch.decide(RevokeKey(key), ballots=2)
    force(world, dataset(world.consortium, "tourism", "beaches"))
    return verified(world.branch)


@attack("department", "somebody else's right", "not-the-provider", THE_LEDGER)
def receipts_under_anothers_grant(world: World) -> set[str]:
    """Receipts an exchange of another department's data."""
    force(world, receipts(world.consortium, "tourism", world.used, range(70, 71)))
    return verified(world.branch)


@attack("department", "somebody else's right", "not-the-provider", THE_LEDGER)
def approves_its_own_request(world: World) -> set[str]:
    """Asks for a grant and approves it itself."""
    asked = grant_request(world.consortium, "transport", "housing", "tenants")
    world.branch.block(asked)
    force(world, world.record("transport", "grant.approve", GrantApprove(asked.record_id)))
    return verified(world.branch)


@attack("department", "limits of a grant", "more-than-received", THE_LEDGER)
def acknowledges_what_was_never_sent(world: World) -> set[str]:
    """Acknowledges more exchanges than were receipted."""
    line = forms.Line(world.used, 1, items_root((b"x",)))
    body = forms.Acknowledgements((line,))
    force(world, world.record("housing", "exchange.acknowledgements", body, items=(b"x",)))
    return verified(world.branch)


@attack("department", "other half withheld", "unacknowledged", THE_RECORDS)
def denies_having_received(world: World) -> set[str]:
    """Takes the data and acknowledges nothing."""
    world.branch.block(receipts(world.consortium, "health", world.used, range(80, 81)))
    return gaps(world)


@attack("department", "other half withheld", "without-receipt", THE_RECORDS)
def serves_without_a_receipt(world: World) -> set[str]:
    """Hands over one exchange more than it receipts, and its consumer acknowledges each."""
    world.branch.block(receipts(world.consortium, "health", world.used, range(80, 83)))
    acknowledge(world, last_record_id(world.branch), range(81, 84))
    return gaps(world)


@attack("department", "altered half", "other-response", THE_RECORDS)
def acknowledges_other_content(world: World) -> set[str]:
    """Acknowledges another content than was receipted."""
    world.branch.block(receipts(world.consortium, "health", world.used, range(80, 81)))
    acknowledge(world, last_record_id(world.branch), range(80, 81), response=b"\x01" * 32)
    return gaps(world)


@attack("department", "altered half", "other-counts", THE_RECORDS)
def understates_its_rows(world: World) -> set[str]:
    """Says fewer rows in the line that counts than in the receipts below it."""
    made = receipts(world.consortium, "health", world.used, range(80, 90))

    items = parse_items(made.attached)
    line = forms.ReceiptLine(world.used, *RIGHT, 10, 1, 100, items_root(items))
    world.branch.block(
        world.record("health", "exchange.receipts", forms.Receipts((line,)), items=items)
    )
    return gaps(world)


@attack("department", "altered half", "voided-and-acknowledged", THE_RECORDS)
def takes_back_what_was_received(world: World) -> set[str]:
    """Voids an exchange whose data went out, to stay below a limit."""
    item = encode(forms.Void((1).to_bytes(32, "big"), bytes(32), 0, "not sent"))
    line = forms.Line(world.used, 1, items_root((item,)))
    world.branch.block(
        world.record("health", "exchange.voids", forms.Voids((line,)), items=(item,))
    )
    return gaps(world)


@attack("department", "double use", "receipted-twice", THE_RECORDS)
def uses_one_exchange_twice(world: World) -> set[str]:
    """Receipts one exchange a second time, in a record of its own."""
    made = receipts(world.consortium, "health", world.used, range(2, 3))
    world.branch.block(made)
    return gaps(world)
