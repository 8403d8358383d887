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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from consensus import Configuration, Logged, ProposalRefused, Raft, Role, Settings, messages
from consensus.ready import ReadState
from contracts.consortium import member as consortium_member
from contracts.machine import Candidate
from contracts.refusals import Refusal
from ledger import store_keys
from ledger.blocks import VoterSets
from ledger.certificates import Certificate, parse_certificate
from ledger.checkpoints import cosignature_message
from ledger.codec import encode
from ledger.entries import ENTRY_BYTES_MAX, Entry, parse_entry
from ledger.errors import Malformed
from ledger.genesis import GenesisFile
from ledger.types import Height, NodeId
from node import ports
from node.certification import Certification, Executed, is_same_day
from node.chain import Appended, Chain
from node.errors import StoreBehind
from node.evidence import EvidenceLog
from node.intake import Intake, IntakeLimits
from node.messages import (
    COSIGNATURES_MAX,
    SIGNED_CHECKPOINT,
    CertificateNews,
    Cosignatures,
    Forward,
    ForwardRefused,
    PeerMessage,
    Remembered,
    SignedCheckpoint,
)
from node.raft_log import NodeProposals, RaftLog
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
    cosigned: tuple[tuple[NodeId, Height], ...]


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
    ) -> None:
        """Opens what the store holds, or begins from genesis. Raises StoreCorrupt, LogBroken."""
        self._ledger_id = genesis.ledger_id
        self._node_id = node_id
        self._store = store
        self._clock = clock
        self._signer = signer
        self._check = check
        self._settings = settings
        self._buffer = WriteBuffer(store, last_batch_number=last_batch_number)
        self.chain = Chain(genesis, self._buffer)
        self._members = tuple(
            sorted(
                node
                for department in genesis.genesis.departments
                for node in self._nodes_of(department.department)
            )
        )
        self._log = RaftLog(self._buffer, store, ledger_id=self._ledger_id)
        self._proposals = NodeProposals(
            ledger_id=self._ledger_id,
            view=self.chain.view,
            clock=clock,
            signer=signer,
            check=check,
        )
        self._proposals.accepted_time_ms = self.chain.tip.time_ms
        self.raft = self._open_raft(random_ticks)
        self._certification = Certification(self._ledger_id, node_id)
        self._signatures_from = 1
        self._signed_height = self._load_signatures()
        self._intake = Intake(
            node_id=node_id,
            raft=self.raft,
            chain=self.chain,
            limits=settings.intake,
            verify=self._verify_records,
            send=self._send,
            settle=self._settle,
        )
        self._backlog: deque[Logged] = deque()
        self._barriers: list[tuple[int, int]] = []
        self._jobs: dict[int, _Job] = {}
        self._next_token = 1
        self._leads_term = 0
        self._last_time_ms = self.chain.tip.time_ms
        self._known_leader: NodeId | None = None
        self._raft_write_in_flight = False
        self._durable_height = self.chain.tip.height
        self._durable_certificate = self._certification.certificate
        self._flying_tip = self._durable_height
        self._flying_certificate = self._durable_certificate
        self._effects: list[ports.Effect] = []
        self._after_gathering: list[ports.Effect] = []
        self._after_flying: list[ports.Effect] = []
        self._new_signatures: list[SignedCheckpoint] = []
        self._evidence = EvidenceLog(self._buffer, store)

    # Inputs.

    def tick(self) -> None:
        """One tick has passed."""
        self.raft.tick()
        self._intake.tick()
        self._turn()

    def receive(self, sender: NodeId, message: PeerMessage) -> None:
        """A message from a member, over an authenticated connection."""
        match message:
            case Forward():
                self._intake.receive(sender, message.records)
            case ForwardRefused():
                pass  # what is waiting is sent again anyway, at its own pace
            case Cosignatures():
                for signed in message.checkpoints:
                    self._certification.received(sender, signed)
                self._check_cosignatures()
            case Remembered():
                self._shown_own_signature(message.checkpoint)
            case CertificateNews():
                self._receive_certificate(message.certificate)
            case messages.Append():
                for entry in message.entries:
                    self._prepare_entry(entry.data)
                self.raft.step(sender, message)
            case _:
                self.raft.step(sender, message)
        self._turn()

    def connected(self, peer: NodeId) -> None:
        """A connection to a peer came up: it hears what it may have missed."""
        self.raft.reconnected(peer)
        if self._durable_certificate is not None:
            self._send(peer, CertificateNews(self._durable_certificate.to_bytes()))
        durable = [
            signed
            for signed in self._certification.own_signatures()
            if signed.height <= self._durable_height
        ]
        for start in range(0, len(durable), COSIGNATURES_MAX):
            self._send(peer, Cosignatures(tuple(durable[start : start + COSIGNATURES_MAX])))
        remembered = self._certification.newest_of(peer)
        if remembered is not None:
            self._send(peer, Remembered(remembered))
        if peer == self.raft.leader:
            self._intake.leader_changed()
        self._turn()

    def submit(self, raw: bytes) -> bytes | ports.Rejected:
        """Takes a record for this node's client; its id, under which it will be `Settled`.

        Rejected: it is not taken, and nothing will be heard of it.
        """
        taken = self._intake.submit(raw)
        self._turn()
        return taken

    def would_refuse(self, checked: Candidate) -> Refusal | None:
        """Why the next block would refuse a record whose signature was checked; None if not."""
        return self.chain.would_refuse(checked, time_ms=self._clock.now_ms())

    def read_barrier(self, token: int) -> None:
        """A client wants to read what is committed by now; answered by `BarrierReady`."""
        self.raft.read_index(token)
        self._turn()

    def verified(self, token: int, results: Sequence[bool]) -> None:
        """The signatures of a `Verify` effect are checked: one result a job, in order."""
        job = self._jobs.pop(token)
        if job.cosigned:
            for (node_id, height), valid in zip(job.cosigned, results, strict=True):
                contradiction = self._certification.checked(node_id, height, valid)
                if contradiction is not None:
                    self._after_gathering.append(self._evidence.keep_contradiction(contradiction))
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
        first = Height(self._durable_height + 1)
        self._durable_height = self._flying_tip
        if self._durable_height >= first:
            self._effects.append(ports.Executed(first, Height(self._durable_height)))
        self._durable_certificate = self._flying_certificate
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
        return effects

    # What can be observed; durable unless it says otherwise.

    @property
    def members(self) -> tuple[NodeId, ...]:
        """Every node, sorted."""
        return self._members

    @property
    def durable_height(self) -> Height:
        """The last block that is executed and durable here."""
        return Height(self._durable_height)

    @property
    def certificate(self) -> Certificate | None:
        """The newest certificate that is durable here."""
        return self._durable_certificate

    @property
    def idle(self) -> bool:
        """Whether nothing of this node's clients is under way and nothing is being written."""
        return self._intake.idle and not self._buffer.in_flight

    # The turn.

    def _turn(self) -> None:
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
            for evidence in ready.evidence:
                self._after_gathering.append(self._evidence.keep(evidence))
            if ready.soft_state is not None:
                self._role_changed()
            worked = self._execute() | self._propose() | self._hand_over()
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
            self._proposals.accepted_time_ms = self.chain.tip.time_ms
            self.raft.applied_to(logged.entry.index)
            self._intake.executed(appended, entry.records, candidates)
            if len(self._backlog) < SIGN_BACKLOG_MAX:
                self._sign(appended)
            worked = True
        if worked:
            self._certify()
            self._check_cosignatures()
        return worked

    def _propose(self) -> bool:
        """As leader, proposes the empty entry of its term, then what is queued."""
        if self.raft.role is not Role.LEADER:
            return False
        if self._leads_term != self.raft.term:
            self._leads_term = self.raft.term
            self._last_time_ms = max(self._last_time_ms, self._newest_time_ms())
            return self._propose_entry(())
        if not self._intake.queued:
            return False
        if self.raft.last_index - self.raft.commit_index >= self._settings.proposals_in_flight_max:
            return False
        taken = self._intake.take(
            records_max=self._settings.block_records_max, bytes_max=self._settings.block_bytes_max
        )
        if self._propose_entry(tuple(raw for _, raw in taken)):
            return True
        self._intake.give_back(taken)
        return False

    def _propose_entry(self, records: tuple[bytes, ...]) -> bool:
        self._last_time_ms = max(self._last_time_ms, self._clock.now_ms())
        data = encode(Entry(self._last_time_ms, None, records))
        return not isinstance(self.raft.propose(data), ProposalRefused)

    def _newest_time_ms(self) -> int:
        if self.raft.last_index == 0:
            return self.chain.tip.time_ms
        return _content(self.raft.entry(self.raft.last_index)).time_ms

    def _hand_over(self) -> bool:
        """Hands the next batch to the shell, if there is one and none is in flight."""
        if self._buffer.in_flight:
            return False
        unwritten = self.raft.take_unwritten()
        if unwritten is not None:
            self._raft_write_in_flight = True
            self._log.write(unwritten)
        if self._new_signatures:
            self._tell_signatures()
        if unwritten is None and self._buffer.empty:
            return self._release_without_write()
        batch = self._buffer.take(
            term=self.raft.term, vote=self.raft.vote, signed_height=self._signed_height
        )
        self._flying_tip = self.chain.tip.height
        self._flying_certificate = self._certification.certificate
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

    def _nodes_of(self, department: str) -> tuple[NodeId, ...]:
        member = consortium_member(self.chain.view, department)
        return () if member is None else member.nodes

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

    def _sign(self, appended: Appended) -> None:
        """Signs the new block's checkpoint, once and only upwards (rule 1 of certification)."""
        checkpoint = appended.checkpoint
        assert checkpoint.height > self._signed_height, "a height is signed once"
        timestamp_s = self._clock.now_ms() // 1000
        signature = self._signer.sign_checkpoint(cosignature_message(checkpoint, timestamp_s))
        signed = SignedCheckpoint(
            checkpoint.height, checkpoint.tree_size, checkpoint.root, timestamp_s, signature
        )
        self._signed_height = checkpoint.height
        height = Height(checkpoint.height)
        self._buffer.put(store_keys.own_signature_key(height), encode(signed))
        self._buffer.put(store_keys.SIGNED_MARK, height.to_bytes(8, "big"))
        before, after = appended.voters_before, appended.block.header.voters
        required = before.sets() if before == after else before.sets() + after.sets()
        executed = Executed(checkpoint, required, before != after)
        self._certification.executed(executed, signed)
        self._new_signatures.append(signed)

    def _tell_signatures(self) -> None:
        """Own signatures leave with the completion of the batch that holds them."""
        signatures, self._new_signatures = self._new_signatures, []
        for start in range(0, len(signatures), COSIGNATURES_MAX):
            part = Cosignatures(tuple(signatures[start : start + COSIGNATURES_MAX]))
            for peer in self._members:
                if peer != self._node_id:
                    self._after_gathering.append(ports.Send(peer, part))

    def _receive_certificate(self, data: bytes) -> None:
        try:
            certificate = parse_certificate(data)
        except Malformed:
            return
        if certificate.ledger_id != self._ledger_id:
            return
        for entry in certificate.cosignatures:
            signed = SignedCheckpoint(
                certificate.height,
                certificate.tree_size,
                certificate.root,
                entry.timestamp_s,
                entry.signature,
            )
            if entry.node_id in self._members:
                self._certification.received(entry.node_id, signed)
        self._check_cosignatures()

    def _shown_own_signature(self, signed: SignedCheckpoint) -> None:
        """A peer shows a signature of this node: one that is unknown here ends the node."""
        if signed.height <= self._signed_height:
            return
        message = cosignature_message(signed.checkpoint(self._ledger_id), signed.timestamp_s)
        if self._check(self._node_id, message, signed.signature):
            raise StoreBehind(
                f"a peer shows this node's signature on checkpoint {signed.height}; "
                f"the store knows of none above {self._signed_height}"
            )

    def _check_cosignatures(self) -> None:
        jobs = self._certification.jobs()
        if jobs:
            cosigned = tuple((node_id, height) for node_id, height, _ in jobs)
            self._verify(_Job((), cosigned), tuple(job for _, _, job in jobs))

    def _certify(self) -> None:
        """Assembles and keeps the newest certificate there is."""
        previous = self._certification.certificate
        certificate = self._certification.assemble()
        if certificate is None:
            return
        height = Height(certificate.height)
        if previous is not None and is_same_day(previous, certificate):
            self._buffer.delete(store_keys.certificate_key(Height(previous.height)))
        self._buffer.put(store_keys.certificate_key(height), certificate.to_bytes())
        for signed in range(self._signatures_from, height + 1):
            self._buffer.delete(store_keys.own_signature_key(Height(signed)))
        self._signatures_from = height + 1
        self._after_gathering.append(ports.Certified(height))

    def _load_signatures(self) -> int:
        """Restores newest certificate and own signatures above it; the highest signed height."""
        newest = next(iter(self._scan(store_keys.CERTIFICATE, reverse=True)), None)
        if newest is not None:
            self._certification.adopt(parse_certificate(newest[1]))
        self._signatures_from = self._certification.certified_height + 1
        required = self.chain.tip.voters.sets()
        for _, value in self._scan(store_keys.OWN_SIGNATURE):
            signed = SIGNED_CHECKPOINT.decode(value)
            if signed.height > self._certification.certified_height:
                executed = Executed(
                    signed.checkpoint(self._ledger_id), required, changes_voters=False
                )
                self._certification.executed(executed, signed)
        mark = self._buffer.get(store_keys.SIGNED_MARK)
        return 0 if mark is None else store_keys.read_number(mark)

    def _scan(self, prefix: bytes, *, reverse: bool = False) -> Iterable[tuple[bytes, bytes]]:
        return self._store.scan(prefix, bytes([prefix[0] + 1]), reverse=reverse)

    # Reads.

    def _read_confirmed(self, read: ReadState) -> None:
        if read.index is None:
            self._effects.append(ports.BarrierReady(read.token, None))
        else:
            self._barriers.append((read.index, read.token))

    def _release_barriers(self) -> None:
        waiting = []
        for index, token in self._barriers:
            if index <= self._durable_height:
                self._effects.append(ports.BarrierReady(token, Height(self._durable_height)))
            else:
                waiting.append((index, token))
        self._barriers = waiting

    def _send(self, peer: NodeId, message: PeerMessage) -> None:
        self._effects.append(ports.Send(peer, message))


def _content(logged: Logged) -> Entry:
    return parse_entry(logged.entry.data)
