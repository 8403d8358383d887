"""Which contract judges which kind of record, and the format of each kind's body.

Every version since genesis stays here, each in force from a height on; there is one so far.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts import (
    adoption,
    catalog,
    emergencies,
    exchanges,
    governance,
    grants,
    keys,
    lifecycle,
    offers,
    policies,
)
from contracts.context import Context
from contracts.refusals import Refusal
from ledger.codec import Decoder
from ledger.records import HEADER_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Contract:
    """A kind's rules.

    attaches: what its record must carry: "document", "items" or None. while_suspended: whether a
    suspended department may do this: what ends things, or settles what went before.
    """

    body: Decoder[Any]
    judge: Callable[[Context, Any], Refusal | None]
    attaches: str | None
    while_suspended: bool = False


def _contract(
    form: type,
    judge: Callable[[Context, Any], Refusal | None],
    attaches: str | None = None,
    *,
    while_suspended: bool = False,
) -> Contract:
    body: Decoder[Any] = Decoder(form, what=form.__name__, bytes_max=HEADER_BYTES_MAX)
    return Contract(body, judge, attaches, while_suspended)


CONTRACTS: Mapping[str, Contract] = {
    "consortium.propose": _contract(governance.Propose, governance.propose),
    "consortium.ballot": _contract(governance.Ballot, governance.ballot),
    "consortium.withdraw": _contract(governance.Withdraw, governance.withdraw),
    "key.add": _contract(keys.KeyAdd, keys.add),
    "key.revoke": _contract(keys.KeyRevoke, keys.revoke, while_suspended=True),
    "document.publish": _contract(adoption.DocumentPublish, adoption.publish, "document"),
    "dataset.publish": _contract(catalog.DatasetOffer, offers.publish, "document"),
    "dataset.change": _contract(catalog.DatasetOffer, offers.change, "document"),
    "dataset.withdraw": _contract(catalog.DatasetWithdraw, offers.withdraw, while_suspended=True),
    "grant.request": _contract(grants.GrantRequest, lifecycle.request),
    "grant.amend": _contract(grants.GrantAmend, lifecycle.amend),
    "grant.accept": _contract(grants.GrantApprove, lifecycle.accept),
    "grant.ask": _contract(grants.GrantReply, lifecycle.ask),
    "grant.answer": _contract(grants.GrantReply, lifecycle.answer),
    "grant.approve": _contract(grants.GrantApprove, lifecycle.approve),
    "grant.refuse": _contract(grants.GrantReply, lifecycle.refuse),
    "grant.retract": _contract(grants.GrantReply, lifecycle.retract, while_suspended=True),
    "grant.suspend": _contract(grants.GrantDecision, lifecycle.suspend, while_suspended=True),
    "grant.resume": _contract(grants.GrantDecision, lifecycle.resume),
    "grant.revoke": _contract(grants.GrantDecision, lifecycle.revoke, while_suspended=True),
    "grant.withdraw": _contract(grants.GrantDecision, lifecycle.withdraw, while_suspended=True),
    "grant.permit": _contract(policies.GrantPermit, policies.permit),
    "grant.forbid": _contract(policies.GrantForbid, policies.forbid),
    "policy.publish": _contract(policies.PolicyPublish, policies.publish, "document"),
    "policy.withdraw": _contract(policies.PolicyWithdraw, policies.withdraw),
    "emergency.start": _contract(emergencies.EmergencyStart, emergencies.start),
    "emergency.confirm": _contract(emergencies.EmergencyConfirm, emergencies.confirm),
    "emergency.review": _contract(emergencies.EmergencyReview, emergencies.review),
    "exchange.receipts": _contract(exchanges.Receipts, exchanges.receipts, "items"),
    "exchange.acknowledgements": _contract(
        exchanges.Acknowledgements, exchanges.acknowledgements, "items", while_suspended=True
    ),
    "exchange.keys": _contract(exchanges.Keys, exchanges.keys, "items"),
    "exchange.denials": _contract(
        exchanges.Denials, exchanges.denials, "items", while_suspended=True
    ),
    "exchange.voids": _contract(exchanges.Voids, exchanges.voids, "items", while_suspended=True),
}
"""By kind, in force from genesis."""
