"""Record keys that departments add and revoke while they sign with them, and who judges that (A8).

A department adds a key with a record that a present key signs, and revokes one in the same way
(`contracts.keys`); the council may revoke one by ballots. Its people sign with the newest key that
the ledger names, and now and then with any other: one that is revoked, or not yet named. Which of
those records count is the ledger's order alone to say.

A checkpoint key is its node: it is rotated by replacing the node (`sim.council`).
"""

from collections.abc import Callable
from functools import cache

from builders import START_MS

from contracts.consortium import SETTINGS, member
from contracts.governance import Ballot, Propose
from contracts.keys import KeyAdd, KeyRevoke
from contracts.membership import RevokeKey
from contracts.registry import CONTRACTS
from ledger.genesis import Genesis, RecordKey
from ledger.records import Record, parse_record
from ledger.signatures import Signer
from ledger.statements import record_key_statement
from node.replica import Replica
from sim.keys import consortium, record_signer

KEYS_MAX = 6
"""Keys that one department makes in a run, at most."""

VALID_MS = 86_000_000
NONCES = 1 << 65
"""Nonces of records about keys begin here, far from those of clients and of the council."""

ROTATIONS = ("key-added", "key-revoked", "unknown-key-refused")
"""What comes of it; counted at the end of a run."""


@cache
def adding(nodes: int, voters: int, department: str, number: int, by: int, *, real: bool) -> bytes:
    """The record that adds key `number`, signed by key `by`."""
    key = record_signer(department, number=number, real=real).public_key
    statement = record_key_statement(
        consortium(nodes, voters).ledger_id, department=department, key=key
    )
    proof = Signer.sign(record_signer(department, number=number, real=True), statement)
    body = KeyAdd(RecordKey(key, f"key {number}"), proof)
    return _record(nodes, voters, department, "key.add", body, number, by, real=real)


@cache
def revoking(
    nodes: int, voters: int, department: str, number: int, by: int, *, real: bool
) -> bytes:
    """The record that revokes key `number`, signed by key `by`."""
    key = record_signer(department, number=number, real=real).public_key
    body = KeyRevoke(key, "rotated")
    return _record(nodes, voters, department, "key.revoke", body, number, by, real=real)


def _record(
    nodes: int,
    voters: int,
    department: str,
    kind: str,
    body: KeyAdd | KeyRevoke,
    number: int,
    by: int,
    *,
    real: bool,
) -> bytes:
    record = consortium(nodes, voters).record(
        department,
        kind,
        body,
        created_ms=START_MS + 5_000,
        valid_ms=VALID_MS,
        nonce=(NONCES + KEYS_MAX * by + number).to_bytes(16, "big"),
        by=record_signer(department, number=by, real=real),
    )
    return record.to_bytes()


class Keyring:
    """The departments' keys in one world, as their people know them.

    made: how many keys beside the first a department has made. in_force: numbers of its keys as of
    the newest block that any honest node has executed, in the ledger's order.
    """

    def __init__(self, *, founders: int, voters: int, below: Callable[[int], int], real: bool):
        """below: of the tape."""
        self._size = (founders, voters)
        self._below = below
        self._real = real
        self.made: dict[str, int] = {}
        self.in_force: dict[str, list[int]] = {}

    def executed(self, replica: Replica) -> None:
        """A node has executed a block that nobody had executed."""
        for department, made in self.made.items():
            known = member(replica.chain.view, department)
            numbers = {self._key(department, number): number for number in range(made + 1)}
            keys = () if known is None else known.record_keys
            self.in_force[department] = [numbers[key] for key in keys if key in numbers]

    def _key(self, department: str, number: int) -> bytes:
        return record_signer(department, number=number, real=self._real).public_key

    def signs_with(self, department: str) -> int:
        """The number of the key with which a department signs next."""
        made = self.made.get(department, 0)
        if not made:
            return 0
        if self._below(4) == 0:
            return self._below(made + 1)
        return self._newest(department)

    def _newest(self, department: str) -> int:
        known = self.in_force.get(department, [0])
        return known[-1] if known else 0

    def change(self, department: str) -> bytes | None:
        """The next record about the department's keys; None if it has made enough."""
        made, by = self.made.get(department, 0), self._newest(department)
        if not made or self._below(2) == 0:
            if made >= KEYS_MAX:
                return None
            self.made[department] = made + 1
            return adding(*self._size, department, made + 1, by, real=self._real)
        known = self.in_force.get(department) or [0]
        number = known[self._below(len(known))]
        return revoking(*self._size, department, number, by, real=self._real)

    def spare_key(self, department: str) -> bytes | None:
        """A key that the department can do without; None if it has none."""
        known = self.in_force.get(department, [])
        return self._key(department, known[self._below(len(known))]) if len(known) > 1 else None


class KeyJudge:
    """Which record keys are in force after each record of a ledger, worked out by itself."""

    def __init__(self, genesis: Genesis) -> None:
        self._departments = len(genesis.departments)
        self._owner = {
            key.key: founder.department
            for founder in genesis.departments
            for key in founder.record_keys
        }
        self._proposed: dict[bytes, tuple[bytes, dict[str, bool]]] = {}
        self.counts = {"key-added": 0, "key-revoked": 0}

    def record(self, record: Record) -> None:
        """The next record of the ledger: whether its key is in force just before it (A8)."""
        header = record.header
        in_force = self._owner.get(header.key) == header.department
        assert in_force, "a record counts, and its key was not in force"
        if header.kind not in ("key.add", "key.revoke", "consortium.propose", "consortium.ballot"):
            return
        body = CONTRACTS[header.kind].body.decode(bytes(header.body))
        match body:
            case KeyAdd():
                assert body.key.key not in self._owner, "a key is enrolled twice"
                self._owner[body.key.key] = header.department
                self.counts["key-added"] += 1
            case KeyRevoke():
                self._revoke(body.key)
            case Propose(action=RevokeKey(key)):
                self._proposed[record.record_id] = (key, {})
                self._vote(record.record_id, header.department, approves=True)
            case Ballot():
                self._vote(body.proposal_id, header.department, approves=body.approves)

    def _vote(self, proposal_id: bytes, department: str, *, approves: bool) -> None:
        key, votes = self._proposed.get(proposal_id, (b"", {}))
        if not key:
            return
        votes[department] = approves
        if 100 * sum(votes.values()) > SETTINGS["key-ballots-percent"].default * self._departments:
            del self._proposed[proposal_id]
            self._revoke(key)

    def _revoke(self, key: bytes) -> None:
        assert self._owner.pop(key, None) is not None, "a key is revoked that was not in force"
        self.counts["key-revoked"] += 1


def record_id_of(raw: bytes) -> bytes:
    """A record's id, from its bytes."""
    return parse_record(raw).record_id
