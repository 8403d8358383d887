"""Seeded bugs: one line broken on purpose, which the simulator's invariants must catch.

A patch names a function of the product, a text in its source and what stands there instead. It is
applied to the running interpreter only, and undone afterwards. Assertions next to the broken line
are switched off with it, so that it is an invariant of the whole cluster that speaks.
"""

import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Patch:
    """function: "module:qualified name". old: a text in its source, new: its replacement."""

    function: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Bug:
    """pitfall: of the list of known mistakes of Raft implementations, or one of our own."""

    name: str
    pitfall: str
    patches: tuple[Patch, ...]


def bug(name: str, pitfall: str, *patches: tuple[str, str, str]) -> Bug:
    return Bug(name, pitfall, tuple(Patch(*patch) for patch in patches))


NO_HASH_CHECK = (
    "consensus.leading:Leading._acknowledged",
    "if point is None or point.hash != reply.hash:",
    "if point is None:",
)

BUGS = (
    bug(
        "an entry of an earlier term is committed by counting copies",
        "P1",
        (
            "consensus.replication:Replicator.maybe_commit",
            "if index <= self._log.commit or self._log.term_at(index) != self._term:",
            "if index <= self._log.commit:",
        ),
    ),
    bug(
        "a vote is forgotten by a restart",
        "P2",
        (
            "node.raft_log:RaftLog.write",
            "_ENCODER.encode(unwritten.hard_state)",
            "_ENCODER.encode(replace(unwritten.hard_state, vote=None))",
        ),
    ),
    bug(
        "a vote leaves before it is durable",
        "P2",
        (
            "consensus.core:Raft._answer_vote",
            "self._send_durably(sender, m.VoteReply(self._term, True))",
            "self._send(sender, m.VoteReply(self._term, True))",
        ),
    ),
    bug(
        "a vote is cleared by stepping down within the term",
        "P3",
        ("consensus.core:Raft._become_follower", "if term > self._term:", "if term >= self._term:"),
    ),
    bug(
        "a second candidate gets a vote in the same term",
        "P2",
        (
            "consensus.core:Raft._answer_vote",
            "(self._vote is None and self._leader is None)",
            "True",
        ),
    ),
    bug(
        "a grant of the pre-vote counts as a vote",
        "P4",
        (
            "consensus.core:Raft._count_pre_vote",
            "if self._role is not Role.PRE_CANDIDATE:",
            "if self._role is Role.CANDIDATE:\n"
            "            self._ballot.record(sender, granted=True)\n"
            "            self._maybe_lead()\n"
            "        if self._role is not Role.PRE_CANDIDATE:",
        ),
    ),
    bug(
        "whoever speaks from an older term is left in the dark",
        "P6",
        (
            "consensus.elections:stale_answer",
            "match message:",
            "return None\n    match message:",
        ),
    ),
    bug(
        "a voter elects a candidate with an older log",
        "§5.4.1",
        (
            "consensus.log:Log.is_up_to_date",
            "return (last_term, last_index) >= (self.last_term, self.last)",
            "return True",
        ),
    ),
    bug(
        "an append that comes late removes what came after it",
        "P15",
        (
            "consensus.following:receive_append",
            "    log.commit_to(min(append.commit, index))\n",
            "    if append.entries and log.commit <= index < log.last:\n"
            "        log.truncate(index + 1)\n"
            "    log.commit_to(min(append.commit, index))\n",
        ),
    ),
    bug(
        "an acknowledgement says more than the message proved",
        "P16",
        (
            "consensus.following:receive_append",
            "return Received(Answer.MATCHED, RaftIndex(index))",
            "return Received(Answer.MATCHED, log.last)",
        ),
        NO_HASH_CHECK,
    ),
    bug(
        "a refusal lowers what is known to be held",
        "P17",
        (
            "consensus.progress:Progress.refused",
            "self._enter(Flow.PROBE)",
            "self.match = min(self.match, RaftIndex(agree_index))\n        self._enter(Flow.PROBE)",
        ),
        (
            "consensus.progress:Progress.refused",
            "if previous_index <= self.match:",
            "if previous_index < 0:",
        ),
    ),
    bug(
        "a heartbeat commits what the follower may not hold",
        "P19",
        (
            "consensus.replication:Replicator.heartbeat_commit",
            "return min(self._log.commit, self.peers[peer].match)",
            "return self._log.commit",
        ),
        (
            "consensus.following:Following.receive_heartbeat",
            "if self._log.last_term == heartbeat.term:",
            "if True:",
        ),
    ),
    bug(
        "an append is believed without its previous entry",
        "§5.3",
        (
            "consensus.following:receive_append",
            "if previous_term != append.previous_term:",
            "if previous_term is None:",
        ),
    ),
    bug(
        "the completion of an overtaken write marks its successor durable",
        "P21",
        (
            "consensus.log:Log.truncate",
            "if self._flying_last is not None:",
            "if False:",
        ),
        (
            "consensus.log:Log.written",
            "self.stable = max(self.stable, self._flying_last)",
            "self.stable = min(self.last, max(self.stable, self._flying_last))",
        ),
    ),
    bug(
        "a leader counts its own copy before it is durable",
        "P22",
        (
            "consensus.replication:Replicator.maybe_commit",
            "match[self._own_id] = self._log.stable",
            "match[self._own_id] = self._log.last",
        ),
    ),
    bug(
        "a follower acknowledges before its copy is durable",
        "P45",
        (
            "consensus.following:Following._acknowledge",
            "self._send_durably(leader,",
            "self._send(leader,",
        ),
    ),
    bug(
        "a candidate leads before its own vote is durable",
        "P22",
        ("consensus.core:Raft._durable_vote", "return", "return True or"),
        (
            "consensus.core:Raft._stand",
            "self._send_durably(voter, request)",
            "self._send(voter, request)",
        ),
        (
            "consensus.core:Raft._stand",
            "self._ballot = Ballot()",
            "self._ballot = Ballot({self._node_id})",
        ),
    ),
    bug(
        "a peer that was probed once is never probed again",
        "P23",
        ("consensus.progress:Progress.heard", "self.probed = False", "pass"),
    ),
    bug(
        "a leader sends ahead of acknowledgements without limit",
        "P24",
        (
            "consensus.progress:Progress.may_send",
            "return len(self.in_flight) < messages_max and self.in_flight_bytes < bytes_max",
            "return True",
        ),
    ),
    bug(
        "what is being written survives its own truncation on disk",
        "P40",
        (
            "node.raft_log:RaftLog.write",
            "range(unwritten.last_index + 1, self._last + 1)",
            "range(0)",
        ),
    ),
    bug(
        "the hard state is not in the batch of its entries",
        "P39",
        ("node.raft_log:RaftLog.write", "unwritten.hard_state is not None", "False"),
    ),
    bug(
        "a new leader serves reads before it has committed in its term",
        "P48",
        (
            "consensus.leading:Leading.begin_reads",
            "if self._committed_own and",
            "if",
        ),
    ),
    bug(
        "a read is confirmed by answers to an older round",
        "P49",
        (
            "consensus.reads:Confirmations.answered",
            "number >= self._round.number",
            "number >= 0",
        ),
    ),
    bug(
        "a leader confirms reads by itself",
        "P50",
        (
            "consensus.reads:Confirmations.finish",
            "not is_quorum(configuration, self._round.answered)",
            "False",
        ),
    ),
    bug(
        "a read runs before what it must see is executed",
        "P51",
        ("node.replica:Replica._release_barriers", "if index <= self._durable.height:", "if True:"),
    ),
    bug(
        "a record is accepted each time it comes",
        "P52",
        (
            "contracts.machine:Execution._envelope",
            "if nonce in self._nonces or self._nonce_used(*nonce):",
            "if False:",
        ),
    ),
    bug(
        "a client hears of success before it is durable",
        "P45",
        (
            "node.replica:Replica._settle",
            "self._after_gathering.append(",
            "self._effects.append(",
        ),
    ),
    bug(
        "a certificate is made of a minority",
        "A5",
        (
            "node.certification:_majorities",
            "2 * sum(node_id in present for node_id in voters) > len(voters)",
            "2 * sum(node_id in present for node_id in voters) >= len(voters) - 1",
        ),
    ),
    bug(
        "a lost forward is never sent again",
        "P52",
        ("node.intake:Intake.tick", "if overdue:", "if False:"),
        ("node.intake:Intake.leader_changed", "if self._raft.leader is not None:", "if False:"),
    ),
    bug(
        "a block's time follows a fast clock without question",
        "clock",
        ("node.raft_log:NodeProposals.is_early", "return", "return False and"),
    ),
)


HOLES = frozenset(
    {
        "a block's time follows a fast clock without question",
        "a candidate leads before its own vote is durable",
        "a heartbeat commits what the follower may not hold",
        "a leader confirms reads by itself",
        "a leader sends ahead of acknowledgements without limit",
        "a new leader serves reads before it has committed in its term",
        "a peer that was probed once is never probed again",
        "a read is confirmed by answers to an older round",
        "a record is accepted each time it comes",
        "a vote leaves before it is durable",
        "an acknowledgement says more than the message proved",
        "an append is believed without its previous entry",
        "an entry of an earlier term is committed by counting copies",
        "what is being written survives its own truncation on disk",
        "the completion of an overtaken write marks its successor durable",
    }
)
"""Bugs that 60 seeds did not catch: holes in the simulator, to be closed by better faults."""


@contextmanager
def seeded(which: Bug) -> Iterator[None]:
    """The product with the bug in it."""
    undo: list[tuple[Any, str, Any]] = []
    try:
        for patch in which.patches:
            undo.append(_apply(patch))
        yield
    finally:
        for owner, name, original in reversed(undo):
            made = getattr(owner, name)
            setattr(owner, name, original)
            _rebind(made, original)


def _apply(patch: Patch) -> tuple[Any, str, Any]:
    module_name, _, path = patch.function.partition(":")
    module = importlib.import_module(module_name)
    owner: Any = module
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original = owner.__dict__[name] if outer else getattr(module, name)
    plain: FunctionType = original
    source = _SOURCES.get((patch.function, id(plain))) or inspect.getsource(plain)
    assert patch.old in source, f"{patch.old!r} is not in {patch.function}"
    changed = source.replace(patch.old, patch.new, 1)
    space: dict[str, Any] = {}
    text = "if True:\n" + changed if outer else changed
    names = vars(module) | {"replace": msgspec.structs.replace}
    exec(compile(text, f"<bug in {patch.function}>", "exec"), names, space)
    made = space[name]
    _SOURCES[(patch.function, id(made))] = changed
    setattr(owner, name, made)
    if not outer:
        _rebind(original, made)
    return owner, name, original


def _rebind(original: Any, made: Any) -> None:
    """A function that other modules imported by name is replaced there too, for as long."""
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", {})
        for name, value in list(names.items()):
            if value is original:
                setattr(module, name, made)


_SOURCES: dict[tuple[str, int], str] = {}
