"""What a node keeps for ever against another: two statements that no honest node makes both of."""

from consensus.ready import Evidence
from ledger import store_keys
from ledger.codec import encode
from node.certification import Contradiction
from node.ports import Alarm, StoreReader
from node.write_buffer import WriteBuffer


class EvidenceLog:
    """Evidence in the store, numbered from 0."""

    __slots__ = ("_buffer", "_count")

    def __init__(self, buffer: WriteBuffer, store: StoreReader) -> None:
        self._buffer = buffer
        stop = bytes([store_keys.EVIDENCE[0] + 1])
        self._count = sum(1 for _ in store.scan(store_keys.EVIDENCE, stop))

    def keep(self, evidence: Evidence) -> Alarm:
        """Keeps what consensus found; the alarm for the operator."""
        name = type(evidence).__name__
        self._put((name, evidence.kept, evidence.refused))
        proposer = evidence.refused.proposer.hex()[:16]
        return Alarm(name, f"node {proposer}… at Raft index {evidence.refused.index}")

    def keep_contradiction(self, found: Contradiction) -> Alarm:
        """Keeps a signature on another block than the one executed here."""
        signature = found.cosignature
        self._put(
            (
                "Contradiction",
                found.node_id,
                found.theirs.body(),
                signature.timestamp_s,
                signature.signature,
            )
        )
        detail = f"node {found.node_id.hex()[:16]}… signed another block {found.height}"
        return Alarm("Contradiction", detail)

    def _put(self, content: object) -> None:
        self._buffer.put(store_keys.evidence_key(self._count), encode(content))
        self._count += 1
