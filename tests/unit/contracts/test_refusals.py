"""Every code in the table of refusals has a case that provokes it, and each case is run here.

The two codes that only a provider's gateway gives come from `exchanges.admissible`, on a request
instead of a record.
"""

import msgspec
import pytest
from builders import Consortium
from council import Council
from harness import (
    CONSUMER,
    PROVIDER,
    PURPOSE,
    STRANGER,
    Stage,
    description,
    items_of,
    lines_of,
    offer,
    receipt,
    token,
)
from refused_by_governance import ALL_CASES
from refused_by_machine import Case

from contracts.catalog import DatasetWithdraw
from contracts.context import Context
from contracts.exchanges import ExchangeRequest, admissible
from contracts.refusals import REFUSALS, Refusal
from contracts.registry import CONTRACTS, Contract
from ledger.codec import Decoder
from ledger.records import Record

PROVIDER_SIDE = ("not-granted-field", "subjects-not-named", "subjects-exhausted")
"""Codes that no contract gives, for a contract sees no query; the last two come from the gateway,
which reads it (`tests/integration/test_refused_exchanges.py`)."""

SMALL_BLOCKS = Consortium(settings=(("records-per-block", 2),))


def _fails(context: Context, body: object) -> Refusal | None:
    context.state.put(b"half", b"done")
    raise ValueError("a mistake in a contract")


@pytest.fixture
def failing_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind whose contract writes and then fails."""
    form = Decoder(DatasetWithdraw, what="test", bytes_max=4096)
    monkeypatch.setitem(CONTRACTS, "test.fails", Contract(form, _fails, None))


@pytest.mark.usefixtures("failing_contract")
@pytest.mark.parametrize(
    ("code", "case"), ALL_CASES, ids=[f"{code}: {case.__name__}" for code, case in ALL_CASES]
)
def test_a_record_is_refused_for_its_reason_and_changes_nothing(code: str, case: Case) -> None:
    stage = Council(SMALL_BLOCKS)
    given = case(stage)
    *before, sent = given if isinstance(given, tuple) else (given,)
    after = stage.sign("transport", "dataset.publish", offer("trips"), document=description())
    without = stage.fork().accept(*before, after)
    block = stage.execute(*before, sent, after)
    stage.verify()
    record_id = sent.record_id if isinstance(sent, Record) else None
    assert [(each.record_id, each.refusal.code) for each in block.refused] == [(record_id, code)]
    assert block.accepted == without.accepted == (*before, after)
    assert block.writes == without.writes
    assert block.list_items == without.list_items
    assert block.pages == without.pages
    assert block.header.state_root == without.header.state_root
    assert block.header.entry_hash != without.header.entry_hash


@pytest.mark.parametrize("kind", ["acknowledgements", "voids", "denials"])
def test_every_kind_of_batch_wants_its_lines_sorted(stage: Stage, kind: str) -> None:
    line = lines_of({stage.grant_id: [receipt(1)]})[0]
    items = 2 * items_of({stage.grant_id: [receipt(1)]})
    record = stage.sign(PROVIDER, f"exchange.{kind}", [[line, line]], items=items)
    assert stage.codes(record) == ["invalid-lines"]


def asked(stage: Stage, **changes: object) -> ExchangeRequest:
    """What the consumer's node sends to the provider's, within its grant."""
    request = ExchangeRequest(
        version=1,
        ledger_id=stage.city.ledger_id,
        grant_id=stage.grant_id,
        exchange_id=token("exchange"),
        consumer=CONSUMER,
        actor="clerk-7",
        grant_version=1,
        purpose=PURPOSE,
        fields=("person",),
        query=b"{}",
        request_blinding=token("blinding"),
        case=token("case"),
        created_ms=stage.time_ms,
    )
    return msgspec.structs.replace(request, **changes)


def admitted(stage: Stage, provider: str = PROVIDER, **changes: object) -> str | None:
    """The code with which the provider has to deny the request; None if it may serve it."""
    refusal = admissible(
        stage.state,
        stage.grant(),
        asked(stage, **changes),
        provider=provider,
        time_ms=stage.time_ms,
    )
    return None if refusal is None else refusal.code


GATEWAY_CASES = {
    "not-the-provider": {"provider": STRANGER},
    "not-the-consumer": {"consumer": STRANGER},
    "other-version": {"grant_version": 2},
    "purpose-mismatch": {"purpose": "dpv:ScientificResearch"},
    "not-granted-field": {"fields": ("insured", "person")},
}


@pytest.mark.parametrize(("code", "changes"), GATEWAY_CASES.items(), ids=list(GATEWAY_CASES))
def test_a_provider_denies_a_request_for_its_reason(
    stage: Stage, code: str, changes: dict[str, object]
) -> None:
    assert admitted(stage) is None
    assert admitted(stage, **changes) == code


def test_a_provider_denies_what_a_receipt_would_be_refused_for(stage: Stage) -> None:
    stage.accept(stage.receipts(5))
    assert admitted(stage) == "exchanges-exhausted"
    stage.accept(stage.decide(PROVIDER, "revoke"))
    assert admitted(stage) == "grant-revoked"


def test_every_code_of_the_table_has_a_test() -> None:
    by_contracts = {code for code, _ in ALL_CASES}
    assert by_contracts.isdisjoint(PROVIDER_SIDE)
    assert by_contracts | set(PROVIDER_SIDE) == set(REFUSALS)
    assert tuple(REFUSALS)[-3:] == PROVIDER_SIDE


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    for code, explanation in REFUSALS.items():
        assert code == code.lower() and " " not in code
        assert explanation.meaning.endswith(".") and explanation.remedy.endswith(".")


def test_a_code_outside_the_table_cannot_be_given() -> None:
    with pytest.raises(AssertionError, match="not in the table"):
        Refusal("no-reason", "")
