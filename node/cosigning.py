"""Checkpoints signed, sent and gathered: from executed blocks to certificates and evidence.

`node.certification` decides; this joins it to the chain, the store and the peers. This node signs
the end of a block once, and only upwards; the signature leaves with the completion of the batch
that holds it and its block. A certificate is kept if it is the last of its day, of a change of
voters, or the newest.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ledger import evidence, store_keys
from ledger.certificates import Certificate, parse_certificate, required_sets
from ledger.checkpoints import Checkpoint, cosignature_message
from ledger.codec import encode
from ledger.errors import Malformed
from ledger.types import Height, NodeId
from node.certification import Certification, Contradiction, Executed, is_same_day
from node.chain import Appended, Chain
from node.evidence import EvidenceLog
from node.messages import COSIGNATURES_MAX, SIGNED_CHECKPOINT, Cosignatures, SignedCheckpoint
from node.ports import Alarm, Outside, SignatureJob
from node.write_buffer import WriteBuffer

RECENT_MAX = 1_024
"""Own checkpoints kept in memory, by height; older ones are read from the chain."""


class Cosigning:
    """This node's signatures, those of others, and the certificates they make.

    signed_height: the highest height this node has signed, 0 if none.
    contradicted: whether a certificate was met that contradicts this node's ledger.
    """

    def __init__(
        self,
        *,
        ledger_id: bytes,
        node_id: NodeId,
        chain: Chain,
        buffer: WriteBuffer,
        outside: Outside,
    ) -> None:
        """Restores the newest certificate and the own signatures above it."""
        self._ledger_id = ledger_id
        self._node_id = node_id
        self._chain = chain
        self._buffer = buffer
        self._outside = outside
        self._evidence = EvidenceLog(buffer, outside.store)
        self._certification = Certification(ledger_id, node_id)
        self._recent: dict[Height, Checkpoint] = {}
        self._news: list[SignedCheckpoint] = []
        self._newest: dict[NodeId, SignedCheckpoint] = {}
        self.contradicted = False
        self._signatures_from = 1
        self._missed_change: Height | None = None
        self.signed_height = self._load()

    @property
    def certificate(self) -> Certificate | None:
        """The newest certificate, durable or on its way there."""
        return self._certification.certificate

    @property
    def certified_height(self) -> Height:
        """Its height, 0 if there is none."""
        return self._certification.certified_height

    # Own signatures.

    def executed(self, appended: Appended, *, gather: bool, sign: bool) -> None:
        """A block was executed. gather: whether its certificate is to be assembled here.

        sign: whether this node vouches for it too (rule 1).
        """
        checkpoint = appended.checkpoint
        height = Height(checkpoint.height)
        self._recent[height] = checkpoint
        if len(self._recent) > RECENT_MAX:
            del self._recent[next(iter(self._recent))]
        before, after = appended.voters_before, appended.block.header.voters
        changes = before != after
        required = required_sets(before, after)
        if gather or changes:
            signed = self._sign(checkpoint) if gather and sign else None
            if gather and changes and not sign:
                self._missed_change = height
            self._certification.executed(Executed(checkpoint, required, changes), signed)

    def sign_missed(self) -> bool:
        """Signs the change of voters that it executed while it withheld; whether there was one.

        No later certificate covers a change of voters: where other signatures on it are lost, it
        would want a majority for good without this one.
        """
        height, self._missed_change = self._missed_change, None
        if height is None or height != self.uncertified_change() or height <= self.signed_height:
            return False
        checkpoint = self._own_checkpoint(height)
        assert checkpoint is not None, "it was executed"
        self._certification.vouched(self._sign(checkpoint))
        return True

    def _sign(self, checkpoint: Checkpoint) -> SignedCheckpoint:
        assert checkpoint.height > self.signed_height, "a height is signed once, and only upwards"
        timestamp_s = self._outside.clock.now_ms() // 1000
        signature = self._outside.signer.sign_checkpoint(
            cosignature_message(checkpoint, timestamp_s)
        )
        signed = SignedCheckpoint(
            checkpoint.height, checkpoint.tree_size, checkpoint.root, timestamp_s, signature
        )
        height = Height(checkpoint.height)
        self.signed_height = height
        self._buffer.put(store_keys.own_signature_key(height), encode(signed))
        self._buffer.put(store_keys.SIGNED_MARK, height.to_bytes(8, "big"))
        self._news.append(signed)
        return signed

    def take_news(self) -> Iterable[Cosignatures]:
        """Own signatures for everyone; they leave once the batch that holds them is durable."""
        if not self._news:
            return ()
        news, self._news = self._news, []
        return _parts(news)

    def own_signatures(self, *, up_to: int) -> Iterator[Cosignatures]:
        """Own signatures above the newest certificate, for a peer that is new here."""
        signatures = self._certification.own_signatures()
        return _parts([signed for signed in signatures if signed.height <= up_to])

    # Those of others.

    def received(self, sender: NodeId, signatures: Sequence[SignedCheckpoint]) -> None:
        """A node's own signatures, from itself."""
        newest = max(signatures, key=lambda signed: signed.height)
        known = self._newest.get(sender)
        if known is None or known.height < newest.height:
            self._newest[sender] = newest
        for signed in signatures:
            self._received(sender, signed)

    def received_certificate(self, data: bytes, members: Sequence[NodeId]) -> int:
        """A certificate from anyone: its signatures count as far as they are good.

        Returns the height that it says it is of, 0 if it is none.
        """
        try:
            certificate = parse_certificate(data)
        except Malformed:
            return 0
        if certificate.ledger_id != self._ledger_id:
            return 0
        for entry in certificate.cosignatures:
            if entry.node_id in members:
                signed = SignedCheckpoint(
                    certificate.height,
                    certificate.tree_size,
                    certificate.root,
                    entry.timestamp_s,
                    entry.signature,
                )
                self._received(entry.node_id, signed)
        return certificate.height

    def _received(self, node_id: NodeId, signed: SignedCheckpoint) -> None:
        ours = self._own_checkpoint(signed.height)
        self._certification.received(node_id, signed, ours=ours)

    def jobs(self) -> list[tuple[NodeId, SignedCheckpoint, SignatureJob]]:
        """Signatures that are worth checking now."""
        return self._certification.jobs()

    def checked(self, node_id: NodeId, signed: SignedCheckpoint, *, valid: bool) -> list[Alarm]:
        """A job's result; alarms for the operator, their evidence in the next batch."""
        ours = self._own_checkpoint(signed.height)
        found = self._certification.checked(node_id, signed, valid=valid, ours=ours)
        if found is None:
            return []
        kept = [self._evidence.keep(self._evidence_of(found))]
        theirs = signed.checkpoint(self._ledger_id)
        voters = self._chain.voters_at(Height(signed.height - 1))
        certificate = self._certification.contradicting(theirs, voters.sets())
        if certificate is not None and not self.contradicted:
            kept.append(self.contradicts(certificate, found.ours, ()))
        return [alarm for alarm in kept if alarm is not None]

    def contradicts(
        self, certificate: Certificate, ours: Checkpoint, path: tuple[bytes, ...]
    ) -> Alarm | None:
        """A good certificate contradicts this ledger: the evidence for it, and the alarm."""
        self.contradicted = True
        own = None if self.certificate is None else self.certificate.to_bytes()
        return self._evidence.keep(
            evidence.CertifiedOther(certificate.to_bytes(), ours.body(), path, own)
        )

    def keep(self, found: evidence.Evidence) -> Alarm | None:
        """Keeps what was found elsewhere."""
        return self._evidence.keep(found)

    def _evidence_of(self, found: Contradiction) -> evidence.Evidence:
        theirs = self._text(found.theirs)
        own = found.own or self._certified_by(found.node_id, found.ours)
        if own is None:
            return evidence.SignedOther(found.node_id, theirs, found.ours.body())
        return evidence.SignedTwice(found.node_id, self._text(own), theirs)

    def _certified_by(self, node_id: NodeId, ours: Checkpoint) -> SignedCheckpoint | None:
        """The node's signature on `ours` in the certificate of that height, if one is kept."""
        value = self._buffer.get(store_keys.certificate_key(Height(ours.height)))
        if value is None:
            return None
        for entry in parse_certificate(value).cosignatures:
            if entry.node_id == node_id:
                return SignedCheckpoint(
                    ours.height, ours.tree_size, ours.root, entry.timestamp_s, entry.signature
                )
        return None

    def _text(self, signed: SignedCheckpoint) -> evidence.SignedText:
        text = signed.checkpoint(self._ledger_id).body()
        return evidence.SignedText(text, signed.timestamp_s, signed.signature)

    def _own_checkpoint(self, height: int) -> Checkpoint | None:
        return self._recent.get(Height(height)) or self._chain.checkpoint_at(Height(height))

    # What peers are shown, and show.

    def newest_of(self, peer: NodeId) -> SignedCheckpoint | None:
        """The highest signature of a node that it sent or that a certificate holds."""
        sent = self._newest.get(peer)
        certificate = self.certificate
        if certificate is not None and (sent is None or sent.height < certificate.height):
            for entry in certificate.cosignatures:
                if entry.node_id == peer:
                    return SignedCheckpoint(
                        certificate.height,
                        certificate.tree_size,
                        certificate.root,
                        entry.timestamp_s,
                        entry.signature,
                    )
        return sent

    def remember(self, signatures: Mapping[NodeId, SignedCheckpoint]) -> None:
        """The newest signatures of others that the store holds, at start."""
        self._newest.update(signatures)

    def has_signed(self, node_id: NodeId, *, since: int) -> bool:
        """Whether this ledger's checkpoint at `since` or later bears the node's signature."""
        if node_id == self._node_id:
            return self.signed_height >= since
        shown = self.newest_of(node_id)
        if shown is None or shown.height < since:
            return False
        checkpoint = shown.checkpoint(self._ledger_id)
        if checkpoint != self._own_checkpoint(shown.height):
            return False
        message = cosignature_message(checkpoint, shown.timestamp_s)
        return self._outside.check(node_id, message, shown.signature)

    def proves_more(self, signed: SignedCheckpoint) -> bool:
        """Whether this is this node's own signature, on a height it does not know to have signed.

        Then its store went backwards.
        """
        if signed.height <= self.signed_height:
            return False
        message = cosignature_message(signed.checkpoint(self._ledger_id), signed.timestamp_s)
        return self._outside.check(self._node_id, message, signed.signature)

    # Certificates.

    def certify(self) -> Certificate | None:
        """Assembles and keeps the newest certificate there is; it, if it is news."""
        previous = self.certificate
        certificate = self._certification.assemble()
        if certificate is None:
            return None
        self._keep(certificate, previous)
        return certificate

    def adopt(self, certificate: Certificate) -> bool:
        """A checked certificate of an executed block came with certified blocks; whether it is
        newer than any known here."""
        if certificate.height <= self.certified_height:
            return False
        previous = self.certificate
        self._certification.adopt(certificate)
        self._keep(certificate, previous)
        return True

    def _keep(self, certificate: Certificate, previous: Certificate | None) -> None:
        """Only one of a change of voters is worth a batch of its own: what follows rests on it."""
        height = Height(certificate.height)
        if (
            previous is not None
            and is_same_day(previous, certificate)
            and not self._chain.changes_voters(Height(previous.height))
        ):
            self._buffer.delete_later(store_keys.certificate_key(Height(previous.height)))
        put = self._buffer.put if self._chain.changes_voters(height) else self._buffer.put_later
        put(store_keys.certificate_key(height), certificate.to_bytes())
        for signed in range(self._signatures_from, min(height, self.signed_height) + 1):
            self._buffer.delete_later(store_keys.own_signature_key(Height(signed)))
        self._signatures_from = height + 1

    def uncertified_change(self) -> Height | None:
        """The first executed change of voters that is not certified, None if there is none."""
        return next(iter(self._certification.uncertified_changes()), None)

    def _load(self) -> int:
        """Restores newest certificate and own signatures above it; the highest signed height."""
        newest = next(iter(self._scan(store_keys.CERTIFICATE, reverse=True)), None)
        if newest is not None:
            self._certification.adopt(parse_certificate(newest[1]))
        self._signatures_from = self.certified_height + 1
        signed = {
            signature.height: signature
            for _, value in self._scan(store_keys.OWN_SIGNATURE)
            for signature in [SIGNED_CHECKPOINT.decode(value)]
        }
        for above in range(self.certified_height + 1, self._chain.tip.height + 1):
            height = Height(above)
            if above in signed or self._chain.changes_voters(height):
                self._restore(height, signed.get(above))
        self._missed_change = self.uncertified_change()
        mark = self._buffer.get(store_keys.SIGNED_MARK)
        return 0 if mark is None else store_keys.read_number(mark)

    def _restore(self, height: Height, signed: SignedCheckpoint | None) -> None:
        before = self._chain.voters_at(Height(height - 1))
        after = self._chain.voters_at(height)
        changes = before != after
        required = required_sets(before, after)
        checkpoint = self._chain.checkpoint_at(height)
        assert checkpoint is not None, "the height is not above the tip"
        self._certification.executed(Executed(checkpoint, required, changes), signed)

    def _scan(self, prefix: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self._outside.store.scan(prefix, bytes([prefix[0] + 1]), reverse=reverse)


def _parts(signatures: Sequence[SignedCheckpoint]) -> Iterator[Cosignatures]:
    for start in range(0, len(signatures), COSIGNATURES_MAX):
        yield Cosignatures(tuple(signatures[start : start + COSIGNATURES_MAX]))
