"""What nodes say to each other about the ledger, beside the messages of consensus.

All are frozen and tagged, so that one decoder reads whatever arrives on a consensus connection.
"""

from typing import Annotated

from msgspec import Meta

from consensus import messages as consensus_messages
from ledger.blocks import BLOCK_HEADER_BYTES_MAX
from ledger.certificates import CERTIFICATE_BYTES_MAX
from ledger.checkpoints import Checkpoint
from ledger.codec import Decoder, Format
from ledger.entries import ENTRY_RECORDS_MAX
from ledger.records import RECORD_BYTES_MAX
from ledger.types import Hash, Natural, Signature

FORWARD_RECORDS_MAX = 1_000
"""Limit of the records in one `Forward`."""

COSIGNATURES_MAX = 1_000
"""Limit of the signatures in one `Cosignatures`."""

BLOCKS_MAX = 512
"""Limit of the blocks in one `CertifiedBlocks`."""

PATH_MAX = 128
"""Limit of the hashes in one consistency path."""

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
"""Limit of one peer message, in bytes; greater than the largest append."""


class Forward(Format, frozen=True, tag=100):
    """Records for the leader to propose; their submitter resends them until they are executed."""

    records: Annotated[
        tuple[Annotated[bytes, Meta(max_length=RECORD_BYTES_MAX)], ...],
        Meta(min_length=1, max_length=FORWARD_RECORDS_MAX),
    ]


class ForwardRefused(Format, frozen=True, tag=101):
    """The leader cannot take these records now: its queue is full."""

    record_ids: Annotated[tuple[Hash, ...], Meta(max_length=FORWARD_RECORDS_MAX)]
    retry_after_ms: Natural


class SignedCheckpoint(Format, frozen=True):
    """A node's signature on the checkpoint at the end of a block (`ledger.checkpoints`)."""

    height: Natural
    tree_size: Natural
    root: Hash
    timestamp_s: Natural
    signature: Signature

    def checkpoint(self, ledger_id: bytes) -> Checkpoint:
        """What is signed."""
        return Checkpoint(ledger_id, self.height, self.tree_size, self.root)


SIGNED_CHECKPOINT: Decoder[SignedCheckpoint] = Decoder(
    SignedCheckpoint, what="signed checkpoint", bytes_max=1024
)


class Cosignatures(Format, frozen=True, tag=102):
    """The sender's own checkpoint signatures, oldest first."""

    checkpoints: Annotated[
        tuple[SignedCheckpoint, ...], Meta(min_length=1, max_length=COSIGNATURES_MAX)
    ]


class CertificateNews(Format, frozen=True, tag=103):
    """The newest certificate the sender knows (`ledger.certificates`)."""

    certificate: Annotated[bytes, Meta(max_length=64 * 1024)]


class Remembered(Format, frozen=True, tag=104):
    """What the sender remembers of the *receiver*; the answer to `Ask` (`node.standing`).

    checkpoint: the receiver's newest signature that the sender has; the receiver checks itself. One
    above all it knows to have signed proves that its store went backwards.
    term: the highest in which the receiver voted or acknowledged. match_term, match: the last
    entry that it acknowledged, and in which term; all zero if there is none.
    """

    checkpoint: SignedCheckpoint | None
    term: Natural
    match_term: Natural
    match: Natural


class Ask(Format, frozen=True, tag=105):
    """A node that starts asks what it has promised, before it takes part."""


class CertificateWanted(Format, frozen=True, tag=106):
    """The sender lacks the certificate of a change of voters; answered by `CertificateNews`."""

    height: Natural


class BlocksWanted(Format, frozen=True, tag=107):
    """The sender is behind: it wants the blocks after `height`, proved by a certificate.

    tree_size: of its own tree at `height`.
    """

    height: Natural
    tree_size: Natural


class ServedBlock(Format, frozen=True):
    """A block as it is handed on: its accepted records as they travel, and its header's leaf."""

    records: Annotated[
        tuple[Annotated[bytes, Meta(max_length=RECORD_BYTES_MAX)], ...],
        Meta(max_length=ENTRY_RECORDS_MAX),
    ]
    header: Annotated[bytes, Meta(max_length=BLOCK_HEADER_BYTES_MAX)]


class CertifiedBlocks(Format, frozen=True, tag=108):
    """The blocks after `height`, and what proves them; no blocks: the sender has none to offer.

    certificate: of the last block here or of a later one; the first change of voters among what
    follows `height`, or the newest there is. path: RFC 9162 consistency path from the tree at the
    end of the last block here into the certificate's. path_before: the same from the tree size that
    was asked with, which shows a receiver on another branch that it is; empty from an empty tree.
    """

    height: Natural
    blocks: Annotated[tuple[ServedBlock, ...], Meta(max_length=BLOCKS_MAX)]
    certificate: Annotated[bytes, Meta(max_length=CERTIFICATE_BYTES_MAX)]
    path: Annotated[tuple[Hash, ...], Meta(max_length=PATH_MAX)]
    path_before: Annotated[tuple[Hash, ...], Meta(max_length=PATH_MAX)]


PeerMessage = (
    consensus_messages.AnyMessage
    | Forward
    | ForwardRefused
    | Cosignatures
    | CertificateNews
    | Remembered
    | Ask
    | CertificateWanted
    | BlocksWanted
    | CertifiedBlocks
)

_SINCE_VERSION_2 = (Remembered, Ask, CertificateWanted, BlocksWanted, CertifiedBlocks)


def is_known_to(message: PeerMessage, version: int) -> bool:
    """Whether a peer that speaks this protocol version knows such a message.

    Those of consensus are `consensus.messages`' own matter.
    """
    return version >= 2 or not isinstance(message, _SINCE_VERSION_2)


_MADE_STALE: dict[type, str] = {
    **dict.fromkeys((consensus_messages.Append, consensus_messages.SnapshotOffer), "append"),
    **dict.fromkeys(
        (consensus_messages.AppendReply, consensus_messages.AppendRefused), "append answer"
    ),
    consensus_messages.Heartbeat: "heartbeat",
    consensus_messages.HeartbeatReply: "heartbeat answer",
    **dict.fromkeys(
        (
            consensus_messages.PreVoteRequest,
            consensus_messages.VoteRequest,
            consensus_messages.TransferVoteRequest,
        ),
        "vote request",
    ),
    CertificateNews: "certificate",
}


def stale_kind(message: object) -> str:
    """The kind of which a newer message makes older ones to the same peer stale, "" if of none.

    A leader probes anew for what a stale append was to bring; whoever acknowledges, says how far.
    """
    return _MADE_STALE.get(type(message), "")


PEER_MESSAGE: Decoder[PeerMessage] = Decoder(
    PeerMessage, what="peer message", bytes_max=MESSAGE_BYTES_MAX
)
