"""Decides requests by the department's own policies, as soon as they are on the ledger.

Each executed block is looked through for requests and amendments of this department's datasets;
at the start everything that waits is. A policy that permits or forbids leads to a signed record
that cites it; what it leaves open waits for a steward. If the record is refused, because another
node of the department was faster or a steward was, nothing is lost.
"""

import asyncio
from dataclasses import dataclass

import structlog

from audit.cedar import ENGINE, decide
from contracts.catalog import Dataset, dataset
from contracts.grants import Grant, GrantAmend, grant, parse_grant
from contracts.policies import Citation, GrantForbid, GrantPermit, policy
from contracts.state import policy_key
from ledger import store_keys
from ledger.blocks import parse_any_leaf
from ledger.codec import Decoder, Format
from ledger.records import HEADER_BYTES_MAX, RecordLeaf, record_of_leaf
from ledger.types import Height, LeafIndex
from node.authoring import Author, Draft
from node.runtime import Node

_AMEND: Decoder[GrantAmend] = Decoder(GrantAmend, what="amendment", bytes_max=HEADER_BYTES_MAX)

_ASKING = (b"grant.request", b"grant.amend")

ACTOR = "policy engine"
TIMEOUT_S = 30.0

DECIDING_MAX = 100
"""Decisions under way at once."""

INLINE_CHARACTERS = 4_096
"""Up to this size a policy is evaluated on the event loop, in about a millisecond; waiting for a
thread takes longer. Larger ones go to a thread."""

log = structlog.get_logger("concordat.approvals")


@dataclass(frozen=True, slots=True)
class _Question:
    """A grant of which a version waits, what was offered, and the policy's digest."""

    grant: Grant
    offered: Dataset
    document: bytes


class Approver:
    """A task beside the gateway. decided: automatic decisions since the start."""

    def __init__(self, *, node: Node, author: Author) -> None:
        self._node = node
        self._author = author
        self._task: asyncio.Task[None] | None = None
        self._deciding: set[asyncio.Task[None]] = set()
        self.decided = 0

    def start(self) -> None:
        """Begins; the node runs."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends; what is on its way stays on its way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for task in self._deciding:
            task.cancel()
        await asyncio.gather(*self._deciding, return_exceptions=True)

    async def _run(self) -> None:
        done = self._node.events.height
        for grant_id in await asyncio.to_thread(self._waiting):
            await self._begin(grant_id)
        async for height in self._node.events.heights(done, certified=False):
            while done < height:
                done += 1
                for grant_id in self._asked_in(done) if self._has_policy() else ():
                    await self._begin(grant_id)

    async def _begin(self, grant_id: bytes) -> None:
        """A decision of its own, beside those that wait for their blocks."""
        while len(self._deciding) >= DECIDING_MAX:
            await asyncio.wait(self._deciding, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(self._decide(grant_id))
        self._deciding.add(task)
        task.add_done_callback(self._deciding.discard)

    def _has_policy(self) -> bool:
        """Whether there is anything to decide by; most departments publish no policy at all."""
        prefix = store_keys.state_key(policy_key(self._node.department, ""))
        return next(self._node.store.scan(prefix, prefix + b"\xff"), None) is not None

    def _waiting(self) -> list[bytes]:
        """Grants of this department's datasets of which a version waits. Blocking."""
        prefix = store_keys.STATE_VALUE + b"grant/"
        found = []
        for _, value in self._node.store.scan(prefix, prefix[:-1] + b"0"):
            known = parse_grant(value)
            if known.pending is not None and known.request.provider == self._node.department:
                found.append(known.grant_id)
        return found

    def _asked_in(self, height: int) -> list[bytes]:
        """Grants of which a version was asked for in a block."""
        store = self._node.store
        last = store.get(store_keys.block_key(Height(height)))
        before = store.get(store_keys.block_key(Height(height - 1))) if height > 1 else None
        assert last is not None, "an executed block is stored"
        start = 0 if before is None else store_keys.read_number(before) + 1
        found = []
        for index in range(start, store_keys.read_number(last)):
            leaf = store.get(store_keys.leaf_key(LeafIndex(index)))
            assert leaf is not None, "a block's leaves are stored"
            if not any(kind in leaf for kind in _ASKING):
                continue  # most leaves; what is left is parsed, as bytes say nothing for certain
            parsed = parse_any_leaf(leaf)
            if not isinstance(parsed, RecordLeaf):
                continue
            record = record_of_leaf(parsed, leaf)
            if record.header.kind == "grant.request":
                found.append(record.record_id)
            elif record.header.kind == "grant.amend":
                body: GrantAmend = _AMEND.decode(bytes(record.header.body))
                found.append(body.grant_id)
        return found

    async def _decide(self, grant_id: bytes) -> None:
        question = self._question(grant_id)
        if question is None:
            return
        text = self.document(question.document)
        if len(text) <= INLINE_CHARACTERS:
            body = _decision(question, text)
        else:
            body = await asyncio.to_thread(_decision, question, text)
        if body is None:
            return
        kind = "grant.permit" if isinstance(body, GrantPermit) else "grant.forbid"
        record = self._author.build(Draft(kind, body, ACTOR))
        outcome = await self._node.submit(record.to_bytes(), wait="committed", timeout_s=TIMEOUT_S)
        self.decided += 1
        log.info("decided by policy", kind=kind, grant=grant_id.hex()[:16], outcome=str(outcome))

    def _question(self, grant_id: bytes) -> _Question | None:
        """What a policy in force has to decide; None: there is none, or nothing waits."""
        view = self._node.view()
        known = grant(view, grant_id)
        if known is None or known.pending is None:
            return None
        asked = known.pending.request
        if asked.provider != self._node.department:
            return None
        in_force = policy(view, asked.provider, asked.dataset)
        if in_force is None or in_force.document is None:
            return None
        offered = dataset(view, asked.provider, asked.dataset)
        return None if offered is None else _Question(known, offered, in_force.document)

    def document(self, digest: bytes) -> str:
        """A policy's text, from the ledger."""
        place = self._node.store.get(store_keys.document_key(digest))
        assert place is not None, "a policy's document is on the ledger"
        index = LeafIndex(store_keys.read_number(place))
        document = self._node.store.get(store_keys.attached_key(index))
        assert document is not None, "documents are never pruned"
        return document.decode("utf-8")


def _decision(question: _Question, text: str) -> Format | None:
    """What the policy says about what waits; None: a steward decides."""
    known = question.grant
    assert known.pending is not None, "something waits"
    found = decide(
        text, consumer=known.consumer, request=known.pending.request, offered=question.offered
    )
    if found.verdict == "steward":
        return None
    citation = Citation(question.document, ENGINE, found.policies)
    version = known.pending.version
    if found.verdict == "permit":
        return GrantPermit(known.grant_id, version, citation)
    reason = f"forbidden by policy: {', '.join(found.policies)}"[:500]
    return GrantForbid(known.grant_id, version, citation, reason)
