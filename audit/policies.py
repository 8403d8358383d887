"""Every automatic decision of a ledger, decided again by the policy that it cites.

The ledger is replayed; at each `grant.permit` and `grant.forbid` the cited document, the request
that waited and the dataset are taken as they stood there, and the policy is evaluated again
(`audit.cedar`). A decision that its policy does not support is a finding. The ledger is taken as it
is; `audit.verify` proves it first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from audit.cedar import Decision, decide
from audit.forks import Readable, leaves
from audit.reading import with_attached
from audit.replay import Replay
from contracts.catalog import dataset
from contracts.grants import grant
from contracts.machine import Candidate, Execution
from contracts.policies import GrantForbid, GrantPermit
from contracts.registry import CONTRACTS
from contracts.state import View
from ledger import store_keys
from ledger.blocks import BlockHeader, parse_any_leaf
from ledger.genesis import GenesisFile
from ledger.records import Record, parse_leaf
from ledger.types import Height, LeafIndex

KINDS = ("grant.permit", "grant.forbid")


@dataclass(frozen=True, slots=True)
class Automatic:
    """One automatic decision. said: what it claims. found: what the policy says again.

    supported: whether the policy, evaluated again, says the same by the same policies.
    """

    record_id: bytes
    height: int
    grant_id: bytes
    department: str
    engine: str
    said: Decision
    found: Decision

    @property
    def supported(self) -> bool:
        """Whether the cited policy supports the decision."""
        return self.said == self.found


def automatic_decisions(source: Readable, genesis: GenesisFile) -> list[Automatic]:
    """Every automatic decision, in order. Raises Malformed where the ledger is none."""
    replay = Replay(genesis, derive=False)
    records: list[Record] = []
    documents: dict[bytes, bytes] = {}
    found: list[Automatic] = []
    for index, leaf in enumerate(leaves(source)):
        parsed = parse_any_leaf(leaf)
        if isinstance(parsed, BlockHeader):
            if any(record.header.kind in KINDS for record in records):
                found += _in_block(documents, replay, parsed, records)
            replay.execute(parsed, records, [True] * len(records))
            records = []
            continue
        record = parse_leaf(leaf)
        attached = source.get(store_keys.attached_key(LeafIndex(index)))
        records.append(record if attached is None else with_attached(record, attached))
        if attached is not None and record.header.kind == "policy.publish":
            documents[sha256(attached).digest()] = attached
    return found


class _Before:
    """The state before a record: the block's writes so far over the state before the block."""

    def __init__(self, view: View, execution: Execution) -> None:
        self._view = view
        self._execution = execution

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        written = self._execution.writes.get(key)
        return self._view.get(key) if written is None else written


def _in_block(
    documents: Mapping[bytes, bytes], replay: Replay, header: BlockHeader, records: list[Record]
) -> list[Automatic]:
    """The automatic decisions of one block; its records are judged in order, up to each.

    documents: every policy so far, by digest, from the records that brought them: a copy of a
    running node's ledger has no index of documents.
    """
    view = replay.view()
    execution = Execution(
        ledger_id=header.ledger_id,
        height=Height(header.height),
        time_ms=header.time_ms,
        view=view,
        voters=header.voters,
        nonce_used=lambda key, nonce: False,
        attachments_may_be_missing=True,
    )
    found = []
    for record in records:
        if record.header.kind in KINDS:
            found.append(_again(documents, _Before(view, execution), record, header.height))
        execution.judge(Candidate(record, "", signature_valid=True))
    return found


def _again(
    documents: Mapping[bytes, bytes], before: View, record: Record, height: int
) -> Automatic:
    """One decision, decided again."""
    header = record.header
    body: GrantPermit | GrantForbid = CONTRACTS[header.kind].body.decode(bytes(header.body))
    citation = body.citation
    said = Decision("permit" if isinstance(body, GrantPermit) else "forbid", citation.policies)
    return Automatic(
        record_id=record.record_id,
        height=height,
        grant_id=body.grant_id,
        department=header.department,
        engine=citation.engine,
        said=said,
        found=_decision(documents, before, body),
    )


def _decision(
    documents: Mapping[bytes, bytes], before: View, body: GrantPermit | GrantForbid
) -> Decision:
    known = grant(before, body.grant_id)
    if known is None or known.pending is None:
        return Decision("steward")
    asked = known.pending.request
    offered = dataset(before, asked.provider, asked.dataset)
    document = documents.get(body.citation.document)
    if offered is None or document is None:
        return Decision("steward")
    text = document.decode("utf-8", "replace")
    return decide(text, consumer=known.consumer, request=asked, offered=offered)
