"""Departments that change who takes part, at any moment, through the ledger's own contracts.

A *motion* is a proposal on the ledger and the ballots on it, which departments send to any node
until it is decided. New nodes start before they are admitted. Whatever is decided, whenever, leaves
a majority of every set of voters alive (`sim.electorate`).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from builders import START_MS, joining_enrolment

from consensus import Role
from contracts.governance import Ballot, Propose, proposal
from contracts.membership import (
    Action,
    AdmitNode,
    ChangeVoters,
    ReplaceNode,
    RetireNode,
    RevokeKey,
)
from ledger.genesis import SignedEnrolment
from node.replica import Replica
from sim.clients import Clients
from sim.electorate import Change
from sim.keys import consortium, record_signer
from sim.world import World

MOTIONS = ("admit", "promote", "demote", "swap", "retire", "replace", "readmit", "revoke-key")
"""What is put to the vote; counted when it is decided."""

NODES_MAX = 10
PENDING_MAX = 4
VALID_MS = 86_000_000
NONCES = 1 << 64
"""Nonces of the council's records begin here, far from those of clients."""


@dataclass(frozen=True, slots=True)
class Motion:
    """A proposal. kind: of `MOTIONS`. raw: its record."""

    kind: str
    raw: bytes


@cache
def enrolment(nodes: int, voters: int, department: str, number: int) -> SignedEnrolment:
    """The signed enrolment of a department's further node."""
    return joining_enrolment(consortium(nodes, voters).ledger_id, department, number).signed()


class Council:
    """The departments of one world."""

    def __init__(self, world: World, clients: Clients) -> None:
        self._world = world
        self._clients = clients
        self._motions: dict[bytes, Motion] = {}
        self._numbers: Counter[str] = Counter()
        self._filed = 0
        self._kinds: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("admit", self._admit),
            ("promote", self._promote),
            ("demote", self._demote),
            ("swap", self._swap),
            ("retire", self._retire),
            ("replace", self._replace),
            ("readmit", self._readmit),
            ("revoke-key", self._revoke_key),
        )

    def strike(self) -> None:
        """Something is proposed, if it may be."""
        if len(self._world.electorate.pending) < PENDING_MAX:
            _, propose = self._world.tape.choice(self._kinds)
            if propose():
                self._world.count("motion")

    def work(self) -> None:
        """Departments look at the ledger and say what they still have to say."""
        newest = self._newest()
        if newest is None:
            return
        for record_id, motion in list(self._motions.items()):
            known = proposal(newest.chain.view, record_id)
            if known is None:
                if record_id in self._world.history.refused:
                    del self._motions[record_id]
                else:
                    self._clients.bring(self._anyone(), record_id, motion.raw)
            elif known.status == "open":
                self._cast(record_id, {cast.department for cast in known.ballots})
            elif newest.chain.tip.height >= self._world.electorate.height:
                del self._motions[record_id]
                self._world.electorate.pending.pop(record_id, None)
                if known.status == "decided":
                    self._world.count(f"decided-{motion.kind}", step=False)

    # What is proposed.

    def _admit(self) -> bool:
        newcomer = self._newcomer(self._department())
        if newcomer is None:
            return False
        return self._propose("admit", AdmitNode(newcomer[1]), Change())

    def _promote(self) -> bool:
        learners = self._learners()
        if not learners:
            return False
        chosen = {self._world.tape.choice(learners), self._world.tape.choice(learners)}
        return self._change("promote", Change(joining=frozenset(chosen)))

    def _demote(self) -> bool:
        return self._change("demote", Change(leaving=frozenset({self._voter()})))

    def _swap(self) -> bool:
        learners = self._learners()
        if not learners:
            return False
        joining = frozenset({self._world.tape.choice(learners)})
        return self._change("swap", Change(joining, frozenset({self._voter()})))

    def _change(self, kind: str, change: Change) -> bool:
        joining, leaving = tuple(sorted(change.joining)), tuple(sorted(change.leaving))
        return self._propose(kind, ChangeVoters(joining, leaving), change)

    def _retire(self) -> bool:
        learners = self._learners()
        tape = self._world.tape
        node = tape.choice(learners) if learners and tape.below(2) else self._voter()
        return self._propose("retire", RetireNode(node), Change(leaving=frozenset({node})))

    def _replace(self) -> bool:
        """Another node comes in a voter's stead; first in that of one whose disk was lost."""
        return self._readmit() or self._replaced("replace", self._voter())

    def _readmit(self) -> bool:
        """A node whose disk was lost comes back under a new key (P36, A7)."""
        world = self._world
        lost = [node for node in world.electorate.members if node in world.dead]
        return bool(lost) and self._replaced("readmit", world.tape.choice(lost))

    def _revoke_key(self) -> bool:
        """A record key of one of them counts no more, whatever its department says (A8)."""
        key = self._world.keyring.spare_key(self._department())
        return key is not None and self._propose("revoke-key", RevokeKey(key), Change())

    def _replaced(self, kind: str, node: bytes) -> bool:
        world = self._world
        if node not in world.electorate.members:
            return False
        newcomer = self._newcomer(world.department_of[node])
        if newcomer is None:
            return False
        fresh, signed = newcomer
        votes = node in world.electorate.target and bool(world.tape.below(4))
        change = Change(frozenset({fresh} if votes else ()), frozenset({node}))
        return self._propose(kind, ReplaceNode(node, signed, votes=votes), change)

    def _propose(self, kind: str, action: Action, change: Change) -> bool:
        """Files the proposal, unless it could take a majority from some set of voters."""
        electorate = self._world.electorate
        if not electorate.can_bear(change):
            return False
        record_id, raw = self._file(self._department(), "consortium.propose", Propose(action, kind))
        self._motions[record_id] = Motion(kind, raw)
        electorate.pending[record_id] = change
        return True

    def _newcomer(self, department: str) -> tuple[bytes, SignedEnrolment] | None:
        """A new node, which starts now, and its enrolment; None if there are enough."""
        world = self._world
        living = [node for node in world.nodes if world.may_live(node)]
        if len(living) >= NODES_MAX:
            return None
        self._numbers[department] += 1
        number = self._numbers[department]
        node = world.join(department, number)
        genesis = world.consortium.genesis_file.genesis
        signed = enrolment(len(genesis.departments), len(genesis.voters), department, number)
        return node, signed

    # Ballots.

    def _cast(self, record_id: bytes, cast: set[str]) -> None:
        tape = self._world.tape
        missing = [name for name in self._world.consortium.departments if name not in cast]
        if not missing:
            return
        approves = tape.below(10) < 9
        self._file(tape.choice(missing), "consortium.ballot", Ballot(record_id, approves))

    def _file(self, department: str, kind: str, body: object) -> tuple[bytes, bytes]:
        """A record of a department, brought to any node; its id and its bytes."""
        self._filed += 1
        record = self._world.consortium.record(
            department,
            kind,
            body,
            created_ms=START_MS + 5_000,
            valid_ms=VALID_MS,
            nonce=(NONCES + self._filed).to_bytes(16, "big"),
            by=record_signer(
                department,
                number=self._world.keyring.signs_with(department),
                real=self._world.options.real_keys,
            ),
        )
        self._world.history.may_be_tried_again.add(record.record_id)
        raw = record.to_bytes()
        self._clients.bring(self._anyone(), record.record_id, raw)
        return record.record_id, raw

    # Who.

    def _anyone(self) -> bytes:
        return self._world.tape.choice(self._world.nodes)

    def _department(self) -> str:
        return self._world.tape.choice(self._world.consortium.departments)

    def _learners(self) -> list[bytes]:
        electorate = self._world.electorate
        return [node for node in electorate.members if node not in electorate.target]

    def _voter(self) -> bytes:
        """A target voter; often the leader, which then removes itself (P31)."""
        world = self._world
        target = world.electorate.target
        leading = [
            place
            for place, process in world.processes.items()
            if process.replica.raft.role is Role.LEADER and place in target
        ]
        return world.tape.choice(leading if leading and world.tape.below(3) == 0 else target)

    def _newest(self) -> Replica | None:
        processes, liars = self._world.processes, self._world.liars
        replicas = [each.replica for place, each in processes.items() if place[:32] not in liars]
        return max(replicas, key=lambda replica: replica.chain.tip.height, default=None)
