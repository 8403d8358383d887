"""What makes, changes and ends a dataset.

`dataset.publish` and `dataset.change` carry a document, the `Description`; `dataset.withdraw` ends
a dataset for good. A change may add fields and rewrite words, and never takes away what a grant may
rely on. A dataset that is derived from others' data names the grants under which its publisher got
it: they must allow onward sharing, and what is derived is let through only while they stand.
"""

from hashlib import sha256

import msgspec

from contracts.catalog import (
    DERIVATIONS_MAX,
    Dataset,
    DatasetOffer,
    DatasetWithdraw,
    Description,
    dataset,
    parse_description,
)
from contracts.consortium import member
from contracts.context import Context
from contracts.grants import grant, standing
from contracts.refusals import Refusal
from contracts.state import dataset_key, datasets_list
from ledger.codec import encode
from ledger.errors import Malformed


def publish(context: Context, body: DatasetOffer) -> Refusal | None:
    """A department offers a new dataset."""
    if dataset(context.state, context.department, body.name) is not None:
        return Refusal("dataset-exists", f"{context.department}/{body.name}")
    described = _described(context)
    if isinstance(described, Refusal):
        return described
    refusal = _unfit_approvers(context, body)
    if refusal is not None:
        return refusal
    derivations = _derivations(context, body)
    if isinstance(derivations, Refusal):
        return derivations
    _put(context, body, described, version=1, derivations=derivations)
    context.state.append(datasets_list(context.department), [body.name.encode("ascii")])
    return None


def change(context: Context, body: DatasetOffer) -> Refusal | None:
    """The publisher rewrites a dataset's description or offer."""
    known = dataset(context.state, context.department, body.name)
    if known is None:
        return Refusal("unknown-dataset", f"{context.department}/{body.name}")
    if known.status == "withdrawn":
        return Refusal("dataset-withdrawn", f"{context.department}/{body.name}")
    described = _described(context)
    if isinstance(described, Refusal):
        return described
    offered = {(field.name, field.type) for field in described.fields}
    gone = [name for name, kind in known.fields if (name, kind) not in offered]
    if gone or known.subject_field != described.subject_field:
        what = f"fields {', '.join(gone)}" if gone else "the field that identifies the subject"
        return Refusal("incompatible-change", what)
    if body.derived_from != known.offer.derived_from:
        return Refusal("incompatible-change", "the grants from which it is derived")
    if body.carried != known.offer.carried:
        return Refusal("incompatible-change", "who carries it")
    refusal = _unfit_approvers(context, body)
    if refusal is not None:
        return refusal
    _put(context, body, described, version=known.version + 1, derivations=known.derivations)
    return None


def withdraw(context: Context, body: DatasetWithdraw) -> Refusal | None:
    """The publisher ends a dataset; grants on it no longer let anything through."""
    known = dataset(context.state, context.department, body.name)
    if known is None:
        return Refusal("unknown-dataset", f"{context.department}/{body.name}")
    if known.status == "withdrawn":
        return Refusal("dataset-withdrawn", f"{context.department}/{body.name}")
    ended = msgspec.structs.replace(known, status="withdrawn", changed_height=context.height)
    context.state.put(dataset_key(context.department, body.name), encode(ended))
    return None


def _described(context: Context) -> Description | Refusal:
    if context.document is None:
        return Refusal("invalid-dataset", "its description is not attached as a document")
    try:
        described = parse_description(context.document)
    except Malformed as error:
        return Refusal("invalid-dataset", str(error))
    names = [field.name for field in described.fields]
    if len(set(names)) != len(names):
        return Refusal("invalid-dataset", "a field is described twice")
    if described.subject_field is not None and described.subject_field not in names:
        return Refusal("invalid-dataset", "the field that identifies the subject is not described")
    return described


def _unfit_approvers(context: Context, body: DatasetOffer) -> Refusal | None:
    names = list(body.co_approvers)
    if names != sorted(set(names)):
        return Refusal("invalid-dataset", "the co-approvers are not sorted, each once")
    for name in names:
        if name == context.department:
            return Refusal("invalid-dataset", "the publisher approves anyway")
        if member(context.state, name) is None:
            return Refusal("unknown-department", name)
    return None


def _derivations(context: Context, body: DatasetOffer) -> int | Refusal:
    """How often the data has been shared onward, if its origins allow that."""
    if list(body.derived_from) != sorted(set(body.derived_from)):
        return Refusal("invalid-dataset", "the origins are not sorted, each once")
    derivations = 0
    for grant_id in body.derived_from:
        origin = grant(context.state, grant_id)
        if origin is None:
            return Refusal("unknown-grant", grant_id.hex())
        if origin.consumer != context.department:
            return Refusal("not-the-consumer", f"{origin.consumer} holds this grant")
        refusal = standing(context.state, origin, time_ms=context.time_ms)
        if refusal is not None:
            return refusal
        if not origin.request.onward:
            return Refusal("not-onward", f"grant {grant_id.hex()[:16]}… is for its holder alone")
        source = dataset(context.state, origin.request.provider, origin.request.dataset)
        assert source is not None, "a standing grant has its dataset"
        derivations = max(derivations, source.derivations + 1)
    if derivations > DERIVATIONS_MAX:
        return Refusal("not-onward", f"data is shared onward at most {DERIVATIONS_MAX} times")
    return derivations


def _put(
    context: Context,
    body: DatasetOffer,
    described: Description,
    *,
    version: int,
    derivations: int,
) -> None:
    assert context.document is not None
    value = Dataset(
        publisher=context.department,
        offer=body,
        title=described.title,
        fields=tuple((field.name, field.type) for field in described.fields),
        subject_field=described.subject_field,
        document=sha256(context.document).digest(),
        version=version,
        status="offered",
        changed_height=context.height,
        derivations=derivations,
    )
    context.state.put(dataset_key(context.department, body.name), encode(value))
