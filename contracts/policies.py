"""Policies: rules, published beforehand, by which a provider decides requests without a person.

A policy is a document on the ledger, in Cedar, one for each dataset. Contracts know which one is in
force and run none: the provider's node evaluates each request and signs `grant.permit` or
`grant.forbid`, which cite the document, the engine and the deciding policies; whoever holds the
ledger can evaluate again. What no policy decides is left to a steward.
"""

from hashlib import sha256
from typing import Annotated

from msgspec import Meta

from contracts.catalog import dataset
from contracts.context import Context
from contracts.grants import GrantApprove, GrantReply, Reason, grant
from contracts.lifecycle import approve, refuse
from contracts.refusals import Refusal
from contracts.state import View, policy_key
from ledger.codec import Decoder, Format, encode
from ledger.types import Hash, Identifier, Natural

POLICY_BYTES_MAX = 64 * 1024
"""Limit of a policy document, in bytes of UTF-8."""

PolicyName = Annotated[str, Meta(min_length=1, max_length=100)]


class PolicyPublish(Format, frozen=True):
    """Body of `policy.publish`, with the policy as its document; the author is the publisher."""

    dataset: Identifier


class PolicyWithdraw(Format, frozen=True):
    """Body of `policy.withdraw`: from now on stewards decide."""

    dataset: Identifier
    reason: Reason


class Citation(Format, frozen=True):
    """On what an automatic decision rests. policies: the deciding ones, sorted."""

    document: Hash
    engine: Annotated[str, Meta(min_length=1, max_length=64)]
    policies: Annotated[tuple[PolicyName, ...], Meta(min_length=1, max_length=32)]


class GrantPermit(Format, frozen=True):
    """Body of `grant.permit`: the provider's approval, by its policy."""

    grant_id: Hash
    version: Natural
    citation: Citation


class GrantForbid(Format, frozen=True):
    """Body of `grant.forbid`: the provider's refusal, by its policy."""

    grant_id: Hash
    version: Natural
    citation: Citation
    reason: Reason


class Policy(Format, frozen=True):
    """A dataset's policy in the state. document: None after it was withdrawn."""

    document: Hash | None
    version: Natural
    changed_height: Natural


_POLICY: Decoder[Policy] = Decoder(Policy, what="policy", bytes_max=256)


def policy(view: View, publisher: str, name: str) -> Policy | None:
    """A dataset's policy; None if there never was one."""
    value = view.get(policy_key(publisher, name))
    return None if value is None else _POLICY.decode(value)


def publish(context: Context, body: PolicyPublish) -> Refusal | None:
    """A publisher says by which policy requests for its dataset are decided."""
    assert context.document is not None, "the kind wants a document"
    where = f"{context.department}/{body.dataset}"
    offered = dataset(context.state, context.department, body.dataset)
    if offered is None:
        return Refusal("unknown-dataset", where)
    if offered.status == "withdrawn":
        return Refusal("dataset-withdrawn", where)
    if len(context.document) > POLICY_BYTES_MAX:
        return Refusal("invalid-document", f"a policy has at most {POLICY_BYTES_MAX} bytes")
    try:
        context.document.decode("utf-8")
    except UnicodeDecodeError:
        return Refusal("invalid-document", "a policy is text in UTF-8")
    _put(context, body.dataset, sha256(context.document).digest())
    return None


def withdraw(context: Context, body: PolicyWithdraw) -> Refusal | None:
    """A publisher ends its policy."""
    known = policy(context.state, context.department, body.dataset)
    if known is None or known.document is None:
        return Refusal("other-policy", f"{context.department}/{body.dataset} has no policy")
    _put(context, body.dataset, None)
    return None


def permit(context: Context, body: GrantPermit) -> Refusal | None:
    """The provider's policy says yes."""
    refusal = _uncited(context, body.grant_id, body.citation)
    return refusal or approve(context, GrantApprove(body.grant_id, body.version))


def forbid(context: Context, body: GrantForbid) -> Refusal | None:
    """The provider's policy says no."""
    refusal = _uncited(context, body.grant_id, body.citation)
    return refusal or refuse(context, GrantReply(body.grant_id, body.reason, body.version))


def _uncited(context: Context, grant_id: bytes, citation: Citation) -> Refusal | None:
    """Why the author may not decide by this citation; None if it is its policy in force."""
    known = grant(context.state, grant_id)
    if known is None:
        return Refusal("unknown-grant", grant_id.hex())
    provider = known.request.provider
    if provider != context.department:
        return Refusal("not-the-provider", f"{provider} provides this grant's data")
    in_force = policy(context.state, provider, known.request.dataset)
    if in_force is None or in_force.document != citation.document:
        return Refusal("other-policy", "the cited document is not the policy in force")
    if list(citation.policies) != sorted(set(citation.policies)):
        return Refusal("other-policy", "the cited policies are not sorted, each once")
    return None


def _put(context: Context, name: str, document: bytes | None) -> None:
    known = policy(context.state, context.department, name)
    version = 1 if known is None else known.version + 1
    value = Policy(document, version, context.height)
    context.state.put(policy_key(context.department, name), encode(value))
