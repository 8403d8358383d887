"""Keeping evidence (`ledger.evidence`): durable with the next batch, within a bound for each node.

One proof is enough, so what is kept against one node is limited, and nobody who lies often can fill
a disk or push out what is kept against another.
"""

from consensus import Entry as RaftEntry
from consensus.ready import CommittedReplaced, Equivocation
from consensus.ready import Evidence as ConsensusEvidence
from ledger import evidence, store_keys
from ledger.errors import Malformed
from ledger.types import NodeId
from node.errors import StoreCorrupt
from node.ports import Alarm, StoreReader
from node.write_buffer import WriteBuffer

EVIDENCE_PER_NODE_MAX = 4
"""Limit of the pieces of one kind that are kept against one node."""

_NO_NODE = b""


class EvidenceLog:
    """Evidence in the store, numbered from 0."""

    __slots__ = ("_buffer", "_count", "_kept", "_store")

    def __init__(self, buffer: WriteBuffer, store: StoreReader) -> None:
        """Counts what is kept. Raises StoreCorrupt if some of it is unreadable."""
        self._buffer = buffer
        self._store = store
        self._count = 0
        self._kept: dict[tuple[type, NodeId], int] = {}
        for _, value in store.scan(store_keys.EVIDENCE, bytes([store_keys.EVIDENCE[0] + 1])):
            try:
                self._counted(evidence.parse_evidence(value))
            except Malformed as error:
                raise StoreCorrupt(f"evidence {self._count} is unreadable: {error}") from None

    def keep(self, found: evidence.Evidence) -> Alarm | None:
        """Keeps a piece; the alarm for the operator, None if enough of that kind is kept."""
        accused = _accused(found)
        if self._kept.get((type(found), accused), 0) >= EVIDENCE_PER_NODE_MAX:
            return None
        data = evidence.evidence_bytes(found)
        self._buffer.put(store_keys.evidence_key(self._count), data)
        self._counted(found)
        return _alarm(found)

    def _counted(self, found: evidence.Evidence) -> None:
        place = (type(found), _accused(found))
        self._kept[place] = self._kept.get(place, 0) + 1
        self._count += 1


def of_consensus(found: ConsensusEvidence) -> evidence.Evidence:
    """What consensus found, as it is kept."""
    kept = _proposal(found.kept, found.previous_hash_kept)
    refused = _proposal(found.refused, found.previous_hash_refused)
    match found:
        case Equivocation():
            return evidence.ProposedTwice(kept, refused)
        case CommittedReplaced():
            return evidence.CommittedReplaced(found.sender, kept, refused)


def _proposal(entry: RaftEntry, previous_hash: bytes) -> evidence.SignedProposal:
    return evidence.SignedProposal(
        term=entry.term,
        index=entry.index,
        previous_hash=previous_hash,
        data=entry.data,
        proposer=entry.proposer,
        signature=entry.signature,
    )


def _accused(found: evidence.Evidence) -> NodeId:
    match found:
        case evidence.ProposedTwice():
            return found.refused.proposer
        case evidence.CommittedReplaced():
            return found.sender
        case evidence.SignedTwice() | evidence.SignedOther():
            return found.node_id
        case evidence.CertifiedOther():
            return _NO_NODE


def _alarm(found: evidence.Evidence) -> Alarm:
    name = _accused(found).hex()[:16]
    match found:
        case evidence.ProposedTwice():
            index = found.refused.index
            detail = (
                f"node {name}… signed two logs in one term that part at or before index {index}"
            )
        case evidence.CommittedReplaced():
            detail = f"node {name}… sent another entry for committed index {found.kept.index}"
        case evidence.SignedTwice():
            detail = f"node {name}… signed two checkpoints of one height"
        case evidence.SignedOther():
            detail = f"node {name}… signed another block than this node executed"
        case evidence.CertifiedOther():
            detail = "a certificate contradicts this node's ledger"
    return Alarm(type(found).__name__, detail)
