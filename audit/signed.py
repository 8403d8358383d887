"""What nodes have signed, as stores hold it: checkpoints and proposals, each with its signature.

Where they lie (`ledger.store_keys`): certificates, the node's own newest signatures, its Raft log,
and its evidence against others. Nothing is judged here; bytes that are not what they should be are
passed over, for `audit verify` names them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from heapq import merge
from itertools import groupby
from typing import Protocol

import msgspec

from audit.forks import Readable
from ledger import store_keys
from ledger.certificates import Certificate, parse_certificate
from ledger.checkpoints import Checkpoint, Cosignature, cosignature_message, parse_checkpoint
from ledger.errors import Malformed
from ledger.evidence import (
    CertifiedOther,
    CommittedReplaced,
    Evidence,
    ProposedTwice,
    SignedOther,
    SignedText,
    SignedTwice,
    parse_evidence,
)
from ledger.evidence import SignedProposal as KeptProposal
from ledger.genesis import Genesis
from ledger.statements import proposal_of_digest
from ledger.types import Hash, Natural, NodeId, PublicKey, Signature

PROPOSALS_MAX = 20_000
"""Limit of the proposals that are taken from Raft logs; a fork needs two."""


class Check(Protocol):
    """`ledger.signatures.verify`, or a simulator's stand-in with the same meaning."""

    def __call__(self, public_key: bytes, message: bytes, signature: bytes, /) -> bool:
        """Whether `signature` is `public_key`'s over `message`."""


@dataclass(frozen=True, slots=True)
class Signatory:
    """Who answers for a node: its department, and the key with which it signs proposals.

    admission: leaves in which the department says so itself (`audit.admissions`); none for a node
    that genesis names. vouched: for a department that genesis does not name: the founders whose
    word it is, sorted; fingerprint: of the enrolment that they admitted.
    """

    department: str
    proposal_key: PublicKey
    admission: tuple[bytes, ...] = ()
    vouched: tuple[str, ...] = ()
    fingerprint: str = ""


Signatories = Mapping[NodeId, Signatory]


def signatories_of(genesis: Genesis) -> dict[NodeId, Signatory]:
    """Every node that genesis names."""
    return {
        node.node_id: Signatory(entry.department, node.proposal_key)
        for entry in genesis.departments
        for node in entry.nodes
    }


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A node's signature on a checkpoint."""

    checkpoint: Checkpoint
    cosignature: Cosignature

    @property
    def node_id(self) -> NodeId:
        """Who signed, by its own word."""
        return self.cosignature.node_id

    def holds(self, signatory: Signatory, check: Check) -> bool:
        """Whether the node made the signature."""
        del signatory
        message = cosignature_message(self.checkpoint, self.cosignature.timestamp_s)
        return check(self.node_id, message, self.cosignature.signature)


@dataclass(frozen=True, slots=True)
class SignedProposal:
    """A leader's signature on the entry it proposes at (term, index).

    previous_hash: of the entry before. digest: SHA-256 of the entry's bytes.
    """

    ledger_id: bytes
    node_id: NodeId
    term: int
    index: int
    previous_hash: bytes
    digest: bytes
    signature: bytes

    @property
    def statement(self) -> bytes:
        """What is signed."""
        return proposal_of_digest(
            self.ledger_id,
            term=self.term,
            index=self.index,
            previous_hash=self.previous_hash,
            digest=self.digest,
        )

    @property
    def entry_hash(self) -> bytes:
        """The proposed entry's hash."""
        return sha256(self.statement).digest()

    def holds(self, signatory: Signatory, check: Check) -> bool:
        """Whether the node made the signature."""
        return check(signatory.proposal_key, self.statement, self.signature)


@dataclass(frozen=True, slots=True)
class Path:
    """A consistency path from one size of a tree to another, its hashes lowest first."""

    old_size: int
    new_size: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Statements:
    """What was found, by anybody; a statement may be there twice.

    paths: consistency paths that came with it, of any tree.
    """

    checkpoints: tuple[SignedCheckpoint, ...] = ()
    proposals: tuple[SignedProposal, ...] = ()
    paths: tuple[Path, ...] = ()

    def __add__(self, other: "Statements") -> "Statements":
        return Statements(
            self.checkpoints + other.checkpoints,
            self.proposals + other.proposals,
            self.paths + other.paths,
        )


def of_certificate(certificate: Certificate) -> Statements:
    """A certificate's signatures."""
    checkpoint = certificate.checkpoint
    return Statements(
        tuple(SignedCheckpoint(checkpoint, entry) for entry in certificate.cosignatures)
    )


def statements_of(
    stores: Sequence[Readable], ledger_id: bytes, signatories: Signatories
) -> Statements:
    """Every signed checkpoint in these stores, and the proposals in which their logs differ."""
    found = Statements(proposals=tuple(_differing_proposals(stores, ledger_id)))
    for store in stores:
        found += Statements(
            (*_certified(store), *_own(store, ledger_id, signatories)),
        )
        found += _evidence(store, ledger_id)
    return Statements(
        tuple(entry for entry in found.checkpoints if entry.checkpoint.ledger_id == ledger_id),
        found.proposals,
        found.paths,
    )


def _all(store: Readable, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    return store.scan(prefix, bytes([prefix[0] + 1]))


def _certified(store: Readable) -> Iterator[SignedCheckpoint]:
    for _, value in _all(store, store_keys.CERTIFICATE):
        try:
            yield from of_certificate(parse_certificate(value)).checkpoints
        except Malformed:
            continue


class _Own(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A node's own signature as its store keeps it (FORMATS.md, part 13)."""

    height: Natural
    tree_size: Natural
    root: Hash
    timestamp_s: Natural
    signature: Signature


_OWN = msgspec.msgpack.Decoder(_Own)


def _own(store: Readable, ledger_id: bytes, signatories: Signatories) -> Iterator[SignedCheckpoint]:
    """The store's own signatures, under every node's name: a store does not say whose it is.

    Whoever judges a signature passes over those under a false name.
    """
    for _, value in _all(store, store_keys.OWN_SIGNATURE):
        try:
            own = _OWN.decode(value)
        except msgspec.MsgspecError:
            continue
        checkpoint = Checkpoint(ledger_id, own.height, own.tree_size, own.root)
        for node_id in signatories:
            yield SignedCheckpoint(checkpoint, Cosignature(node_id, own.timestamp_s, own.signature))


class _Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A Raft entry as a store keeps it (FORMATS.md, part 12)."""

    term: Natural
    index: Natural
    data: bytes
    proposer: NodeId
    signature: Signature

    def proposal(self, ledger_id: bytes, previous_hash: bytes) -> SignedProposal:
        """What its leader signed."""
        return SignedProposal(
            ledger_id,
            self.proposer,
            self.term,
            self.index,
            previous_hash,
            sha256(self.data).digest(),
            self.signature,
        )


_LOGGED = msgspec.msgpack.Decoder(tuple[_Entry, Hash])


class _Shown(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A proposal as a running node shows it: what was signed, without the entry (FORMATS.md 15)."""

    proposer: NodeId
    term: Natural
    index: Natural
    previous_hash: Hash
    digest: Hash
    signature: Signature


_SHOWN = msgspec.msgpack.Decoder(_Shown)


def show_proposal(stored: bytes, before: bytes | None, ledger_id: bytes) -> bytes | None:
    """What a node shows of a Raft entry in its store; None if it cannot say what was signed.

    before: the stored entry of the index before.
    """
    try:
        entry, _ = _LOGGED.decode(stored)
        previous_hash = ledger_id if entry.index == 1 else None
        if before is not None:
            previous_hash = _LOGGED.decode(before)[1]
    except msgspec.MsgspecError:
        return None
    if previous_hash is None:
        return None
    signed = entry.proposal(ledger_id, previous_hash)
    return msgspec.msgpack.encode(
        _Shown(
            signed.node_id,
            signed.term,
            signed.index,
            signed.previous_hash,
            signed.digest,
            signed.signature,
        )
    )


def parse_shown_proposal(data: bytes, ledger_id: bytes) -> SignedProposal:
    """A proposal that a node showed; nothing is checked. Raises Malformed."""
    try:
        shown = _SHOWN.decode(data)
    except msgspec.MsgspecError as error:
        raise Malformed("proposal", str(error)) from None
    return SignedProposal(
        ledger_id,
        shown.proposer,
        shown.term,
        shown.index,
        shown.previous_hash,
        shown.digest,
        shown.signature,
    )


def _differing_proposals(stores: Sequence[Readable], ledger_id: bytes) -> Iterator[SignedProposal]:
    """Proposals where two logs hold different entries, and at the places next to those."""

    def log(number: int) -> Iterator[tuple[bytes, int, bytes]]:
        for key, value in _all(stores[number], store_keys.ENTRY):
            yield key, number, value

    hashes: dict[int, tuple[int, bytes]] = dict.fromkeys(range(len(stores)), (0, ledger_id))
    before: list[SignedProposal] = []
    count = 0
    differed = False
    for _, group in groupby(merge(*map(log, range(len(stores)))), key=lambda entry: entry[0]):
        here = []
        values = set()
        for _, number, value in group:
            values.add(value)
            try:
                entry, digest = _LOGGED.decode(value)
            except msgspec.MsgspecError:
                continue
            last, previous_hash = hashes[number]
            hashes[number] = (entry.index, digest)
            if last == entry.index - 1:
                here.append(entry.proposal(ledger_id, previous_hash))
        differs = len(values) > 1
        if differs or differed:
            yield from before
            yield from here
            count += len(here) + len(before)
            if count > PROPOSALS_MAX:
                return
            here = []
        before, differed = here, differs


def _evidence(store: Readable, ledger_id: bytes) -> Statements:
    """What the node kept against others."""
    found = Statements()
    for _, value in _all(store, store_keys.EVIDENCE):
        try:
            found += _of_evidence(parse_evidence(value), ledger_id)
        except Malformed:
            continue
    return found


def _of_evidence(kept: Evidence, ledger_id: bytes) -> Statements:
    match kept:
        case ProposedTwice() | CommittedReplaced():
            return Statements(
                proposals=(
                    _kept_proposal(kept.kept, ledger_id),
                    _kept_proposal(kept.refused, ledger_id),
                )
            )
        case SignedTwice():
            both = (kept.one, kept.other)
            return Statements(tuple(_kept_checkpoint(kept.node_id, each) for each in both))
        case SignedOther():
            return Statements((_kept_checkpoint(kept.node_id, kept.theirs),))
        case CertifiedOther():
            theirs = parse_certificate(kept.theirs)
            found = of_certificate(theirs)
            if kept.our_certificate is not None:
                found += of_certificate(parse_certificate(kept.our_certificate))
            if kept.path:
                path = Path(parse_checkpoint(kept.ours).tree_size, theirs.tree_size, kept.path)
                found += Statements(paths=(path,))
            return found


def _kept_proposal(kept: KeptProposal, ledger_id: bytes) -> SignedProposal:
    return SignedProposal(
        ledger_id,
        kept.proposer,
        kept.term,
        kept.index,
        kept.previous_hash,
        sha256(kept.data).digest(),
        kept.signature,
    )


def _kept_checkpoint(node_id: NodeId, kept: SignedText) -> SignedCheckpoint:
    signature = Cosignature(node_id, kept.timestamp_s, kept.signature)
    return SignedCheckpoint(parse_checkpoint(kept.text), signature)
