"""Whether this node may take part: what it has promised must be what its store still holds.

| standing     | comes from                                               | ends with         |
|--------------|----------------------------------------------------------|-------------------|
| asking       | every start                                              | enough answers    |
| good         |                                                          |                   |
| withholding  | a peer remembers a term or a match that is not here      | having caught up  |
| behind       | the watermark, or a peer with this node's own signature  | never: a new key  |
| contradicted | a certificate contradicts this node's ledger             | never: a new key  |
| retired      | the block that leaves this node out is certified         | never: a new key  |

A voter that lost its disk, or got an old one back, is a lying node to Raft: it may vote twice and
what it acknowledged is gone. So a node asks before it takes part. What a peer *shows*, this node's
own signature, is proof, and costs the key. What a peer only *says*, a term and an index, is not: it
makes the node withhold votes until that promise can no longer matter, and costs nothing else; so no
liar among those asked can halt a node, nor make it contradict itself (the watermark is its own).

Why withholding suffices. Terms only rise, so a store whose term is above a promise's is newer than
the promise. Else: once the commit index is at or above the promised match, this node holds again
whatever it acknowledged; once an entry of a later term is committed, whatever that term left
uncommitted is void (Raft §5.4.3). A forgotten vote cannot be given a second time once this node is
in a later term, or knows the leader of that one.
"""

from enum import Enum

from consensus import Raft
from ledger.blocks import VoterSets
from ledger.types import NodeId
from node import ports
from node.messages import CertificateNews, Cosignatures, Remembered
from node.peer_memory import Promise

ASK_TICKS = 4
"""Ticks between two questions to a peer that has not answered."""


class Standing(Enum):
    """What this node may do; see the module."""

    ASKING = "asking"
    GOOD = "good"
    WITHHOLDING = "withholding"
    BEHIND = "behind"
    CONTRADICTED = "contradicted"
    RETIRED = "retired"

    @property
    def is_final(self) -> bool:
        """Whether only a new key ends it."""
        return self in (Standing.BEHIND, Standing.CONTRADICTED, Standing.RETIRED)


class Asking:
    """The questions at the start, and what the answers oblige this node to.

    Invariants: `withheld` holds only promises that still matter; `is_final` is the standing's.
    """

    __slots__ = ("_answered", "_node_id", "_ticks", "is_final", "standing", "withheld")

    def __init__(self, node_id: NodeId, *, voters: VoterSets, standing: Standing) -> None:
        """standing: a final one that is known already, or ASKING."""
        self._node_id = node_id
        self._answered: set[NodeId] = set()
        self._ticks = 0
        self.withheld: list[Promise] = []
        self.standing = standing
        self.is_final = standing.is_final
        self._settle(voters)

    @property
    def takes_part(self) -> bool:
        """Whether this node hears and answers consensus at all."""
        return self.standing in (Standing.GOOD, Standing.WITHHOLDING)

    def tick(self, voters: VoterSets) -> tuple[NodeId, ...]:
        """Whom to ask now: the voters that have not answered."""
        if self.standing is not Standing.ASKING:
            return ()
        self._ticks += 1
        if self._ticks % ASK_TICKS != 1:
            return ()
        return tuple(
            sorted(
                node_id
                for node_id in {*voters.voters, *voters.incoming}
                if node_id != self._node_id and node_id not in self._answered
            )
        )

    def answered(self, peer: NodeId, promise: Promise, raft: Raft, voters: VoterSets) -> None:
        """A peer's word on what this node has promised it."""
        if self.standing.is_final:
            return
        if self.standing is Standing.ASKING:
            if _is_forgotten(promise, raft):
                self.withheld.append(promise)
            self._answered.add(peer)
            self._settle(voters)

    def _settle(self, voters: VoterSets) -> None:
        """Enough answers: with this node they are a majority of every set of voters."""
        if self.standing is Standing.ASKING and all(
            sum(node in self._answered for node in group if node != self._node_id)
            >= len(group) // 2
            for group in voters.sets()
        ):
            self.standing = Standing.WITHHOLDING if self.withheld else Standing.GOOD
            self._answered.clear()

    def review(self, raft: Raft) -> bool:
        """Lets go of promises that no longer matter; whether the standing changed."""
        if self.standing is not Standing.WITHHOLDING:
            return False
        self.withheld = [promise for promise in self.withheld if not _is_void(promise, raft)]
        if not self.withheld:
            self.standing = Standing.GOOD
        return not self.withheld

    def end(self, standing: Standing) -> bool:
        """This node's key is spent; whether that is news."""
        if self.is_final:
            return False
        self.standing = standing
        self.is_final = standing.is_final
        return True


def _is_forgotten(promise: Promise, raft: Raft) -> bool:
    """Whether this store is older than the promise; raft: as it was started from the store."""
    if raft.term < max(promise.term, promise.match_term):
        return True
    return raft.term == promise.match_term and raft.last_index < promise.match


def _is_void(promise: Promise, raft: Raft) -> bool:
    """Whether a forgotten promise can no longer be broken."""
    may_vote_again = raft.term < promise.term or (raft.term == promise.term and raft.leader is None)
    if may_vote_again:
        return False
    commit = raft.commit_index
    if commit >= promise.match:
        return True
    return commit > 0 and raft.entry(commit).entry.term > promise.match_term


def is_harmless(effect: ports.Effect, standing: Standing) -> bool:
    """What a node whose key is spent still lets out: nothing that promises anything new.

    A retired node's ledger is the consortium's, so what has become durable in it is still told, and
    the signatures that it made before, and the certificate that shows its peers that it knows.
    """
    retired = standing is Standing.RETIRED
    match effect:
        case ports.Send():
            return isinstance(effect.message, Remembered) or (
                retired and isinstance(effect.message, Cosignatures | CertificateNews)
            )
        case ports.Settled() | ports.Executed() | ports.Certified() | ports.MembersChanged():
            return retired
        case ports.Verify():
            return False
        case _:
            return True
