"""Cedar policies: what they say about a request, and that an auditor decides the same again."""

from hashlib import sha256

import msgspec
import pytest
from branches import Branch
from builders import START_MS, Consortium
from recorded import dataset, grant_request

import contracts.policies as forms
from audit.cedar import ENGINE, Decision, decide, faults
from audit.policies import automatic_decisions
from contracts.catalog import Dataset, DatasetOffer
from contracts.grants import GrantRequest
from contracts.limits import Limits
from contracts.registry import CONTRACTS
from ledger import store_keys
from ledger.records import Record

POLICY = """
@id("small")
permit(principal == Department::"housing", action == Action::"read", resource)
when {
  context.rows_max > 0 && context.rows_max <= 100 && context.purpose == "dpv:ServiceProvision"
};

@id("never-onward")
forbid(principal, action, resource) when { context.onward };

@id("sensitive-needs-names")
forbid(principal, action, resource)
when { resource.classification == "sensitive" && !context.subjects_named };
"""

OFFERED = Dataset(
    publisher="health",
    offer=DatasetOffer("births", "personal", "conditional", True),
    title="Births",
    fields=(("born", "date"),),
    subject_field=None,
    document=bytes(32),
    version=1,
    status="offered",
    changed_height=1,
    derivations=0,
)

REQUEST = GrantRequest(
    provider="health",
    dataset="births",
    fields=("born",),
    purpose="dpv:ServiceProvision",
    description="",
    legal_basis="dpv:LegalObligation",
    legal_reference="",
    valid_from_ms=0,
    valid_until_ms=86_400_000,
    limits=Limits(rows_max=50),
    onward=False,
)

SENSITIVE = msgspec.structs.replace(
    OFFERED, offer=DatasetOffer("births", "sensitive", "conditional", True)
)


@pytest.mark.parametrize(
    ("changes", "consumer", "offered", "said"),
    [
        ({}, "housing", OFFERED, Decision("permit", ("small",))),
        ({}, "tourism", OFFERED, Decision("steward")),
        ({"purpose": "dpv:PublicBenefit"}, "housing", OFFERED, Decision("steward")),
        ({"limits": Limits()}, "housing", OFFERED, Decision("steward")),
        ({"limits": Limits(rows_max=101)}, "housing", OFFERED, Decision("steward")),
        ({"onward": True}, "housing", OFFERED, Decision("forbid", ("never-onward",))),
        (
            {"onward": True},
            "tourism",
            SENSITIVE,
            Decision("forbid", ("never-onward", "sensitive-needs-names")),
        ),
        (
            {"limits": Limits(rows_max=9, subjects_named=True)},
            "housing",
            SENSITIVE,
            Decision("permit", ("small",)),
        ),
    ],
)
def test_a_policy_permits_forbids_or_leaves_it_to_a_steward(
    changes: dict, consumer: str, offered: Dataset, said: Decision
) -> None:
    request = msgspec.structs.replace(REQUEST, **changes)
    assert decide(POLICY, consumer=consumer, request=request, offered=offered) == said


def test_a_policy_is_checked_against_the_schema_and_the_fault_has_its_place() -> None:
    assert faults(POLICY) == []
    assert faults(POLICY + "// and nothing else; yet") == []
    [fault] = faults(POLICY.replace("context.purpose", "context.purpos"))
    assert "purpos" in fault and fault.startswith("line 5: for policy `policy0`")
    [fault] = faults(POLICY.replace("context.onward", "context.onwards"))
    assert fault.startswith("line 9: ")
    [fault] = faults(POLICY + "\npermit(principal,\n  action")
    assert fault == "line 16: unexpected end of input"
    [fault] = faults(POLICY.replace("forbid(principal", "forbidd(principal", 1))
    assert fault == "the policy from line 8 on: invalid policy effect: forbidd"
    [fault] = faults('@id("; // no end") permit(principal, action, resource)\nwhen { true ] };')
    assert fault == "line 2: unexpected token `]`"
    assert faults('permit(principal == City::"x", action, resource);')
    assert faults(" " * 70_000)


def test_a_damaged_policy_decides_nothing() -> None:
    said = decide("permit(", consumer="housing", request=REQUEST, offered=OFFERED)
    assert said == Decision("steward")


class Decided:
    """A ledger with a policy and decisions that cite it, right and wrong."""

    def __init__(self) -> None:
        self.consortium = Consortium(("health", "housing"), voter_count=1)
        self.branch = Branch(self.consortium)
        self.branch.block(dataset(self.consortium, "health", "births"))
        body = forms.PolicyPublish("births")
        self.branch.block(self.record("health", "policy.publish", body, document=POLICY.encode()))

    def record(self, by: str, kind: str, body: object, **more: object) -> Record:
        return self.consortium.record(by, kind, body, created_ms=START_MS + 9_000, **more)

    def asked(self, number: int, **changes: object) -> bytes:
        form = CONTRACTS["grant.request"].body
        plain = grant_request(self.consortium, "housing", "health", "births")
        request: GrantRequest = form.decode(bytes(plain.header.body))
        limits = Limits(rows_max=50)
        changed = msgspec.structs.replace(
            request, **({"limits": limits, "description": f"number {number}"} | changes)
        )
        record = self.record("housing", "grant.request", changed)
        self.branch.block(record)
        return record.record_id

    def permit(self, grant_id: bytes, *policies: str) -> None:
        citation = forms.Citation(sha256(POLICY.encode()).digest(), ENGINE, policies)
        self.branch.block(
            self.record("health", "grant.permit", forms.GrantPermit(grant_id, 1, citation))
        )


def test_an_approval_that_its_policy_does_not_support_is_found() -> None:
    ledger = Decided()
    right, wrong, elsewhere = ledger.asked(1), ledger.asked(2, onward=True), ledger.asked(3)
    ledger.permit(right, "small")
    ledger.permit(wrong, "small")
    ledger.permit(elsewhere, "another")
    for key in [key for key in ledger.branch.values if key[:1] == store_keys.DOCUMENT]:
        del ledger.branch.values[key]  # a running node shows leaves and what is attached, no index
    found = automatic_decisions(ledger.branch, ledger.consortium.genesis_file)
    assert [each.supported for each in found] == [True, False, False]
    assert found[1].found == Decision("forbid", ("never-onward",))
    assert {each.engine for each in found} == {ENGINE}
    assert [each.grant_id for each in found] == [right, wrong, elsewhere]
