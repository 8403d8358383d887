"""The replica: consensus, contracts and ledger joined into one deterministic, synchronous object.

`node.ports` lists what goes in and what comes out. Production and the simulator run this very file.
Every input ends in one *turn*, which repeats until nothing changes:

    1. take what consensus has ready: messages, committed entries, confirmed reads, evidence
    2. execute committed entries whose records' signatures are checked; sign the new checkpoints
    3. as leader, propose what is queued
    4. hand over one batch, if none is in flight: log, hard state, blocks, state, signatures

What rests on a batch (settled records, own signatures, news of blocks and certificates) waits in
`_after_gathering`, and with the batch in `_after_flying`, until `persisted()`.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from consensus import Configuration, Logged, Raft, Role, Settings, messages
from consensus.ready import ReadState
from contracts.consortium import member as consortium_member
from contracts.machine import Candidate
from contracts.refusals import Refusal
from ledger import store_keys
from ledger.blocks import VoterSets
from ledger.certificates import Certificate
from ledger.entries import ENTRY_BYTES_MAX, Entry, parse_entry
from ledger.errors import Malformed
from ledger.genesis import GenesisFile
from ledger.types import Height, NodeId
from node import ports
from node.chain import Chain
from node.cosigning import Cosigning
from node.evidence import of_consensus
from node.intake import Intake, IntakeLimits
from node.leading import Leading
from node.messages import (
    Ask,
    CertificateNews,
    CertificateWanted,
    Cosignatures,
    Forward,
    ForwardRefused,
    PeerMessage,
    Remembered,
    SignedCheckpoint,
)
from node.raft_log import NodeProposals, RaftLog
from node.standing import Asking, PeerMemory, Promise, Standing
from node.write_buffer import WriteBuffer

SIGN_BACKLOG_MAX = 64
"""Committed entries still to execute above which this node, catching up, signs no checkpoint."""


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """The replica's numbers.

    consensus: of `consensus.Settings`. block_records_max, block_bytes_max: of one proposed entry.
    proposals_in_flight_max: uncommitted entries a leader has before it lets records gather.
    intake: limits of records under way. gathered_bytes_max: writes that may gather for the next
    batch before execution pauses.
    """

    consensus: Settings = field(default_factory=Settings)
    block_records_max: int = 2_000
    block_bytes_max: int = ENTRY_BYTES_MAX // 2
    proposals_in_flight_max: int = 2
    intake: IntakeLimits = field(default_factory=IntakeLimits)
    gathered_bytes_max: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Job:
    """What a `Verify` effect was for: records by their bytes, or cosignatures."""

    raws: tuple[bytes, ...]
    cosigned: tuple[tuple[NodeId, SignedCheckpoint], ...]


@dataclass(frozen=True, slots=True)
class _Reached:
    """How far a batch brings the store: its last block and its newest certificate."""

    height: int
    certificate: Certificate | None


class Replica:
    """One node's replica; see the module for its turn and `node.ports` for its boundary."""

    def __init__(
        self,
        *,
        genesis: GenesisFile,
        node_id: NodeId,
        store: ports.StoreReader,
        last_batch_number: int,
        clock: ports.Clock,
        signer: ports.NodeSigner,
        check: ports.SignatureChecker,
        random_ticks: Callable[[int], int],
        settings: ReplicaSettings,
        key_spent: Standing | None = None,
    ) -> None:
        """Opens what the store holds, or begins from genesis. Raises StoreCorrupt, LogBroken.

        key_spent: why the key must not be used any more, if so.
        """
        self._ledger_id = genesis.ledger_id
        self._node_id = node_id
        self._store = store
        self._settings = settings
        self._buffer = WriteBuffer(store, last_batch_number=last_batch_number)
        self.chain = Chain(genesis, self._buffer)
        self._members = self._members_of(genesis)
        outside = ports.Outside(store, clock, signer, check)
        self._log = RaftLog(self._buffer, store, ledger_id=self._ledger_id)
        self._proposals = NodeProposals(self._ledger_id, self.chain, outside)
        self.raft = self._open_raft(random_ticks)
        self._cosigning = Cosigning(
            ledger_id=self._ledger_id,
            node_id=node_id,
            chain=self.chain,
            buffer=self._buffer,
            outside=outside,
        )
        self._intake = Intake(
            node_id=node_id,
            raft=self.raft,
            chain=self.chain,
            limits=settings.intake,
            verify=self._verify_records,
            send=self._send,
            settle=self._settle,
        )
        self._leading = Leading(
            raft=self.raft,
            chain=self.chain,
            intake=self._intake,
            clock=clock,
            records_max=settings.block_records_max,
            bytes_max=settings.block_bytes_max,
            in_flight_max=settings.proposals_in_flight_max,
        )
        self._clock = clock
        self._backlog: deque[Logged] = deque()
        self._barriers: list[tuple[int, int]] = []
        self._jobs: dict[int, _Job] = {}
        self._next_token = 1
        self._known_leader: NodeId | None = None
        self._raft_write_in_flight = False
        self._durable = _Reached(self.chain.tip.height, self._cosigning.certificate)
        self._flying = self._durable
        self._effects: list[ports.Effect] = []
        self._after_gathering: list[ports.Effect] = []
        self._after_flying: list[ports.Effect] = []
        self._memory = PeerMemory()
        standing = self._standing_at_start(key_spent)
        self._asking = Asking(node_id, voters=self.chain.tip.voters, standing=standing)

    # Inputs.

    def tick(self) -> None:
        """One tick has passed."""
        for voter in self._asking.tick(self.chain.tip.voters):
            self._send(voter, Ask())
        if self._asking.standing is Standing.GOOD:
            self.raft.tick()
        self._intake.tick()
        self._turn()

    def receive(self, sender: NodeId, message: PeerMessage) -> None:
        """A message from a member, over an authenticated connection."""
        match message:
            case Ask():
                self._answer_ask(sender)
            case Remembered():
                self._hear_remembered(sender, message)
            case _ if self.standing.is_final:
                pass
            case Forward():
                self._intake.receive(sender, message.records)
            case ForwardRefused():
                pass  # what is waiting is sent again anyway, at its own pace
            case Cosignatures():
                self._cosigning.received(sender, message.checkpoints)
                self._check_cosignatures()
            case CertificateNews():
                self._cosigning.received_certificate(message.certificate, self._members)
                self._check_cosignatures()
            case CertificateWanted():
                self._show_certificate(sender, Height(message.height))
            case _:
                self._receive_consensus(sender, message)
        self._turn()

    def connected(self, peer: NodeId) -> None:
        """A connection to a peer came up: it hears what it may have missed."""
        if self.standing is Standing.ASKING:
            self._send(peer, Ask())
        self.raft.reconnected(peer)
        if self._durable.certificate is not None:
            self._send(peer, CertificateNews(self._durable.certificate.to_bytes()))
        for part in self._cosigning.own_signatures(up_to=self._durable.height):
            self._send(peer, part)
        change = self._cosigning.uncertified_change()
        if change is not None:
            self._send(peer, CertificateWanted(change))
        if peer == self.raft.leader:
            self._intake.leader_changed()
        self._turn()

    def submit(self, raw: bytes) -> bytes | ports.Rejected:
        """Takes a record for this node's client; its id, under which it will be `Settled`.

        Rejected: it is not taken, and nothing will be heard of it.
        """
        if self.standing.is_final:
            return ports.Rejected("key-spent", f"this node's standing is {self.standing.value}")
        taken = self._intake.submit(raw)
        self._turn()
        return taken

    def would_refuse(self, checked: Candidate) -> Refusal | None:
        """Why the next block would refuse a record whose signature was checked; None if not."""
        return self.chain.would_refuse(checked, time_ms=self._clock.now_ms())

    def read_barrier(self, token: int) -> None:
        """A client wants to read what is committed by now; answered by `BarrierReady`."""
        if self._asking.takes_part:
            self.raft.read_index(token)
        else:
            self._effects.append(ports.BarrierReady(token, None))
        self._turn()

    def verified(self, token: int, results: Sequence[bool]) -> None:
        """The signatures of a `Verify` effect are checked: one result a job, in order."""
        job = self._jobs.pop(token)
        if job.cosigned:
            for (node_id, signed), valid in zip(job.cosigned, results, strict=True):
                self._after_gathering += self._cosigning.checked(node_id, signed, valid=valid)
            if self._cosigning.contradicted:
                self._end(Standing.CONTRADICTED, "a certificate contradicts this node's ledger")
            self._certify()
            self._check_cosignatures()
        else:
            for raw, valid in zip(job.raws, results, strict=True):
                self._intake.verified(raw, valid=valid)
        self._turn()

    def persisted(self, number: int) -> None:
        """The batch of that number is durable."""
        self._buffer.landed(number)
        if self._raft_write_in_flight:
            self._raft_write_in_flight = False
            self.raft.persisted()
        first = Height(self._durable.height + 1)
        self._durable = self._flying
        if self._durable.height >= first:
            self._effects.append(ports.Executed(first, Height(self._durable.height)))
        self._effects += self._after_flying
        self._after_flying = []
        self._turn()

    def abdicate(self) -> None:
        """This node is about to stop, or its disk stalls: it leads no more."""
        self.raft.abdicate()
        self._turn()

    def effects(self) -> list[ports.Effect]:
        """What the shell has to do now; each effect is handed out once."""
        effects, self._effects = self._effects, []
        if self.standing.is_final:
            effects = [effect for effect in effects if _is_harmless(effect)]
        return effects

    # What can be observed; durable unless it says otherwise.

    @property
    def members(self) -> tuple[NodeId, ...]:
        """Every node, sorted."""
        return self._members

    @property
    def durable_height(self) -> Height:
        """The last block that is executed and durable here."""
        return Height(self._durable.height)

    @property
    def certificate(self) -> Certificate | None:
        """The newest certificate that is durable here."""
        return self._durable.certificate

    @property
    def standing(self) -> Standing:
        """Whether this node takes part (`node.standing`)."""
        return self._asking.standing

    @property
    def idle(self) -> bool:
        """Whether nothing of this node's clients is under way and nothing is being written."""
        return self._intake.idle and not self._buffer.in_flight

    # The turn.

    def _turn(self) -> None:
        if self.standing.is_final:
            self._hand_over()
            self._refuse_barriers()
            return
        while True:
            room = self._buffer.gathered_bytes < self._settings.gathered_bytes_max
            ready = self.raft.ready(hand_out=room and len(self._backlog) < SIGN_BACKLOG_MAX)
            for outgoing in ready.messages:
                self._send(outgoing.to, outgoing.message)
            for logged in ready.committed:
                self._prepare_entry(logged.entry.data)
            self._backlog.extend(ready.committed)
            for read in ready.reads:
                self._read_confirmed(read)
            for found in ready.evidence:
                self._alarm(self._cosigning.keep(of_consensus(found)))
            if ready.soft_state is not None:
                self._role_changed()
            self._asking.review(self.raft)
            worked = self._execute() | self._leading.propose() | self._hand_over()
            if not (ready.messages or ready.committed or worked):
                break
        self._release_barriers()

    def _execute(self) -> bool:
        """Executes what is committed and checked; whether there was something."""
        worked = False
        while self._backlog and self._buffer.gathered_bytes < self._settings.gathered_bytes_max:
            entry = _content(self._backlog[0])
            candidates = self._intake.candidates(entry.records)
            if candidates is None:
                break
            logged = self._backlog.popleft()
            appended = self.chain.execute(
                term=logged.entry.term, entry_hash=logged.hash, entry=entry, candidates=candidates
            )
            self.raft.applied_to(logged.entry.index)
            self._intake.executed(appended, entry.records, candidates)
            self._cosigning.executed(
                appended,
                gather=len(self._backlog) < SIGN_BACKLOG_MAX,
                sign=self.standing is Standing.GOOD,
            )
            worked = True
        if worked:
            self._certify()
            self._check_cosignatures()
        return worked

    def _hand_over(self) -> bool:
        """Hands the next batch to the shell, if there is one and none is in flight."""
        if self._buffer.in_flight:
            return False
        unwritten = self.raft.take_unwritten()
        if unwritten is not None:
            self._raft_write_in_flight = True
            self._log.write(unwritten)
        for part in self._cosigning.take_news():
            for peer in self._members:
                if peer != self._node_id:
                    self._after_gathering.append(ports.Send(peer, part))
        if unwritten is None and self._buffer.empty:
            return self._release_without_write()
        batch = self._buffer.take(
            term=self.raft.term, vote=self.raft.vote, signed_height=self._cosigning.signed_height
        )
        self._flying = _Reached(self.chain.tip.height, self._cosigning.certificate)
        self._after_flying, self._after_gathering = self._after_gathering, []
        self._effects.append(ports.Persist(batch))
        return True

    def _release_without_write(self) -> bool:
        """Nothing is left to write, so what waits rests on durable things alone."""
        self._effects += self._after_gathering
        worked = bool(self._after_gathering)
        self._after_gathering = []
        return worked

    # Roles.

    def _role_changed(self) -> None:
        if self.raft.role is not Role.LEADER or self.raft.leader != self._known_leader:
            self._intake.leader_changed()
        self._known_leader = self.raft.leader

    def _configuration(self) -> Configuration:
        voters: VoterSets = self.chain.tip.voters
        voting = {*voters.voters, *voters.incoming}
        learners = tuple(node for node in self._members if node not in voting)
        return Configuration(voters.voters, voters.incoming, learners)

    def _open_raft(self, random_ticks: Callable[[int], int]) -> Raft:
        return Raft(
            node_id=self._node_id,
            settings=self._settings.consensus,
            storage=self._log,
            configuration=self._configuration(),
            applied=self.chain.tip.height,
            proposals=self._proposals,
            random_ticks=random_ticks,
        )

    def _members_of(self, genesis: GenesisFile) -> tuple[NodeId, ...]:
        members = [
            consortium_member(self.chain.view, entry.department)
            for entry in genesis.genesis.departments
        ]
        return tuple(sorted(node for each in members if each is not None for node in each.nodes))

    # Records on their way in.

    def _prepare_entry(self, data: bytes) -> None:
        try:
            self._intake.prepare(parse_entry(data).records)
        except Malformed:
            return  # consensus refuses it, by the same parser

    def _verify_records(
        self, raws: tuple[bytes, ...], signatures: tuple[ports.SignatureJob, ...]
    ) -> None:
        self._verify(_Job(raws, ()), signatures)

    def _verify(self, job: _Job, signatures: tuple[ports.SignatureJob, ...]) -> None:
        token = self._next_token
        self._next_token += 1
        self._jobs[token] = job
        self._effects.append(ports.Verify(token, signatures))

    def _settle(self, record_id: bytes, outcome: ports.Accepted | ports.Rejected) -> None:
        self._after_gathering.append(ports.Settled(record_id, outcome))

    # Checkpoints and certificates.

    def _check_cosignatures(self) -> None:
        jobs = self._cosigning.jobs()
        if jobs:
            cosigned = tuple((node_id, signed) for node_id, signed, _ in jobs)
            self._verify(_Job((), cosigned), tuple(job for _, _, job in jobs))

    def _certify(self) -> None:
        """Assembles and keeps the newest certificate there is."""
        height = self._cosigning.certify()
        if height is not None:
            self._after_gathering.append(ports.Certified(height))

    def _show_certificate(self, peer: NodeId, height: Height) -> None:
        kept = self._store.get(store_keys.certificate_key(height))
        if kept is not None:
            self._send(peer, CertificateNews(kept))

    # Standing.

    def _standing_at_start(self, key_spent: Standing | None) -> Standing:
        kept = self._buffer.get(store_keys.STANDING_MARK)
        if key_spent is not None:
            return key_spent
        return Standing.ASKING if kept is None else Standing(kept.decode("ascii"))

    def _answer_ask(self, peer: NodeId) -> None:
        """Says what is remembered of a peer that starts."""
        promise = self._memory.of(peer)
        shown = self._cosigning.newest_of(peer)
        self._send(peer, Remembered(shown, promise.term, promise.match_term, promise.match))

    def _hear_remembered(self, sender: NodeId, message: Remembered) -> None:
        """A peer's word on what this node has promised; its own signature is more than a word."""
        shown = message.checkpoint
        if shown is not None and self._cosigning.proves_more(shown):
            self._end(
                Standing.BEHIND,
                f"a peer shows this node's signature on checkpoint {shown.height}; "
                f"the store knows of none above {self._cosigning.signed_height}",
            )
            return
        promise = Promise(message.term, message.match_term, message.match)
        self._asking.answered(sender, promise, self.raft, self.chain.tip.voters)

    def _end(self, standing: Standing, detail: str) -> None:
        """This node's key is spent: it takes part no more."""
        if self._asking.end(standing):
            self._buffer.put(store_keys.STANDING_MARK, standing.value.encode("ascii"))
            self._effects.append(ports.KeySpent(standing.value, detail))
            self._effects.append(ports.Alarm(standing.value, detail))

    def _alarm(self, alarm: ports.Alarm | None) -> None:
        if alarm is not None:
            self._after_gathering.append(alarm)

    # Reads.

    def _read_confirmed(self, read: ReadState) -> None:
        if read.index is None:
            self._effects.append(ports.BarrierReady(read.token, None))
        else:
            self._barriers.append((read.index, read.token))

    def _release_barriers(self) -> None:
        waiting = []
        for index, token in self._barriers:
            if index <= self._durable.height:
                self._effects.append(ports.BarrierReady(token, Height(self._durable.height)))
            else:
                waiting.append((index, token))
        self._barriers = waiting

    def _refuse_barriers(self) -> None:
        self._effects += [ports.BarrierReady(token, None) for _, token in self._barriers]
        self._barriers = []

    def _receive_consensus(self, sender: NodeId, message: messages.AnyMessage) -> None:
        self._memory.observe(sender, message)
        asks_vote = isinstance(message, messages.PreVoteRequest | messages.VoteRequest)
        if not self._asking.takes_part or (asks_vote and self.standing is Standing.WITHHOLDING):
            return
        if isinstance(message, messages.Append):
            for entry in message.entries:
                self._prepare_entry(entry.data)
        self.raft.step(sender, message)

    def _send(self, peer: NodeId, message: PeerMessage) -> None:
        self._effects.append(ports.Send(peer, message))


def _content(logged: Logged) -> Entry:
    return parse_entry(logged.entry.data)


def _is_harmless(effect: ports.Effect) -> bool:
    """What a node whose key is spent still lets out: nothing that promises anything."""
    match effect:
        case ports.Send():
            return isinstance(effect.message, Remembered)
        case ports.Persist() | ports.Alarm() | ports.KeySpent() | ports.BarrierReady():
            return True
        case _:
            return False
