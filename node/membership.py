"""Who takes part, as the executed blocks say, and for how long a node that left is still served.

A node that is retired goes on until the block that leaves it out of the voters is certified; then
it stops, and its key is spent. Its peers serve it until it shows them a certificate of that block
or a later one: only then does it know that it has left, whatever was lost on the way to it. One
that never shows any is refused after so many blocks.
"""

from consensus import Configuration
from contracts.consortium import departing_nodes, nodes
from contracts.consortium import node as state_of
from contracts.state import DEPARTING_NODES, NODES
from ledger.blocks import VoterSets
from ledger.types import Height, NodeId
from node.chain import Appended, Chain
from node.cosigning import Cosigning

DEPARTING_BLOCKS_MAX = 1_000
"""Certified blocks after the one that a node left with, beyond which it is served no more."""


class Membership:
    """members: every node that may connect, this one included; sorted."""

    __slots__ = ("_chain", "_cosigning", "_left", "_node_id", "_refused", "_shown", "members")

    def __init__(self, node_id: NodeId, chain: Chain, cosigning: Cosigning) -> None:
        self._node_id = node_id
        self._chain = chain
        self._cosigning = cosigning
        self._left: dict[NodeId, Height] = {}
        self._refused: set[NodeId] = set()
        self._shown: dict[NodeId, int] = {}
        self.members: tuple[NodeId, ...] = ()
        self._review()

    def executed(self, appended: Appended) -> bool:
        """A block was executed; whether it changed who takes part."""
        writes = appended.block.writes
        voters = appended.block.header.voters
        if voters == appended.voters_before and not (NODES in writes or DEPARTING_NODES in writes):
            return False
        self._review()
        return True

    def shown(self, node: NodeId, height: int) -> None:
        """A member has sent a certificate of that height; only whether it has left hangs on it.

        It may be ahead of this node's execution: one that leaves says so once, and is gone.
        """
        self._shown[node] = max(height, self._shown.get(node, 0))

    def certified(self) -> bool:
        """Blocks were certified or certificates shown; whether somebody is refused from now on."""
        done = [node for node in sorted(self._left) if self._has_all(node)]
        for node in done:
            del self._left[node]
            self._shown.pop(node, None)
            self._refused.add(node)
        if done:
            self._review()
        return bool(done)

    def is_retired(self, certified_height: int) -> bool:
        """Whether this node has left, by a block at or below this certified height."""
        left = self._left.get(self._node_id)
        return left is not None and certified_height >= left

    def configuration(self) -> Configuration:
        """Everyone's part in consensus, as of the chain's tip."""
        voters = self._chain.tip.voters
        voting = _all_voters(voters)
        learners = tuple(node for node in self.members if node not in voting)
        return Configuration(voters.voters, voters.incoming, learners)

    def _review(self) -> None:
        view = self._chain.view
        voting = _all_voters(self._chain.tip.voters)
        departing = departing_nodes(view)
        for node in departing:
            if node not in voting and node not in self._left and node not in self._refused:
                self._left[node] = self._left_with(node)
        served = {*nodes(view), *voting, *departing} - self._refused
        self.members = tuple(sorted(served))

    def _left_with(self, node: NodeId) -> Height:
        """The block with which a node left: the first one, from its retirement on, after which it
        is no voter. A node that starts long afterwards has to name the same one as the others."""
        known = state_of(self._chain.view, node)
        assert known is not None and known.retired_height is not None, "it is departing"
        height = known.retired_height
        while node in _all_voters(self._chain.voters_at(Height(height))):
            height += 1
        return Height(height)

    def _has_all(self, node: NodeId) -> bool:
        left, certified = self._left[node], self._cosigning.certified_height
        if certified < left or node == self._node_id:
            return False
        return self._shown.get(node, 0) >= left or certified >= left + DEPARTING_BLOCKS_MAX


def _all_voters(voters: VoterSets) -> set[NodeId]:
    return {*voters.voters, *voters.incoming}
