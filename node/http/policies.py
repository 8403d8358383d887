"""Routes of policies: publish, look up, try against what was asked for before, withdraw."""

from hashlib import sha256
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse

from audit.cedar import SCHEMA, decide, faults
from contracts import policies as contract
from contracts.catalog import dataset
from contracts.grants import grant
from contracts.policies import POLICY_BYTES_MAX, policy
from contracts.state import grants_list
from ledger import store_keys
from node.http.access import Reader, ServiceDep, Steward
from node.http.models import Decision, Hex32, Model, Name, Verdict, Written
from node.http.problems import Problem
from node.http.reading import Consistent, snapshot_of
from node.http.writing import Options, write
from node.ports import StoreReader

router = APIRouter(prefix="/policies", tags=["policies"])

NamePath = Annotated[Name, Path()]

TRIED_MAX = 1_000
"""Requests against which a policy is tried: the newest ones."""


class PolicyWanted(Model):
    """A policy in Cedar."""

    policy: str = Field(min_length=1, max_length=POLICY_BYTES_MAX)


class Tried(BaseModel):
    """What a policy would have said about a request, and what became of it."""

    grant_id: Hex32
    consumer: str
    purpose: str
    status: str
    verdict: str
    policies: list[str]


@router.get("/schema", response_class=PlainTextResponse)
def schema(_: Reader) -> str:
    """What a policy may speak of, as a Cedar schema."""
    return SCHEMA


@router.get("/{publisher}/{name}", response_class=PlainTextResponse, dependencies=[Consistent])
def show_policy(service: ServiceDep, _: Reader, publisher: NamePath, name: NamePath) -> str:
    """The policy in force for a dataset."""
    known = policy(service.node.view(), publisher, name)
    if known is None or known.document is None:
        raise Problem("not-found", f"{publisher}/{name} has no policy")
    return service.approver.document(known.document)


@router.post("/{name}", status_code=201)
async def publish_policy(
    service: ServiceDep,
    token: Steward,
    name: NamePath,
    wanted: PolicyWanted,
    options: Options,
) -> Written | Verdict:
    """Requests for this department's dataset are decided by this policy from now on."""
    _check(wanted)
    body, document = contract.PolicyPublish(name), wanted.policy.encode()
    return await write(service, token, options, kind="policy.publish", body=body, document=document)


@router.post("/{name}/try")
def try_policy(
    service: ServiceDep, _: Steward, name: NamePath, wanted: PolicyWanted
) -> list[Tried]:
    """What the policy would have said about the newest requests for the dataset; writes nothing."""
    _check(wanted)
    department = service.node.department
    with snapshot_of(service) as view:
        offered = dataset(view, department, name)
        if offered is None:
            raise Problem("not-found", f"there is no dataset {department}/{name}")
        tried: list[Tried] = []
        for grant_id in _newest(view.reader, grants_list(department, name)):
            known = grant(view, grant_id)
            assert known is not None, "a listed grant is in the state"
            asked = known.request if known.pending is None else known.pending.request
            said = decide(wanted.policy, consumer=known.consumer, request=asked, offered=offered)
            tried.append(
                Tried(
                    grant_id=grant_id.hex(),
                    consumer=known.consumer,
                    purpose=asked.purpose,
                    status=known.status,
                    verdict=said.verdict,
                    policies=list(said.policies),
                )
            )
    return tried


@router.post("/{name}/withdraw")
async def withdraw_policy(
    service: ServiceDep,
    token: Steward,
    name: NamePath,
    decision: Decision,
    options: Options,
) -> Written | Verdict:
    """Requests for this department's dataset wait for a steward again."""
    body = contract.PolicyWithdraw(name, decision.reason)
    return await write(service, token, options, kind="policy.withdraw", body=body)


def _check(wanted: PolicyWanted) -> None:
    found = faults(wanted.policy)
    if found:
        raise Problem("invalid-request", "; ".join(found)[:2_000])


def _newest(reader: StoreReader, list_key: bytes) -> list[bytes]:
    prefix = store_keys.LIST_ITEM + sha256(list_key).digest()
    found = reader.scan(prefix, prefix + b"\xff" * 8, reverse=True)
    return [item for _, item in islice(found, TRIED_MAX)]
