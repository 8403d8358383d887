"""The evidence file: signatures that contradict each other, in a file that stands alone.

JSON with one accepted spelling, as in `audit.proofs.format`. Whoever checks it needs the genesis
and nothing else: it says which department answers for a node. A file holds as a whole or not at
all, so nobody is named beside others who deserve it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from audit.admissions import WORDS_MAX, admitted
from audit.blame import Contradiction, TwoCheckpoints, TwoProposals, holds
from audit.proofs.format import HexId, Json, ProofRefused, accept_one_spelling, one_spelling
from audit.signed import Signatories, Signatory, SignedCheckpoint, SignedProposal, signatories_of
from contracts.consortium import check_genesis
from ledger.checkpoints import Checkpoint, Cosignature, contradict
from ledger.errors import LedgerError
from ledger.genesis import GenesisFile
from ledger.types import Hash, Identifier, Natural, NodeId, Signature

EVIDENCE_BYTES_MAX = 4 * 1024 * 1024
"""Limit of an evidence file, in bytes of JSON."""

ACCUSED_MAX = 2_048
"""Limit of the contradictions in one file."""

FORMAT: Literal["concordat/evidence/1"] = "concordat/evidence/1"

EVIDENCE_START = b'{\n "format": "' + FORMAT.encode() + b'"'
"""What the one spelling of every evidence file starts with."""

_Path = Annotated[tuple[Hash, ...], Meta(max_length=66)]


class CheckpointPart(Json, frozen=True):
    """A checkpoint and the node's cosignature on it (`ledger.checkpoints`)."""

    height: Natural
    tree_size: Natural
    root: Hash
    timestamp_s: Natural
    signature: Signature


class CheckpointsPart(Json, frozen=True, tag_field="kind", tag="checkpoints"):
    """Two checkpoints that one node signed; one has the smaller tree, or the smaller height.

    path: empty if they contradict each other as they are; else the consistency path in full.
    """

    node_id: HexId
    department: Identifier
    one: CheckpointPart
    other: CheckpointPart
    path: _Path


class ProposalPart(Json, frozen=True):
    """What a leader signed for an entry; digest: SHA-256 of the entry's bytes."""

    index: Natural
    previous_hash: Hash
    digest: Hash
    signature: Signature


class ProposalsPart(Json, frozen=True, tag_field="kind", tag="proposals"):
    """Two proposals that one leader signed in one term."""

    node_id: HexId
    department: Identifier
    term: Natural
    one: ProposalPart
    other: ProposalPart


Part: TypeAlias = CheckpointsPart | ProposalsPart


class AdmissionPart(Json, frozen=True):
    """A department's own word that it runs a node, or founders' (`audit.admissions`): leaves."""

    node_id: HexId
    leaves: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=WORDS_MAX)]


class Evidence(Json, frozen=True):
    """A whole evidence file; accused: sorted by node id, then kind, each once.

    admissions: of the accused nodes that genesis does not name, sorted by node id.
    """

    format: Literal["concordat/evidence/1"]
    ledger_id: HexId
    admissions: Annotated[tuple[AdmissionPart, ...], Meta(max_length=ACCUSED_MAX)]
    accused: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=ACCUSED_MAX)]

    def to_json(self) -> bytes:
        """The file's content, the one accepted spelling."""
        return one_spelling(self)


@dataclass(frozen=True, slots=True)
class Accused:
    """One node that signed both, and what. voter: whether genesis lets it vote.

    vouched: the founders by whose word it is the department's, if genesis does not name that; then
    fingerprint is of the enrolment that they admitted, to be compared with the department.
    """

    department: str
    node_id: NodeId
    voter: bool
    kind: str
    words: tuple[str, ...]
    vouched: tuple[str, ...] = ()
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Convicted:
    """What an evidence file shows."""

    ledger_id: bytes
    fingerprint: str
    accused: tuple[Accused, ...]

    @property
    def departments(self) -> tuple[str, ...]:
        """Every department that signed both of two contradicting statements, by its own word."""
        return tuple(sorted({each.department for each in self.accused if not each.vouched}))

    @property
    def vouched(self) -> tuple[str, ...]:
        """Those of which founders say that it is they: it is, or those founders lied about it."""
        return tuple(sorted({each.department for each in self.accused if each.vouched}))

    def facts(self) -> dict[str, Any]:
        """The same for programs, as JSON values."""
        return {
            "departments": list(self.departments),
            "vouched": list(self.vouched),
            "accused": [
                {
                    "department": entry.department,
                    "node_id": entry.node_id.hex(),
                    "voter": entry.voter,
                    "kind": entry.kind,
                    "statement": list(entry.words),
                    "vouched_by": list(entry.vouched),
                    "fingerprint": entry.fingerprint,
                }
                for entry in self.accused
            ],
        }


def evidence_file(
    found: Sequence[Contradiction],
    genesis: GenesisFile,
    signatories: Signatories | None = None,
) -> bytes:
    """The evidence file of at least one contradiction, checked. Raises ProofRefused.

    signatories: those that the contradictions were found with; genesis' if not given.
    """
    signatories = signatories or signatories_of(genesis.genesis)
    admissions = {
        each.node_id: signatories[each.node_id].admission
        for each in found
        if signatories[each.node_id].admission
    }
    parts = sorted(
        (_part(each, signatories[each.node_id]) for each in found),
        key=_order,
    )
    evidence = Evidence(
        format=FORMAT,
        ledger_id=genesis.ledger_id.hex(),
        admissions=tuple(
            AdmissionPart(node_id.hex(), words) for node_id, words in sorted(admissions.items())
        ),
        accused=tuple(parts),
    )
    data = evidence.to_json()
    check_evidence(data, genesis)
    return data


def check_evidence(data: bytes, genesis: GenesisFile) -> Convicted:
    """Whom the evidence file `data` convicts. Raises ProofRefused if it convicts nobody."""
    evidence = parse_evidence(data)
    try:
        genesis.check()
        check_genesis(genesis.genesis)
    except LedgerError as error:
        raise ProofRefused(error.what, error.why, remedy=error.remedy) from None
    if evidence.ledger_id != genesis.ledger_id.hex():
        raise ProofRefused(
            "evidence",
            "it is about another ledger than this genesis'",
            remedy="Give the genesis of the ledger that it is about; compare the fingerprint.",
        )
    keys = [_order(part) for part in evidence.accused]
    if keys != sorted(set(keys)):
        raise ProofRefused("evidence", "the accused are not sorted and unique")
    signatories = _signatories(evidence, genesis)
    return Convicted(
        genesis.ledger_id,
        genesis.fingerprint,
        tuple(_judged(part, genesis, signatories) for part in evidence.accused),
    )


def _signatories(evidence: Evidence, genesis: GenesisFile) -> Signatories:
    """Genesis' nodes, and the accused ones that the file's admissions add."""
    found = signatories_of(genesis.genesis)
    named = [part.node_id for part in evidence.admissions]
    accused = {part.node_id for part in evidence.accused}
    if named != sorted(set(named)) or not accused.issuperset(named):
        raise ProofRefused("evidence", "its admissions are not sorted, unique and of the accused")
    for part in evidence.admissions:
        node_id = bytes.fromhex(part.node_id)
        try:
            signatory = admitted(part.leaves, genesis).get(node_id)
        except LedgerError as error:
            raise ProofRefused(error.what, error.why) from None
        if signatory is None or node_id in found:
            raise ProofRefused("evidence", f"an admission is not of node {part.node_id}")
        found[node_id] = signatory
    return found


def parse_evidence(data: bytes) -> Evidence:
    """Evidence from its file; nothing is checked but the format. Raises ProofRefused."""
    return accept_one_spelling(data, Evidence, what="evidence", bytes_max=EVIDENCE_BYTES_MAX)


def _order(part: Part) -> tuple[str, str]:
    return part.node_id, "checkpoints" if isinstance(part, CheckpointsPart) else "proposals"


def _part(found: Contradiction, signatory: Signatory) -> Part:
    node_id = found.node_id.hex()
    if isinstance(found, TwoProposals):
        one, other = sorted((found.one, found.other), key=lambda each: (each.index, each.statement))
        return ProposalsPart(
            node_id, signatory.department, one.term, _proposal(one), _proposal(other)
        )
    first, second = sorted((found.one, found.other), key=_size)
    return CheckpointsPart(
        node_id, signatory.department, _checkpoint(first), _checkpoint(second), found.path
    )


def _size(signed: SignedCheckpoint) -> tuple[int, int, bytes]:
    checkpoint = signed.checkpoint
    return checkpoint.tree_size, checkpoint.height, checkpoint.root


def _checkpoint(signed: SignedCheckpoint) -> CheckpointPart:
    entry, by = signed.checkpoint, signed.cosignature
    return CheckpointPart(entry.height, entry.tree_size, entry.root, by.timestamp_s, by.signature)


def _proposal(signed: SignedProposal) -> ProposalPart:
    return ProposalPart(signed.index, signed.previous_hash, signed.digest, signed.signature)


def _judged(part: Part, genesis: GenesisFile, signatories: Signatories) -> Accused:
    node_id = bytes.fromhex(part.node_id)
    signatory = signatories.get(node_id)
    if signatory is None or signatory.department != part.department:
        raise ProofRefused("evidence", f"{part.department} does not answer for {part.node_id}")
    found = _found(part, node_id, genesis.ledger_id)
    if _part(found, signatory) != part:
        raise ProofRefused("evidence", "a pair does not stand in its order")
    if not holds(found, signatory):
        raise ProofRefused(
            "evidence", f"it does not show that {part.department} contradicts itself"
        )
    if isinstance(found, TwoCheckpoints):
        needed = not contradict(found.one.checkpoint, found.other.checkpoint)
        if not needed and found.path:
            raise ProofRefused("evidence", "it has a path that it does not need")
    return Accused(
        signatory.department,
        node_id,
        node_id in genesis.genesis.voters,
        "checkpoints" if isinstance(part, CheckpointsPart) else "proposals",
        (*_words(part), *_vouchers(signatory)),
        signatory.vouched,
        signatory.fingerprint,
    )


def _vouchers(signatory: Signatory) -> tuple[str, ...]:
    """By whose word the node is its department's, if not by the department's own."""
    if not signatory.vouched:
        return ()
    return (
        f"The node came with the enrolment of fingerprint {signatory.fingerprint}, which "
        f"{', '.join(signatory.vouched)} admitted as {signatory.department}.",
        f"Compare it with {signatory.department} by telephone: if it is not theirs, those who "
        "admitted it gave it that name.",
    )


def _found(part: Part, node_id: NodeId, ledger_id: bytes) -> Contradiction:
    if isinstance(part, ProposalsPart):
        one, other = (
            SignedProposal(
                ledger_id,
                node_id,
                part.term,
                each.index,
                each.previous_hash,
                each.digest,
                each.signature,
            )
            for each in (part.one, part.other)
        )
        return TwoProposals(one, other)
    first, second = (
        SignedCheckpoint(
            Checkpoint(ledger_id, each.height, each.tree_size, each.root),
            Cosignature(node_id, each.timestamp_s, each.signature),
        )
        for each in (part.one, part.other)
    )
    return TwoCheckpoints(first, second, part.path)


def _words(part: Part) -> tuple[str, ...]:
    if isinstance(part, ProposalsPart):
        one, other = part.one, part.other
        if one.index == other.index:
            what = f"two different entries for index {one.index}"
        else:
            what = f"an entry for index {other.index} that does not build on its own before it"
        return (f"{part.department} (node {part.node_id}) led term {part.term} and signed {what}.",)
    first, second = part.one, part.other
    how = (
        "The tree of the larger has another root at the smaller size."
        if part.path
        else "No single ledger can have both."
    )
    return (
        f"{part.department} (node {part.node_id}) signed two ledgers:",
        f"height {first.height}, {first.tree_size} leaves, root {first.root.hex()};",
        f"height {second.height}, {second.tree_size} leaves, root {second.root.hex()}.",
        how,
    )
