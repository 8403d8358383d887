"""What a replica keeps against a leader before the log that proves it goes (A1)."""

from collections.abc import Sequence

import pytest

from consensus import Entry as RaftEntry
from consensus import messages
from ledger import store_keys
from ledger.codec import encode
from ledger.entries import Entry
from ledger.evidence import Evidence, ProposedTwice, parse_evidence
from ledger.statements import entry_hash, proposal_statement
from node.replica import Replica
from sim.bugs.patching import Bug, bug, seeded
from sim.options import Options
from sim.verdicts import accused
from sim.world import Disk, World, fast_sign

BUGS = (
    bug(
        "a suffix goes without being compared with what replaces it",
        "A1",
        (
            "consensus.following:_judge",
            "found = _signed_twice(log, logged, previous_hash)",
            "found = None",
        ),
    ),
    bug(
        "only the first entry of a suffix is compared",
        "A1",
        (
            "consensus.following:_judge",
            "found = _signed_twice(log, logged, previous_hash)",
            "found = None if judged.logged else _signed_twice(log, logged, previous_hash)",
        ),
    ),
    bug(
        "a leader may take back what it signed in its own term",
        "A1",
        (
            "consensus.following:_extend",
            "if first <= log.last and log.last_term >= append.term:",
            "if False:",
        ),
    ),
)


class Situation:
    """A node at rest, and two others, `voter` and `liar`, who speak to it out of turn."""

    def __init__(self) -> None:
        self.world = World(1, Options(nodes=3, voters=3), liars=1)
        assert self.world.run(5_000, stop=self._rests)
        self.liar, self.voter, self.node = self.world.nodes
        self.height = self.replica(self.node).durable_height

    def _rests(self) -> bool:
        replicas = [self.replica(node) for node in self.world.nodes]
        heights = {replica.durable_height for replica in replicas}
        return any(replica.leads for replica in replicas) and len(heights) == 1 and 0 not in heights

    def replica(self, node: bytes) -> Replica:
        return self.world.processes[node].replica

    def append(self, leader: bytes, term: int, made: Sequence[tuple[int, bytes]]) -> None:
        """What `leader` sends after the executed log, durable when this returns.

        made: the entries' terms and who proposed each; entries that differ differ in these alone.
        """
        raft = self.replica(self.node).raft
        tip = raft.entry(self.height)
        previous, entries = tip.hash, []
        ledger_id = self.world.consortium.ledger_id
        for index, (entry_term, proposer) in enumerate(made, self.height + 1):
            data = encode(Entry(self.replica(self.node).chain.tip.time_ms, None, ()))
            of = {"term": entry_term, "index": index, "previous_hash": previous, "data": data}
            signature = fast_sign(self._key(proposer), proposal_statement(ledger_id, **of))
            entries.append(RaftEntry(entry_term, index, data, proposer, signature))
            previous = entry_hash(ledger_id, **of)
        message = messages.Append(term, self.height, tip.entry.term, tuple(entries), self.height)
        self.replica(self.node).receive(leader, message)
        self.world.carry_out(self.node)
        self.world.run(self.world.now_ms + 50)

    def _key(self, node: bytes) -> bytes:
        return next(
            each.proposal_key
            for department in self.world.consortium.genesis_file.genesis.departments
            for each in department.nodes
            if each.node_id == node
        )

    def kept(self) -> list[Evidence]:
        disk: Disk = self.world.disks[self.node]
        stop = bytes([store_keys.EVIDENCE[0] + 1])
        return [parse_evidence(value) for _, value in disk.scan(store_keys.EVIDENCE, stop)]


def check_kept_and_blamed(term: int) -> None:
    """The liar signed the second entry of both logs in term 13; the second came in `term`."""
    now = Situation()
    now.append(now.liar, 13, [(11, now.voter), (13, now.liar)])
    leader = now.liar if term == 13 else now.voter
    held = now.replica(now.node).raft.entry(now.height + 1).entry.term
    assert held == 11
    now.append(leader, term, [(12, now.voter), (13, now.liar)])
    held = now.replica(now.node).raft.entry(now.height + 1).entry.term
    assert held == (11 if term == 13 else 12)
    (found,) = now.kept()
    assert isinstance(found, ProposedTwice)
    assert (found.kept.index, found.refused.index) == (now.height + 2, now.height + 2)
    assert found.kept.data == found.refused.data
    assert found.kept.previous_hash != found.refused.previous_hash
    assert accused(now.world) == {now.liar}
    assert "ProposedTwice" in [alarm.code for at, alarm in now.world.alarms if at == now.node]


@pytest.mark.parametrize("term", [13, 14])
def test_what_a_leader_signed_twice_is_durable_and_blamed_before_the_log_goes(term: int) -> None:
    check_kept_and_blamed(term)


@pytest.mark.parametrize("which", BUGS, ids=lambda which: which.name)
def test_a_seeded_bug_there_is_caught(which: Bug) -> None:
    with seeded(which), pytest.raises((AssertionError, ValueError)):
        for term in (13, 14):
            check_kept_and_blamed(term)
