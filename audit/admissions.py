"""Which department answers for a node that joined later: by its own signed word, or by founders'.

Genesis names the first nodes. A later one is enrolled by ballots, and what a majority of voters
says of it is no proof against a department, for that majority may be the liars. What is: a record,
signed with a record key that genesis gives the department, in which it proposes the node's
enrolment under its own name, or approves such a proposal. Two records at most prove themselves.

A department that joined later has no key in genesis. For the nodes that it came with, the founders
that admitted it vouch: the proposal to admit it, and ballots of more than half of the departments
in genesis, each signed with a key of genesis. That names whoever made the enrolment with that
fingerprint; whether it is the department of that name is those founders' word, and is said so.
"""

from collections.abc import Iterable, Mapping, Sequence

from audit.forks import Readable, leaves
from audit.signed import Signatory, signatories_of
from contracts.consortium import DEPARTMENTS_MAX
from contracts.governance import Ballot, Propose
from contracts.membership import AdmitDepartment, AdmitNode, ReplaceNode
from contracts.registry import CONTRACTS
from ledger.errors import BadSignature, LedgerError, Malformed
from ledger.genesis import EnrolmentFile, GenesisFile, open_enrolment
from ledger.records import Record, parse_leaf
from ledger.signatures import verify
from ledger.types import NodeId

WORDS_MAX = 1 + DEPARTMENTS_MAX
"""Limit of the records in one admission."""

_KINDS = ("consortium.propose", "consortium.ballot")


def signatories_in(genesis: GenesisFile, stores: Iterable[Readable]) -> dict[NodeId, Signatory]:
    """Genesis' nodes, and those that these ledgers' records admit by their departments' own word.

    Reads every leaf of each store once.
    """
    found = signatories_of(genesis.genesis)
    for store in stores:
        proposals: dict[bytes, bytes] = {}
        ballots: dict[bytes, dict[str, bytes]] = {}
        for leaf in leaves(store):
            if not any(kind.encode() in leaf for kind in _KINDS):
                continue
            try:
                record = parse_leaf(leaf)
                if record.header.kind == "consortium.propose":
                    proposals[record.record_id] = leaf
                    words: tuple[bytes, ...] = (leaf,)
                else:
                    ballot = _ballot(record)
                    first = proposals.get(ballot.proposal_id)
                    if first is None or not ballot.approves:
                        continue
                    words = (first, leaf)
                    if _is_new_department(parse_leaf(first)):
                        _check_author(record, record.header.department, genesis)
                        cast = ballots.setdefault(ballot.proposal_id, {})
                        cast.setdefault(record.header.department, leaf)
                        words = (first, *cast.values())
                for node_id, signatory in admitted(words, genesis).items():
                    found.setdefault(node_id, signatory)
            except LedgerError:
                continue
    return found


def admitted(words: Sequence[bytes], genesis: GenesisFile) -> Mapping[NodeId, Signatory]:
    """The nodes for which a department answers by its own word, or founders vouch.

    words: the proposal's leaf; then the department's ballot's, if another made the proposal; for a
    new department the ballots of founders, each once. Raises a LedgerError if that is not what
    they are.
    """
    if not 1 <= len(words) <= WORDS_MAX:
        raise Malformed("admission", f"it is 1 to {WORDS_MAX} records")
    records = [parse_leaf(leaf) for leaf in words]
    file = _enrolled(records[0])
    for each in records[1:]:
        ballot = _ballot(each)
        if ballot.proposal_id != records[0].record_id or not ballot.approves:
            raise Malformed("admission", "a ballot does not approve the proposal")
    enrolled = file.enrolment.department
    name = enrolled.department
    vouched: tuple[str, ...] = ()
    if _is_new_department(records[0]):
        vouched = _founders(records, genesis)
    elif len(records) > 2:
        raise Malformed("admission", "a department's own word is one record, or two")
    else:
        _check_author(records[-1], name, genesis)
    return {
        node.node_id: Signatory(
            name,
            node.proposal_key,
            tuple(words),
            vouched,
            file.fingerprint if vouched else "",
        )
        for node in enrolled.nodes
    }


def _founders(records: Sequence[Record], genesis: GenesisFile) -> tuple[str, ...]:
    """Who admitted a new department: more than half of those in genesis, by keys of genesis."""
    founders = {entry.department for entry in genesis.genesis.departments}
    if _enrolled(records[0]).enrolment.department.department in founders:
        raise Malformed("admission", "genesis names the department already")
    voices = [each.header.department for each in records[1:]]
    if len(set(voices)) != len(voices) or not founders.issuperset(voices):
        raise Malformed("admission", "its ballots are not founders', each once")
    for each in records[1:]:
        _check_author(each, each.header.department, genesis)
    proposer = records[0].header.department
    if proposer in founders and proposer not in voices:
        _check_author(records[0], proposer, genesis)
        voices.append(proposer)
    if 2 * len(voices) <= len(founders):
        raise Malformed("admission", f"{len(voices)} of {len(founders)} founders vouch for it")
    return tuple(sorted(voices))


def _is_new_department(proposal: Record) -> bool:
    if proposal.header.kind != "consortium.propose":
        return False
    body = CONTRACTS[proposal.header.kind].body.decode(bytes(proposal.header.body))
    return isinstance(body.action, AdmitDepartment)


def _enrolled(record: Record) -> EnrolmentFile:
    """What a proposal enrols for a department, each key of which has signed it."""
    if record.header.kind != "consortium.propose":
        raise Malformed("admission", f"it is a {record.header.kind}")
    body = CONTRACTS[record.header.kind].body.decode(bytes(record.header.body))
    assert isinstance(body, Propose)
    if not isinstance(body.action, AdmitDepartment | AdmitNode | ReplaceNode):
        raise Malformed("admission", "it proposes no node")
    file = open_enrolment(body.action.enrolment)
    file.check()
    if file.enrolment.ledger_id != record.header.ledger_id:
        raise Malformed("admission", "the enrolment is for another ledger")
    return file


def _ballot(record: Record) -> Ballot:
    if record.header.kind != "consortium.ballot":
        raise Malformed("admission", f"it is a {record.header.kind}")
    body = CONTRACTS[record.header.kind].body.decode(bytes(record.header.body))
    assert isinstance(body, Ballot)
    return body


def _check_author(record: Record, name: str, genesis: GenesisFile) -> None:
    """The record is the department's, by a key that genesis gives it."""
    header = record.header
    keys = {
        entry.key
        for department in genesis.genesis.departments
        if department.department == name
        for entry in department.record_keys
    }
    if (
        header.ledger_id != genesis.ledger_id
        or header.department != name
        or header.key not in keys
        or not verify(header.key, record.statement(), record.signature)
    ):
        raise BadSignature("admission", f"{name} did not sign it with a key of genesis")
