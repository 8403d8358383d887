"""Who signed two things of which no honest node signs both. Pure.

Two checkpoints contradict each other if no single ledger can have both
(`ledger.checkpoints.contradict`): equal sizes or heights and another content, or a consistency path
in the tree of the larger that leads to another root at the smaller size. Such a path is made from
any ledger whose root is the larger one's; that there is none proves nothing.

Two proposals of one term by one leader contradict each other if they are for the same place, or if
the one is for the place after the other and does not build on it: a leader never replaces an entry
in its own term (Raft §5.3, leader append-only), and term and vote are durable before it signs.

A node is named only by two signatures that both hold, each checked here. Crashes, restarts and lost
messages make no honest node sign either pair, so they name nobody (scenario A3).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from audit.forks import Readable, full_path, roots_at
from audit.signed import (
    Check,
    Path,
    Signatories,
    Signatory,
    SignedCheckpoint,
    SignedProposal,
    Statements,
    statements_of,
)
from ledger.checkpoints import contradict
from ledger.signatures import verify
from ledger.types import NodeId

Signed = TypeVar("Signed", SignedCheckpoint, SignedProposal)


@dataclass(frozen=True, slots=True)
class TwoCheckpoints:
    """A node's two checkpoints; path: in full, from the smaller into the larger, or empty."""

    one: SignedCheckpoint
    other: SignedCheckpoint
    path: tuple[bytes, ...]

    @property
    def node_id(self) -> NodeId:
        """Whose they are."""
        return self.one.node_id

    def contradict(self) -> bool:
        """Whether one node signed both and no honest one would."""
        return self.one.node_id == self.other.node_id and contradict(
            self.one.checkpoint, self.other.checkpoint, self.path
        )


@dataclass(frozen=True, slots=True)
class TwoProposals:
    """A leader's two proposals in one term."""

    one: SignedProposal
    other: SignedProposal

    @property
    def node_id(self) -> NodeId:
        """Whose they are."""
        return self.one.node_id

    def contradict(self) -> bool:
        """Whether one node signed both and no honest one would."""
        one, other = self.one, self.other
        if one.node_id != other.node_id or one.ledger_id != other.ledger_id:
            return False
        if one.term != other.term:
            return False
        if one.index == other.index:
            return one.statement != other.statement
        first, second = (one, other) if one.index < other.index else (other, one)
        return second.index == first.index + 1 and second.previous_hash != first.entry_hash


Contradiction = TwoCheckpoints | TwoProposals


def holds(found: Contradiction, signatory: Signatory, check: Check = verify) -> bool:
    """Whether both signatures hold and what they say is a contradiction."""
    return (
        found.contradict()
        and found.one.holds(signatory, check)
        and found.other.holds(signatory, check)
    )


def blame(
    signatories: Signatories,
    ledger_id: bytes,
    stores: Sequence[Readable],
    *,
    more: Statements | None = None,
    check: Check = verify,
) -> tuple[Contradiction, ...]:
    """At most one contradiction of each kind for each node, in the order of node ids.

    stores: of any nodes, whole or not. more: statements that came otherwise.
    """
    found = statements_of(stores, ledger_id, signatories) + (more or Statements())
    checkpoints = _by_node(found.checkpoints, signatories)
    proposals = _by_node(found.proposals, signatories)
    sizes = [entry.checkpoint.tree_size for entries in checkpoints.values() for entry in entries]
    roots = [roots_at(store, sizes) for store in stores] if sizes else []

    def valid(statement: SignedCheckpoint | SignedProposal) -> bool:
        return statement.holds(signatories[statement.node_id], check)

    accused: list[Contradiction] = []
    for node_id in sorted(checkpoints.keys() | proposals.keys()):
        two = _two_checkpoints(checkpoints.get(node_id, []), stores, roots, found.paths, valid)
        accused += [two] if two is not None else []
        pair = _two_proposals(proposals.get(node_id, []), valid)
        accused += [pair] if pair is not None else []
    assert all(holds(each, signatories[each.node_id], check) for each in accused)
    return tuple(accused)


def _by_node(entries: Iterable[Signed], signatories: Signatories) -> dict[NodeId, list[Signed]]:
    """Statements of nodes that somebody answers for, each once, in their order."""
    found: dict[NodeId, dict[Signed, None]] = {}
    for entry in entries:
        if entry.node_id in signatories:
            found.setdefault(entry.node_id, {})[entry] = None
    return {node_id: list(each) for node_id, each in found.items()}


def _two_checkpoints(
    entries: list[SignedCheckpoint],
    stores: Sequence[Readable],
    roots: Sequence[dict[int, bytes]],
    paths: Sequence[Path],
    valid: Callable[[SignedCheckpoint], bool],
) -> TwoCheckpoints | None:
    """A contradiction among one node's checkpoints. Signatures are checked only if there is one."""
    if _search(entries, roots, paths) is None:
        return None
    found = _search([entry for entry in entries if valid(entry)], roots, paths)
    if found is None:
        return None
    one, other, where = found
    if not isinstance(where, int):
        return TwoCheckpoints(one, other, where)
    path = full_path(
        stores[where], old_size=one.checkpoint.tree_size, new_size=other.checkpoint.tree_size
    )
    return TwoCheckpoints(one, other, path)


def _search(
    entries: Iterable[SignedCheckpoint], roots: Sequence[dict[int, bytes]], paths: Sequence[Path]
) -> tuple[SignedCheckpoint, SignedCheckpoint, tuple[bytes, ...] | int] | None:
    """Two checkpoints that contradict each other, and their path or the ledger that has it."""

    def order(entry: SignedCheckpoint) -> tuple[int, int, bytes]:
        return entry.checkpoint.tree_size, entry.checkpoint.height, entry.checkpoint.root

    ordered = sorted(entries, key=order)
    for one, other in pairwise(ordered):
        if contradict(one.checkpoint, other.checkpoint):
            return one, other, ()
    for number, known in enumerate(roots):
        held = [each for each in ordered if known.get(each.checkpoint.tree_size) == _root(each)]
        if not held:
            continue
        largest = held[-1]
        for each in ordered:
            size = each.checkpoint.tree_size
            if size < largest.checkpoint.tree_size and known[size] != _root(each):
                return each, largest, number
    for path in paths:
        for one in ordered:
            for other in ordered:
                sizes = one.checkpoint.tree_size, other.checkpoint.tree_size
                if sizes == (path.old_size, path.new_size) and contradict(
                    one.checkpoint, other.checkpoint, path.hashes
                ):
                    return one, other, path.hashes
    return None


def _root(entry: SignedCheckpoint) -> bytes:
    return entry.checkpoint.root


def _two_proposals(
    entries: list[SignedProposal], valid: Callable[[SignedProposal], bool]
) -> TwoProposals | None:
    """A contradiction among one leader's proposals. Signatures are checked only if there is one."""
    if _pair(entries) is None:
        return None
    return _pair([entry for entry in entries if valid(entry)])


def _pair(entries: Sequence[SignedProposal]) -> TwoProposals | None:
    first: dict[tuple[int, int], SignedProposal] = {}
    for entry in entries:
        found = TwoProposals(first.setdefault((entry.term, entry.index), entry), entry)
        if found.contradict():
            return found
    for (term, index), entry in first.items():
        following = first.get((term, index + 1))
        if following is not None:
            found = TwoProposals(entry, following)
            if found.contradict():
                return found
    return None
