"""What nodes say to each other to agree: one frozen, tagged struct a message.

Every message carries its sender's term (Raft §5.1), except `PreVoteRequest`, which carries the term
that the sender would campaign in (thesis §9.6). Who sent it is not in the message: the caller knows
that from the authenticated connection.

| version | knows                                                             |
|---------|-------------------------------------------------------------------|
| 1       | elections, replication, reads (tags 1 to 11)                      |
| 2       | also TimeoutNow, SnapshotOffer, TransferVoteRequest (12 to 14)    |

A node speaks every version in `PROTOCOL_VERSIONS`, so a cluster is upgraded one node at a time: to
a peer of an older version goes only what that version knows.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from consensus.types import Digest, Entry, Number

PROTOCOL_VERSIONS = (1, 2)
"""The versions this code speaks, oldest first."""

PROTOCOL_VERSION = PROTOCOL_VERSIONS[-1]
"""The newest of them; a peer is taken to speak it until it says otherwise."""

SIGNATURE_BYTES_MAX = 64
"""Limit of a signature in a message."""

ENTRIES_MAX = 4_096
"""Limit of the entries in one append."""


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of all messages. term: the sender's."""

    term: Number


class PreVoteRequest(Message, frozen=True, tag=1):
    """Would you vote for me in `term`? Nobody's term changes by the question (thesis §9.6).

    time_ms: the sender's clock: voters refuse a candidate that is ahead of them, and for a while
    one that is behind.
    """

    last_index: Number
    last_term: Number
    time_ms: Number


class PreVoteReply(Message, frozen=True, tag=2):
    """Granted replies carry the term of the request, refusals the voter's own."""

    granted: bool


class VoteRequest(Message, frozen=True, tag=3):
    """RequestVote (Raft §5.2, §5.4.1); the sender's vote for itself is durable."""

    last_index: Number
    last_term: Number
    time_ms: Number


class VoteReply(Message, frozen=True, tag=4):
    """The vote; durable before it leaves if granted."""

    granted: bool


class Append(Message, frozen=True, tag=5):
    """AppendEntries (Raft §5.3); without entries it carries the commit index.

    previous_index, previous_term: the entry just before the first of `entries`.
    commit: the leader's commit index.
    """

    previous_index: Number
    previous_term: Number
    entries: Annotated[tuple[Entry, ...], Meta(max_length=ENTRIES_MAX)]
    commit: Number


class AppendReply(Message, frozen=True, tag=6):
    """The sender's log is durable and equal to the leader's up to `index`, whose hash is `hash`."""

    index: Number
    hash: Digest


class AppendRefused(Message, frozen=True, tag=7):
    """The log does not hold `previous_index`, or an entry is from the follower's future.

    hint_index, hint_term: where the follower's log may agree: its newest entry at or before
    previous_index whose term is at most previous_term.
    early: the entries are refused because their time is ahead of the follower's clock.
    """

    previous_index: Number
    hint_index: Number
    hint_term: Number
    early: bool


class Heartbeat(Message, frozen=True, tag=8):
    """The leader lives. commit: at most what the receiver is known to hold (P19).

    round: the newest round of read confirmation (thesis §6.4).
    """

    commit: Number
    round: Number


class HeartbeatReply(Message, frozen=True, tag=9):
    """The sender still followed this leader when the heartbeat of `round` came."""

    round: Number


class ReadRequest(Message, frozen=True, tag=10):
    """A follower asks for an index that a read must see (thesis §6.4)."""

    token: Number


class ReadReply(Message, frozen=True, tag=11):
    """The read may run once `index` is applied; None: ask again later."""

    token: Number
    index: Number | None


class TimeoutNow(Message, frozen=True, tag=12):
    """The leader of `term` hands over to the receiver, which campaigns at once (thesis §3.10).

    signature: the leader's, over the term and the receiver (`Proposals.sign_transfer`).
    """

    signature: Annotated[bytes, Meta(max_length=SIGNATURE_BYTES_MAX)]


class SnapshotOffer(Message, frozen=True, tag=13):
    """The leader's log begins after (index, entry_term), whose hash is `hash` (Raft §7).

    The receiver's next entry is gone there. It fetches the state at that place, or a later one, by
    its driver's means and checks it itself; then it acknowledges with an AppendReply.
    """

    index: Number
    entry_term: Number
    hash: Digest


class TransferVoteRequest(VoteRequest, frozen=True, tag=14):
    """RequestVote of a candidate that the leader of the term before told to campaign.

    signature: that of its TimeoutNow. With it, a voter does not wait for its leader to fall silent.
    """

    signature: Annotated[bytes, Meta(max_length=SIGNATURE_BYTES_MAX)]


AnyMessage = (
    PreVoteRequest
    | PreVoteReply
    | VoteRequest
    | VoteReply
    | Append
    | AppendReply
    | AppendRefused
    | Heartbeat
    | HeartbeatReply
    | ReadRequest
    | ReadReply
    | TimeoutNow
    | SnapshotOffer
    | TransferVoteRequest
)


def since(kind: type[Message]) -> int:
    """The first version that knows this kind of message."""
    return 2 if kind in (TimeoutNow, SnapshotOffer, TransferVoteRequest) else 1


def for_version(message: AnyMessage, version: int) -> AnyMessage | None:
    """What a peer that speaks `version` is told instead of `message`; None: nothing."""
    if version >= since(type(message)):
        return message
    if isinstance(message, TransferVoteRequest):
        return VoteRequest(message.term, message.last_index, message.last_term, message.time_ms)
    return None
