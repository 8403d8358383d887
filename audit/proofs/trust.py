"""Who may vouch for a checkpoint: from the genesis, along the voter chain.

The chain is the blocks that changed the voters, each with a certificate, in a file that many proofs
share; without changes it is empty and need not be given. A block counts if a majority of the voters
before it signed it, and, if it changes them, a majority of those after it too
(`ledger.certificates.required_sets`). Each change is judged by the voters that the one before it
left, so two chains that part at some point have both a majority of the voters there, and whoever is
in both has signed two ledgers.
"""

from dataclasses import dataclass

from audit.proofs.format import (
    BlockPart,
    CertificatePart,
    ProofRefused,
    StatePart,
    VoterChain,
    accept_one_spelling,
)
from contracts.consortium import check_genesis, parse_node
from contracts.state import node_key
from ledger.blocks import BlockHeader, VoterSets, parse_block_header
from ledger.certificates import Certificate, check_certificate, required_sets
from ledger.checkpoints import Checkpoint, Cosignature
from ledger.errors import CertificateRefused, LedgerError
from ledger.genesis import GenesisFile
from ledger.proofs import check_inclusion
from ledger.state_proofs import OtherLeaf, StateProof, check_absence, check_presence
from ledger.tiles import hashes_of
from ledger.tree import leaf_hash
from ledger.types import LeafIndex, NodeId, PublicKey, TreeSize

CHAIN_BYTES_MAX = 64 * 1024 * 1024
"""Limit of a voter chain's file, in bytes of JSON."""

_GIVE_CHAIN = (
    "If the voters have changed since genesis, give the ledger's newest voter chain with --voters; "
    "`concordat audit prove voters` makes it."
)


@dataclass(frozen=True, slots=True)
class Certified:
    """A block that counts. voters: how many nodes may have signed it."""

    certificate: Certificate
    header: BlockHeader
    voters: int


class Trust:
    """A genesis that every founder signed, and the changes of voters since, as far as known."""

    def __init__(self, genesis: GenesisFile, chain: bytes | None = None) -> None:
        """chain: a voter chain's file. Raises ProofRefused."""
        try:
            genesis.check()
            check_genesis(genesis.genesis)
        except LedgerError as error:
            raise ProofRefused(error.what, error.why, remedy=error.remedy) from None
        self.genesis = genesis
        self._sets = [(0, VoterSets(genesis.genesis.voters))]
        self._owners: dict[NodeId, str] = {
            node.node_id: entry.department
            for entry in genesis.genesis.departments
            for node in entry.nodes
        }
        self._publishers: dict[PublicKey, str] = {
            node.publication_key: entry.department
            for entry in genesis.genesis.departments
            for node in entry.nodes
        }
        if chain is not None:
            self._follow(chain)

    @property
    def changes(self) -> tuple[int, ...]:
        """Heights of the blocks that changed the voters, in order, as far as known."""
        return tuple(height for height, _ in self._sets[1:])

    def owner(self, node_id: NodeId) -> str:
        """The department that answers for a node; the node's id where that is not known."""
        return self._owners.get(node_id) or f"node {node_id.hex()[:16]}…"

    def publisher(self, key: PublicKey) -> str | None:
        """The department whose node has this publication key, None where that is not known.

        Known are the nodes of genesis, and those that the voter chain names.
        """
        return self._publishers.get(key)

    def certified(self, certificate: CertificatePart, block: BlockPart) -> Certified:
        """A block that its voters have certified. Raises ProofRefused or another LedgerError."""
        made = self._certificate(certificate)
        header = self._header(block, made)
        sets = required_sets(self._before(header.height), header.voters)
        try:
            check_certificate(made, ledger_id=self.genesis.ledger_id, voter_sets=sets)
        except CertificateRefused as error:
            raise ProofRefused(error.what, error.why, remedy=_GIVE_CHAIN) from None
        return Certified(made, header, len({node for voters in sets for node in voters}))

    def vouched(self, certificate: Certificate) -> int:
        """How many may have signed a certificate of a block that changed no voters.

        For certificates that come without their block's header; that of a change would need more
        signatures than are asked for here. Raises ProofRefused.
        """
        sets = self._before(certificate.height).sets()
        try:
            check_certificate(certificate, ledger_id=self.genesis.ledger_id, voter_sets=sets)
        except CertificateRefused as error:
            raise ProofRefused(error.what, error.why, remedy=_GIVE_CHAIN) from None
        if certificate.height in self.changes:
            raise ProofRefused("certificate", "its block changed the voters; take a later one")
        return len({node for voters in sets for node in voters})

    def _follow(self, chain: bytes) -> None:
        parsed = accept_one_spelling(
            chain, VoterChain, what="voter chain", bytes_max=CHAIN_BYTES_MAX
        )
        if parsed.ledger_id != self.genesis.ledger_id.hex():
            raise ProofRefused("voter chain", "it is another ledger's")
        try:
            for change in parsed.changes:
                found = self.certified(change.certificate, change.block)
                height, before = self._sets[-1]
                if found.header.height <= height or found.header.voters == before:
                    raise ProofRefused("voter chain", "a block of it changes nothing")
                for part in change.nodes:
                    value = state_value(
                        found.header, node_key(bytes.fromhex(part.node_id)), part.state
                    )
                    if value is None:
                        raise ProofRefused("voter chain", f"there is no node {part.node_id}")
                    known = parse_node(value)
                    self._owners.setdefault(bytes.fromhex(part.node_id), known.department)
                    key = known.description.publication_key
                    self._publishers.setdefault(key, known.department)
                self._sets.append((found.header.height, found.header.voters))
        except ProofRefused:
            raise
        except LedgerError as error:
            raise ProofRefused(error.what, error.why, remedy=error.remedy) from None

    def _before(self, height: int) -> VoterSets:
        """The voters in force before the block at `height`, as far as known."""
        return next(sets for changed, sets in reversed(self._sets) if changed < height)

    def _certificate(self, part: CertificatePart) -> Certificate:
        """Signers have to stand sorted, so that one certificate has one spelling."""
        checkpoint = Checkpoint(self.genesis.ledger_id, part.height, part.tree_size, part.root)
        cosignatures = [
            Cosignature(bytes.fromhex(entry.node_id), entry.timestamp_s, entry.signature)
            for entry in part.signers
        ]
        ids = [entry.node_id for entry in cosignatures]
        if ids != sorted(set(ids)):
            raise ProofRefused("certificate", "its signers are not sorted and unique")
        return Certificate.of(checkpoint, cosignatures)

    def _header(self, part: BlockPart, certificate: Certificate) -> BlockHeader:
        """The header is the certified tree's last leaf."""
        header = parse_block_header(part.header)
        size = certificate.tree_size
        if (
            header.ledger_id != self.genesis.ledger_id
            or header.height != certificate.height
            or header.height == 0
            or header.tree_size + header.record_count + 1 != size
        ):
            raise ProofRefused("block header", "it is not that of the certified block")
        check_inclusion(
            leaf_hash=leaf_hash(part.header),
            leaf_index=LeafIndex(size - 1),
            tree_size=TreeSize(size),
            proof=hashes_of(part.path),
            root=certificate.root,
        )
        return header


def state_value(header: BlockHeader, key: bytes, part: StatePart) -> bytes | None:
    """The value of `key` in the block's state, None if it has none. Raises a LedgerError."""
    other = None if part.other is None else OtherLeaf(part.other.key_hash, part.other.value_hash)
    proof = StateProof(tuple(hashes_of(part.siblings)), other)
    if part.value is None:
        check_absence(header.state_root, key, proof)
    else:
        check_presence(header.state_root, key, part.value, proof)
    return part.value
