"""Which department answers for a node that joined later: by its own signed word.

Genesis names the first nodes. A later one is enrolled by ballots, and what a majority of voters
says of it is no proof against a department, for that majority may be the liars. What is: a record,
signed with a record key that genesis gives the department, in which it proposes the node's
enrolment under its own name, or approves such a proposal. Two records at most prove themselves.
"""

from collections.abc import Iterable, Mapping, Sequence

from audit.forks import Readable, leaves
from audit.signed import Signatory, signatories_of
from contracts.governance import Ballot, Propose
from contracts.membership import AdmitNode, ReplaceNode
from contracts.registry import CONTRACTS
from ledger.errors import BadSignature, LedgerError, Malformed
from ledger.genesis import Department, GenesisFile, open_enrolment
from ledger.records import Record, parse_leaf
from ledger.signatures import verify
from ledger.types import NodeId

_KINDS = ("consortium.propose", "consortium.ballot")


def signatories_in(genesis: GenesisFile, stores: Iterable[Readable]) -> dict[NodeId, Signatory]:
    """Genesis' nodes, and those that these ledgers' records admit by their departments' own word.

    Reads every leaf of each store once.
    """
    found = signatories_of(genesis.genesis)
    for store in stores:
        proposals: dict[bytes, bytes] = {}
        for leaf in leaves(store):
            if not any(kind.encode() in leaf for kind in _KINDS):
                continue
            try:
                record = parse_leaf(leaf)
                if record.header.kind == "consortium.propose":
                    proposals[record.record_id] = leaf
                    words: tuple[bytes, ...] = (leaf,)
                else:
                    first = proposals.get(_ballot(record).proposal_id)
                    if first is None:
                        continue
                    words = (first, leaf)
                for node_id, signatory in admitted(words, genesis).items():
                    found.setdefault(node_id, signatory)
            except LedgerError:
                continue
    return found


def admitted(words: Sequence[bytes], genesis: GenesisFile) -> Mapping[NodeId, Signatory]:
    """The nodes for which a department answers by its own word, one leaf or two.

    words: the proposal's leaf if the department made it, else also its ballot's. Raises a
    LedgerError if that is not what they are.
    """
    if not 1 <= len(words) <= 2:
        raise Malformed("admission", "it is one record, or two")
    records = [parse_leaf(leaf) for leaf in words]
    enrolled = _enrolled(records[0])
    name = enrolled.department
    if len(records) == 2:
        ballot = _ballot(records[1])
        if ballot.proposal_id != records[0].record_id or not ballot.approves:
            raise Malformed("admission", "the ballot does not approve the proposal")
    _check_author(records[-1], name, genesis)
    return {
        node.node_id: Signatory(name, node.proposal_key, tuple(words)) for node in enrolled.nodes
    }


def _enrolled(record: Record) -> Department:
    """What a proposal enrols for a department, each key of which has signed it."""
    if record.header.kind != "consortium.propose":
        raise Malformed("admission", f"it is a {record.header.kind}")
    body = CONTRACTS[record.header.kind].body.decode(bytes(record.header.body))
    assert isinstance(body, Propose)
    if not isinstance(body.action, AdmitNode | ReplaceNode):
        raise Malformed("admission", "it proposes no node")
    file = open_enrolment(body.action.enrolment)
    file.check()
    if file.enrolment.ledger_id != record.header.ledger_id:
        raise Malformed("admission", "the enrolment is for another ledger")
    return file.enrolment.department


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
