"""Majorities, of one set or of both while a change is joint (Raft §6)."""

from collections.abc import Container, Mapping

from consensus.types import Configuration, NodeId, RaftIndex


def is_majority(voters: tuple[NodeId, ...], agreeing: Container[NodeId]) -> bool:
    """Whether more than half of `voters` agree; an empty set never has a majority."""
    return 2 * sum(node in agreeing for node in voters) > len(voters)


def is_quorum(configuration: Configuration, agreeing: Container[NodeId]) -> bool:
    """Whether a majority of each set in force agrees."""
    return is_majority(configuration.voters, agreeing) and (
        not configuration.incoming or is_majority(configuration.incoming, agreeing)
    )


def is_lost(configuration: Configuration, refusing: Container[NodeId]) -> bool:
    """Whether so many refuse that no quorum can agree any more."""
    others = {node for node in configuration.voting if node not in refusing}
    return not is_quorum(configuration, others)


def quorum_index(configuration: Configuration, match: Mapping[NodeId, RaftIndex]) -> RaftIndex:
    """The greatest index that a quorum holds durably (Raft §5.3), by each node's match index."""

    def of(voters: tuple[NodeId, ...]) -> RaftIndex:
        held = sorted((match.get(node, RaftIndex(0)) for node in voters), reverse=True)
        return held[len(held) // 2]

    index = of(configuration.voters)
    return min(index, of(configuration.incoming)) if configuration.incoming else index
