"""Which contract judges which kind of record, and the format of each kind's body.

Every version since genesis stays here, each in force from a height on; there is one so far.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts import catalog, exchanges, grants
from contracts.context import Context
from contracts.refusals import Refusal
from ledger.codec import Decoder
from ledger.records import HEADER_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Contract:
    """A kind's rules. attaches: what its record must carry: "document", "items" or None."""

    body: Decoder[Any]
    judge: Callable[[Context, Any], Refusal | None]
    attaches: str | None


def _contract(
    form: type, judge: Callable[[Context, Any], Refusal | None], attaches: str | None = None
) -> Contract:
    return Contract(Decoder(form, what=form.__name__, bytes_max=HEADER_BYTES_MAX), judge, attaches)


CONTRACTS: Mapping[str, Contract] = {
    "dataset.publish": _contract(catalog.DatasetOffer, catalog.publish, "document"),
    "dataset.change": _contract(catalog.DatasetOffer, catalog.change, "document"),
    "dataset.withdraw": _contract(catalog.DatasetWithdraw, catalog.withdraw),
    "grant.request": _contract(grants.GrantRequest, grants.request),
    "grant.approve": _contract(grants.GrantApprove, grants.approve),
    "grant.refuse": _contract(grants.GrantDecision, grants.refuse),
    "grant.revoke": _contract(grants.GrantDecision, grants.revoke),
    "grant.withdraw": _contract(grants.GrantDecision, grants.withdraw),
    "exchange.receipts": _contract(exchanges.Receipts, exchanges.receipts, "items"),
    "exchange.acknowledgements": _contract(
        exchanges.Acknowledgements, exchanges.acknowledgements, "items"
    ),
    "exchange.denials": _contract(exchanges.Denials, exchanges.denials, "items"),
    "exchange.voids": _contract(exchanges.Voids, exchanges.voids, "items"),
}
"""By kind, in force from genesis."""
