"""What must hold after every step, checked as it changes: cheap, and at the step that broke it.

| invariant (Raft figure 3, and ours)                              | where                  |
|------------------------------------------------------------------|------------------------|
| election safety: one leader a term                               | `_role_changed`        |
| a leader was voted for by a majority of the voters in force      | `_new_leader`          |
| what counts as durable is on the disk                            | `stepped`              |
| term and commit index only rise; on disk also across restarts    | `stepped`, `written`   |
| one vote a term, across restarts                                 | `sending`, `written`   |
| leader append-only                                               | `_log_changed`         |
| log matching: (index, term) names one entry and all before it    | `_log_changed`         |
| one entry of a leader for a place, also of one that lies         | `_log_changed`         |
| the voters in force are those that executed blocks name; who     | `stepped`              |
| leads is one of them, unless it is handing over                  |                        |
| a step waits for the term's own entry, the step before it, and   | `_proposed`            |
| the certificate of the block that entered joint voters           |                        |
| leader completeness                                              | `_new_leader`          |
| committed is durable on a quorum of the configuration in force   | `_committed`           |
| only entries of a leader's own term are committed by counting    | `_committed`           |
| nobody commits what no leader committed                          | `_committed`           |
| state machine safety: one block a height                         | `_executed`            |
| a block's time is within a majority's clocks                     | `_executed`            |
| what a leader counts as held by a peer is on that peer's disk    | `_leads`               |
| in flight, uncommitted and evidence stay within their limits     | `_leads`, `written`    |
| what a message rests on is durable when it leaves                | `sending`              |
| a voter holds what it acknowledged, or what replaced it           | `_still_holds`         |
| a pre-vote question changes nobody (thesis §9.6)                 | `received`             |
| who hears a leader votes for nobody else, unless told (§4.2.3)   | `received`             |
| where logs differ, a leader goes back a term at a time (§5.3)     | `received`             |
| a leader that hands over proposes nothing, and not for ever      | `_hands_over`          |
| whoever's store went back takes no part                          | `sending`              |
| no node signs two contradicting statements                       | `signed`               |
| every record is in the ledger once; nobody but its sender is told | `written`             |

Where some nodes lie, only what an honest node does by itself is checked, and `sim.verdicts` looks
at certificates afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from consensus import Configuration, HardState, Raft, Role, Settings
from consensus import messages as m
from consensus.progress import Flow
from ledger import store_keys
from ledger.certificates import check_form, required_sets
from ledger.entries import parse_entry
from ledger.evidence import parse_evidence
from ledger.statements import entry_hash, transfer_statement
from ledger.types import Height
from node import ports
from node.messages import Cosignatures
from node.replica import Replica
from sim.disk import Disk

FUTURE_MS_MAX = 2_000
EVIDENCE_MAX = 64


@dataclass(slots=True)
class _Seen:
    """A node as it was after its last step. hashes: of its log's entries by index.

    configuration: in force before the next step, which may commit, execute and adopt another.
    mark: all of it that `Watch.stepped` looks at.
    taken: where some lie, what it took from the leader of its term, by index, term and
    the hash of the entry before.
    """

    term: int = 0
    role: Role = Role.FOLLOWER
    commit: int = 0
    applied: int = 0
    height: int = 0
    hashes: list[bytes] = field(default_factory=lambda: [b""])
    matches: dict[bytes, int] = field(default_factory=dict)
    evidence: int = 0
    stable: int = 0
    configuration: Configuration | None = None
    mark: tuple[object, ...] = ()
    transfer: tuple[int, bytes, int] | None = None
    taken: dict[tuple[int, int, bytes], bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request for votes must not change. elapsed: of the election timer, None if it may."""

    term: int
    vote: bytes | None
    role: Role
    elapsed: int | None


@dataclass(frozen=True, slots=True)
class _Refused:
    """A leader hears that a peer's log differs. agree: where both may agree at best."""

    peer: bytes
    term: int
    agree: int


def _elapsed(raft: Raft) -> int:
    return raft._timer.elapsed


class Watch:
    """The invariants of one world. clock_bound(): latest block time that is possible now, in ms."""

    def __init__(
        self,
        disks: dict[bytes, Disk],
        *,
        liars: frozenset[bytes],
        clock_bound: Callable[[], int],
        ledger_id: bytes,
        limits: Settings,
    ) -> None:
        self._disks = disks
        self._limits = limits
        self._liars = liars
        self._clock_bound = clock_bound
        self._ledger_id = ledger_id
        self._seen = {node: _Seen() for node in disks}
        self.highest_term = 0
        self.leaders: dict[int, bytes] = {}
        self.blocks: dict[int, bytes] = {}
        self.places: dict[bytes, bytes] = {}
        self.accusations: list[tuple[bytes, str]] = []
        self._record_at: dict[bytes, bytes] = {}
        self._entries: dict[tuple[int, int], bytes] = {}
        self._commits: list[tuple[bytes, int]] = [(b"", 0)]
        self.votes: dict[tuple[bytes, int], bytes] = {}
        self.signed_checkpoints: dict[tuple[bytes, int], bytes] = {}
        self._proposals: dict[tuple[bytes, bytes], bytes] = {}
        self._acknowledged: dict[bytes, tuple[int, int, bytes]] = {}

    @property
    def committed(self) -> int:
        """The last entry that any leader has committed."""
        return len(self._commits) - 1

    def admitted(self, node: bytes) -> None:
        """A new node."""
        self._seen[node] = _Seen()

    # Steps.

    def started(self, node: bytes, replica: Replica) -> None:
        """A life begins from what is durable, and nothing durable is behind an earlier life."""
        seen = self._seen[node]
        disk = self._disks[node]
        raft = replica.raft
        seen.role, seen.term, seen.mark = raft.role, raft.term, ()
        assert raft.term == disk.hard_state.term, "a restart changed the term"
        assert raft.vote == disk.hard_state.vote, "a restart changed the vote"
        assert raft.commit_index >= disk.hard_state.commit, "a restart lost the commit index"
        seen.commit, seen.height = raft.commit_index, disk.tip_height
        seen.stable = raft.stable_index
        seen.matches.clear()
        seen.taken.clear()
        self._log_changed(node, seen, raft)
        self._check_chain(raft)
        assert replica.chain.tip.height == seen.height, "a restart changed the executed height"

    def _check_chain(self, raft: Raft) -> None:
        """The end of a stored log is one log: each hash covers the entry before."""
        first = max(raft.compacted_index + 2, raft.last_index - 7)
        for index in range(first, raft.last_index + 1):
            logged = raft.entry(index)
            expected = entry_hash(
                self._ledger_id,
                term=logged.entry.term,
                index=index,
                previous_hash=raft.entry(index - 1).hash,
                data=logged.entry.data,
            )
            assert logged.hash == expected, "a stored log is none: an entry does not follow"

    def stepped(self, node: bytes, replica: Replica) -> None:
        """An honest node has taken an input and its effects are under way.

        All that is looked at is in `mark`, but for what a leader knows of others: where nothing of
        it has changed, nothing can have broken.
        """
        raft, seen = replica.raft, self._seen[node]
        log, role, tip = raft._log, raft.role, replica.chain.tip
        last = log.last
        mark = (
            role,
            raft.term,
            last,
            log._memory.get(last),
            log.stable,
            log.commit,
            tip,
            raft.configuration,
        )
        if seen.mark != mark:
            self._changed(node, seen, replica)
            seen.mark = mark
        if role is Role.LEADER:
            self._leads(node, seen, replica)
            self._hands_over(seen, raft)
            votes = node in raft.configuration.voting
            assert votes or raft.transferee is not None, "it leads and does not vote"

    def _changed(self, node: bytes, seen: _Seen, replica: Replica) -> None:
        raft = replica.raft
        role, term = raft.role, raft.term
        led = role is Role.LEADER or (seen.role is Role.LEADER and seen.term == term)
        if term != seen.term or role is not seen.role:
            self._role_changed(node, seen, replica)
        last = raft.last_index
        if last != len(seen.hashes) - 1 or (
            last > raft.compacted_index and raft.entry(last).hash != seen.hashes[last]
        ):
            first = len(seen.hashes)
            self._log_changed(node, seen, raft)
            if role is Role.LEADER:
                self._proposed(replica, first)
        if raft.stable_index != seen.stable:
            seen.stable = raft.stable_index
            if seen.stable > raft.compacted_index:
                held = self._disks[node].holds(seen.stable, raft.entry(seen.stable).hash)
                assert held, "what counts as durable is not on the disk"
        if raft.commit_index != seen.commit:
            self._committed(seen, raft, led=led)
        tip = replica.chain.tip
        grown = tip.height != seen.height
        if grown:
            self._executed(seen, replica)
        if raft.configuration is not seen.configuration or grown:
            seen.configuration = raft.configuration
            sets = tuple(filter(None, (raft.configuration.voters, raft.configuration.incoming)))
            assert sets == tip.voters.sets(), "voters are in force that no executed block names"

    def _role_changed(self, node: bytes, seen: _Seen, replica: Replica) -> None:
        raft = replica.raft
        assert raft.term >= seen.term, "a term went back"
        if raft.role is Role.LEADER and (seen.role is not Role.LEADER or raft.term != seen.term):
            seen.matches.clear()
            self._new_leader(node, raft)
        seen.term, seen.role = raft.term, raft.role

    def _new_leader(self, node: bytes, raft: Raft) -> None:
        term = raft.term
        if self._liars:
            return
        known = self.leaders.setdefault(term, node)
        assert known == node, f"two leaders in term {term}"
        configuration = self._seen[node].configuration or raft.configuration
        for voters in filter(None, (configuration.voters, configuration.incoming)):
            votes = sum(self.votes.get((voter, term)) == node for voter in voters)
            assert 2 * votes > len(voters), "a leader that no majority voted for"
        index = self.committed
        while index and self._commits[index][1] >= term:
            index -= 1
        if index > raft.compacted_index:
            held = raft.last_index >= index and raft.entry(index).hash == self._commits[index][0]
            assert held, "a new leader lacks a committed entry"

    def _log_changed(self, node: bytes, seen: _Seen, raft: Raft) -> None:
        """Compares the entries that are new, from the log's end down to what was there before."""
        hashes, last = seen.hashes, raft.last_index
        was_last = len(hashes) - 1
        del hashes[last + 1 :]
        fresh = []
        index = last
        while index > raft.compacted_index:
            logged = raft.entry(index)
            if index < len(hashes) and hashes[index] == logged.hash:
                break
            fresh.append(logged)
            index -= 1
        while len(hashes) <= last:
            hashes.append(b"")
        replaced = min(index, last) < was_last
        if replaced:
            leads = seen.role is Role.LEADER and raft.role is Role.LEADER
            assert not (leads and seen.term == raft.term), "a leader replaced its own entries"
            assert index >= seen.commit, "a committed entry was removed"
        for logged in fresh:
            hashes[logged.entry.index] = logged.hash
            place = (logged.entry.index, logged.entry.term)
            if not self._liars:
                known = self._entries.setdefault(place, logged.hash)
                assert known == logged.hash, "two logs differ in one term and index"
            elif logged.entry.term == raft.term:
                before = (
                    raft.entry(logged.entry.index - 1).hash
                    if logged.entry.index - 1 > raft.compacted_index
                    else b""
                )
                known = seen.taken.setdefault((*place, before), logged.hash)
                assert known == logged.hash, "a leader's second entry for one place is taken"

    def _proposed(self, replica: Replica, first: int) -> None:
        """A leader proposes a change of voters on executed ground that is of its own term."""
        raft, chain = replica.raft, replica.chain
        for index in range(first, raft.last_index + 1):
            entry = raft.entry(index).entry
            step = parse_entry(entry.data).step if entry.term == raft.term else None
            if step is None or chain.tip.height >= index:
                continue
            assert raft.term_at(raft.commit_index) == raft.term, (
                "a step before the term's own entry"
            )
            assert raft.applied_index >= index - 1, "a step while another may be pending"
            if step.action == "leave-joint":
                heights = range(chain.tip.height, 0, -1)
                entered = next(at for at in heights if chain.changes_voters(Height(at)))
                known = replica._cosigning.certified_height
                assert known >= entered, "joint voters are left before they are certified"

    def _committed(self, seen: _Seen, raft: Raft, *, led: bool) -> None:
        """led: whether it leads, or did until this step, which may have removed it (P31)."""
        commit = raft.commit_index
        assert commit >= seen.commit, "a commit index went back"
        assert raft.applied_index <= commit <= raft.last_index, "committed beyond the log's end"
        seen.commit = commit
        if self._liars:
            return
        if led and commit > self.committed:
            self._commit_newly(seen, raft, commit)
        assert commit <= self.committed, "a node commits what no leader has committed"
        if commit > raft.compacted_index:
            assert seen.hashes[commit] == self._commits[commit][0], "another entry is committed"

    def _commit_newly(self, seen: _Seen, raft: Raft, commit: int) -> None:
        entry_hash = seen.hashes[commit]
        assert raft.term_at(commit) == raft.term, "an older term's entry is committed by counting"
        before = seen.configuration or raft.configuration
        assert any(
            all(
                2 * sum(self._disks[node].holds(commit, entry_hash) for node in voters)
                > len(voters)
                for voters in (known.voters, known.incoming)
                if voters
            )
            for known in (before, raft.configuration)
        ), "committed, and not durable on a quorum"
        for index in range(self.committed + 1, commit + 1):
            self._commits.append((seen.hashes[index], raft.term))

    def _executed(self, seen: _Seen, replica: Replica) -> None:
        tip = replica.chain.tip
        assert tip.height > seen.height, "an executed block went back"
        assert tip.height <= replica.raft.commit_index, "executed, and not committed"
        seen.height = tip.height
        if not self._liars:
            known = self.blocks.setdefault(tip.height, tip.block_hash)
            assert known == tip.block_hash, "two nodes executed another block at one height"
            assert tip.time_ms <= self._clock_bound(), "a block is ahead of a majority's clocks"

    def _leads(self, node: bytes, seen: _Seen, replica: Replica) -> None:
        raft = replica.raft
        limits = self._limits
        size = raft.uncommitted_bytes
        assert size <= limits.uncommitted_bytes_max + limits.append_bytes_max, "uncommitted grows"
        for peer in raft.configuration.members:
            progress = raft.progress(peer)
            if progress is None:
                continue
            match = progress.match
            known = seen.matches.get(peer, 0)
            if match != known:
                assert match > known, "a match index went back"
                seen.matches[peer] = match
                if peer not in self._liars and node not in self._liars:
                    held = match <= raft.compacted_index or self._disks[peer].holds(
                        match, raft.entry(match).hash
                    )
                    assert held, "a leader counts an entry that its peer does not hold"
            assert len(progress.in_flight) <= limits.in_flight_messages_max, "in flight grows"
            assert (
                progress.in_flight_bytes <= limits.in_flight_bytes_max + limits.append_bytes_max
            ), "bytes in flight grow"

    def _hands_over(self, seen: _Seen, raft: Raft) -> None:
        """Thesis §3.10: no proposals meanwhile, and at most an election timeout."""
        if raft.transferee is None or raft.role is not Role.LEADER:
            seen.transfer = None
            return
        mark = (raft.term, raft.transferee, raft.last_index)
        if seen.transfer is not None and seen.transfer[:2] == mark[:2]:
            assert seen.transfer == mark, "a leader proposes while it hands over"
            return
        seen.transfer = mark

    # Messages.

    def receiving(self, replica: Replica, sender: bytes, message: Any) -> _Asked | _Refused | None:
        """A node is about to be asked for a vote: what must not change by it, None if all may."""
        raft = replica.raft
        if type(message) is m.AppendRefused:
            return self._refused(raft, sender, message)
        if type(message) is m.PreVoteRequest:
            return _Asked(raft.term, raft.vote, raft.role, _elapsed(raft))
        if isinstance(message, m.VoteRequest) and message.term > raft.term:
            shielded = raft.leader not in (None, sender) and (
                raft.role is Role.LEADER or _elapsed(raft) < self._limits.election_ticks
            )
            told = isinstance(message, m.TransferVoteRequest) and self._was_told(
                raft.leader, raft.term, sender, message.signature
            )
            told = told or raft.leader in self._liars
            if shielded and not told and self._limits.check_quorum:
                return _Asked(raft.term, raft.vote, raft.role, None)
        return None

    def _refused(self, raft: Raft, peer: bytes, message: m.AppendRefused) -> _Refused | None:
        progress = raft.progress(peer)
        probed = progress is not None and progress.flow is Flow.PROBE
        if not probed or message.early or message.term != raft.term:
            return None
        assert progress is not None
        if message.previous_index != progress.next - 1:
            return None
        agree = max(progress.match, message.hint_index, raft.compacted_index)
        return _Refused(peer, raft.term, agree)

    def received(self, replica: Replica, message: Any, before: _Asked | _Refused) -> None:
        """The node was asked, or refused."""
        raft = replica.raft
        if isinstance(before, _Refused):
            progress = raft.progress(before.peer)
            if progress is not None and raft.term == before.term and progress.flow is Flow.PROBE:
                assert progress.next - 1 <= before.agree, "a leader goes back too slowly"
            return
        elapsed = None if before.elapsed is None else _elapsed(raft)
        same = _Asked(raft.term, raft.vote, raft.role, elapsed) == before
        assert same, f"a {type(message).__name__} changed who should not be moved by it"

    def _was_told(self, leader: bytes | None, term: int, target: bytes, signature: bytes) -> bool:
        statement = transfer_statement(self._ledger_id, term=term, target=target)
        return leader is not None and (leader, statement) in self._proposals and bool(signature)

    def sending(self, node: bytes, peer: bytes, message: Any) -> None:
        """A message of an honest node leaves: what it rests on must be durable by now."""
        term = getattr(message, "term", 0)
        if term > self.highest_term:
            self.highest_term = term
        if self._disks[node].lost is not None:
            grants = isinstance(message, m.VoteReply) and message.granted
            part = grants or isinstance(message, m.AppendReply | m.VoteRequest | Cosignatures)
            assert not part, "a node whose store went back takes part"
        match message:
            case m.AppendReply():
                disk = self._disks[node]
                assert disk.hard_state.term >= message.term, "an answer left before its term"
                held = disk.holds(message.index, message.hash) or not message.index
                overtaken = disk.hard_state.term > message.term or peer in self._liars
                assert held or overtaken, "an acknowledged entry is not durable"
                said = (message.term, message.index, message.hash)
                self._acknowledged[node] = max(said, self._acknowledged.get(node, said))
            case m.VoteRequest():
                self._voted(node, message.term, node)
            case m.VoteReply() if message.granted:
                self._voted(node, message.term, peer)
                self._still_holds(node)
            case m.Append() | m.Heartbeat():
                disk = self._disks[node]
                assert disk.hard_state.term >= message.term, "it leads in a term not durable"
            case Cosignatures():
                disk = self._disks[node]
                top = max(signed.height for signed in message.checkpoints)
                assert top <= disk.tip_height, "a signature left before its block was durable"
                mark = disk.values.get(store_keys.SIGNED_MARK, b"")
                assert top <= int.from_bytes(mark, "big"), "a signature left before it was kept"

    def _still_holds(self, node: bytes) -> None:
        """A voter's log has what it acknowledged, or what a later leader put in its place."""
        term, index, known = self._acknowledged.get(node, (0, 0, b""))
        disk = self._disks[node]
        executed_in = self._commits[min(disk.tip_height, self.committed)][1]
        held = not index or disk.holds(index, known) or max(disk.last_term, executed_in) > term
        assert held or self._liars, "a voter lacks what it has acknowledged"

    def _voted(self, node: bytes, term: int, vote: bytes) -> None:
        known = self.votes.setdefault((node, term), vote)
        assert known == vote, f"two votes in term {term}"
        hard = self._disks[node].hard_state
        durable = hard.term > term or (hard.term == term and hard.vote == vote)
        assert durable, "a vote left before it was durable"

    def signed(self, node: bytes, purpose: str, message: bytes) -> None:
        """An honest node signs: never two statements that contradict each other."""
        if purpose == "checkpoint":
            body = message.split(b"\n", 2)[2]
            height = int(body.split(b"\nheight ")[1])
            known = self.signed_checkpoints.setdefault((node, height), body)
            assert known == body, "two checkpoints signed for one height"
        else:
            proposes = message.startswith(b"concordat/proposal/")
            place = message[-80:-64] if proposes else message
            known = self._proposals.setdefault((node, place), message)
            assert known == message, "two proposals signed for one term and index"

    # Disks.

    def written(
        self, node: bytes, batch: ports.Batch, *, before: HardState, height_before: int
    ) -> None:
        """A batch of an honest node is durable; before, height_before: what was, until now."""
        disk = self._disks[node]
        assert disk.tip_height >= height_before, "a durable height went back"
        if store_keys.HARD_STATE_MARK in batch.puts:
            hard = disk.hard_state
            assert hard.term >= before.term, "a durable term went back"
            assert hard.commit >= before.commit, "a durable commit index went back"
            if hard.term == before.term and before.vote is not None:
                assert hard.vote == before.vote, "a durable vote was changed"
            if hard.vote is not None:
                known = self.votes.setdefault((node, hard.term), hard.vote)
                assert known == hard.vote, f"two votes in term {hard.term}"
        for key, value in batch.puts.items():
            prefix = key[:1]
            if prefix == store_keys.RECORD and not self._liars:
                known = self.places.setdefault(key[1:], value)
                assert known == value, "a record is in the ledger twice"
                assert self._record_at.setdefault(value[:8], key[1:]) == key[1:], "two at a leaf"
            elif prefix == store_keys.EVIDENCE:
                self._kept_evidence(node, value)

    def _kept_evidence(self, node: bytes, value: bytes) -> None:
        seen = self._seen[node]
        seen.evidence += 1
        assert seen.evidence <= EVIDENCE_MAX, "evidence grows"
        self.accusations.append((node, type(parse_evidence(value)).__name__))

    def certified(self, replica: Replica) -> None:
        """A node says that a block is certified: it holds a certificate that says so too."""
        certificate = replica.certificate
        assert certificate is not None, "certified without a certificate"
        before = replica.chain.voters_at(Height(certificate.height - 1))
        after = replica.chain.voters_at(Height(certificate.height))
        sets = required_sets(before, after)
        check_form(certificate, ledger_id=self._ledger_id, voter_sets=sets)
        body = certificate.checkpoint.body()
        for entry in certificate.cosignatures:
            if entry.node_id not in self._liars:
                known = self.signed_checkpoints.get((entry.node_id, certificate.height))
                assert known == body, "a certificate holds what its signer did not sign"
