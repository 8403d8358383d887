"""The replica: consensus, contracts and ledger joined into one deterministic, synchronous object.

`node.ports` lists what goes in and what comes out. Production and the simulator run this very file.
Every input ends in one *turn*, which repeats until nothing changes:

    1. take what consensus has ready: messages, committed entries, confirmed reads, evidence
    2. execute committed entries, or certified blocks, whose signatures are checked (`execution`);
       sign the new checkpoints (`cosigning`)
    3. as leader, propose what is queued, or the next step of a change of voters (`leading`)
    4. hand over one batch, if none is in flight: log, hard state, blocks, state, signatures

What rests on a batch (settled records, own signatures, news of blocks and certificates) waits in
`node.outgoing` until `persisted()`. A node whose key is spent (`standing`) takes no more turns; it
only writes down what it found.
"""

from collections.abc import Callable, Sequence
from functools import partial

from consensus import Raft, Ready, Role, messages
from consensus.ready import NOTHING
from contracts.machine import Candidate, candidate
from contracts.refusals import Refusal
from ledger import store_keys
from ledger.certificates import Certificate
from ledger.genesis import GenesisFile
from ledger.types import Height, NodeId
from node import ports
from node.barriers import Barriers
from node.block_server import BlockServer
from node.catching_up import CatchingUp, Contradicted, ProvedBlock
from node.chain import Chain
from node.clocks import PeerClocks
from node.cosigning import Cosigning
from node.evidence import of_consensus
from node.execution import Execution
from node.intake import Intake
from node.jobs import Job, Jobs
from node.leading import Leading
from node.membership import Membership
from node.messages import (
    Ask,
    BlocksWanted,
    CertificateNews,
    CertificateWanted,
    CertifiedBlocks,
    Cosignatures,
    Forward,
    ForwardRefused,
    PeerMessage,
    Remembered,
    is_known_to,
)
from node.outgoing import Outgoing, Reached
from node.peer_memory import PeerMemory, Promise
from node.raft_log import NodeProposals, RaftLog
from node.settings import ReplicaSettings
from node.standing import Asking, Standing, is_harmless
from node.write_buffer import WriteBuffer

CERTIFICATE_WANTED_TICKS = 20
"""Ticks between two questions for the certificate of a change of voters that is not certified."""

TRIM_STEP = 100
"""Raft entries that are removed at a time, at least; fewer if fewer are kept."""


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
        outside = ports.Outside(store, clock, signer, check)
        self._log = RaftLog(self._buffer, store, ledger_id=self._ledger_id)
        self._proposals = NodeProposals(self._ledger_id, self.chain, outside)
        self._cosigning = Cosigning(
            ledger_id=self._ledger_id,
            node_id=node_id,
            chain=self.chain,
            buffer=self._buffer,
            outside=outside,
        )
        self._membership = Membership(node_id, self.chain, self._cosigning)
        self.raft = self._open_raft(random_ticks)
        self._clock = clock
        self._clocks = PeerClocks(clock, self.chain, tolerance_ms=settings.clock_tolerance_ms)
        self._block_server = BlockServer(store, self.chain)
        self._catching_up = CatchingUp(self._ledger_id, node_id, self.chain, check)
        self._out = Outgoing(Reached(self.chain.tip.height, self._cosigning.certificate))
        self._intake, self._leading, self._execution = self._parts()
        self._barriers = Barriers(reads_max=settings.consensus.reads_max)
        self._jobs = Jobs()
        self._known_leader: NodeId | None = None
        self._ticks = 0
        self._versions: dict[NodeId, int] = {}
        self._raft_write_in_flight = False
        self._held = False
        self._memory = PeerMemory(self._buffer, self._cosigning.newest_of)
        self._cosigning.remember(self._memory.load(store))
        standing = self._standing_at_start(key_spent)
        self._asking = Asking(node_id, voters=self.chain.tip.voters, standing=standing)

    def _parts(self) -> tuple[Intake, Leading, Execution]:
        """What works on the chain and the core, for records, as leader and at execution."""
        settings = self._settings
        intake = Intake(
            node_id=self._node_id,
            raft=self.raft,
            chain=self.chain,
            limits=settings.intake,
            verify=self._verify_records,
            send=self._send,
            settle=self._settle,
        )
        leading = Leading(
            raft=self.raft,
            chain=self.chain,
            intake=intake,
            cosigning=self._cosigning,
            clock=self._clock,
            records_max=settings.block_records_max,
            bytes_max=settings.block_bytes_max,
            in_flight_max=settings.proposals_in_flight_max,
            patience_ticks=settings.consensus.election_ticks,
        )
        execution = Execution(
            chain=self.chain,
            raft=self.raft,
            intake=intake,
            cosigning=self._cosigning,
            membership=self._membership,
            catching_up=self._catching_up,
            buffer=self._buffer,
            gathered_bytes_max=settings.gathered_bytes_max,
            announce=self._out.later,
            certified=partial(self._out.certified, waits=True),
        )
        return intake, leading, execution

    # Inputs.

    def tick(self) -> None:
        """One tick has passed."""
        for voter in self._asking.tick(self.chain.tip.voters):
            self._send(voter, Ask())
        if self._asking.standing is Standing.GOOD:
            self.raft.tick()
        self._leading.tick()
        self._intake.tick()
        self._block_server.tick()
        self._buffer.hurry()
        self._catching_up.tick(leaderless=self.raft.leader is None)
        self._memory.tick()
        self._ticks += 1
        change = self._cosigning.uncertified_change()
        if change is not None and self._ticks % CERTIFICATE_WANTED_TICKS == 0:
            for peer in self._others():
                self._send(peer, CertificateWanted(change))
        self._turn()

    def receive(self, sender: NodeId, message: PeerMessage) -> None:
        """A message from a member, over an authenticated connection."""
        match message:
            case Ask():
                self._send(sender, self._memory.told(sender))
            case Remembered():
                self._hear_remembered(sender, message)
            case _ if self._asking.is_final:
                pass
            case messages.Message():
                self._receive_consensus(sender, message)
            case Forward():
                self._intake.receive(sender, message.records)
            case ForwardRefused():
                pass  # what is waiting is sent again anyway, at its own pace
            case Cosignatures():
                self._out.all_now(self._clocks.signed(sender, message.checkpoints))
                self._memory.signed(sender)
                self._cosigning.received(sender, message.checkpoints)
                self._check_cosignatures()
            case CertificateNews():
                height = self._cosigning.received_certificate(message.certificate, self.members)
                self._membership.shown(sender, height)
                self._certified()
                self._check_cosignatures()
            case CertificateWanted():
                self._show_certificate(sender, Height(message.height))
            case BlocksWanted():
                answer = self.blocks_for(sender, message)
                if answer is not None:
                    self._send(sender, answer)
            case CertifiedBlocks():
                self._take_blocks(self._catching_up.receive(sender, message))
        self._turn()

    def connected(self, peer: NodeId, version: int = messages.PROTOCOL_VERSION) -> None:
        """A connection to a peer came up: it hears what it may have missed.

        version: of the protocol, the newest that both speak. One that knows no questions remembers
        nothing.
        """
        self._versions[peer] = version
        self.raft.peer_version(peer, version)
        if not is_known_to(Ask(), version):
            self._asking.answered(peer, Promise(), self.raft, self.chain.tip.voters)
        elif self.standing is Standing.ASKING:
            self._send(peer, Ask())
        self.raft.reconnected(peer)
        if self._out.shown is not None:
            self._send(peer, CertificateNews(self._out.shown.to_bytes()))
        for part in self._cosigning.own_signatures(up_to=self._out.durable.height):
            self._send(peer, part)
        change = self._cosigning.uncertified_change()
        if change is not None:
            self._send(peer, CertificateWanted(change))
        if peer == self.raft.leader:
            self._intake.leader_changed()
        self._turn()

    def submit(self, raw: bytes, known: Candidate | None = None) -> bytes | ports.Rejected:
        """Takes a record for this node's client; its id, under which it will be `Settled`.

        known: `raw` as a candidate, if it has been parsed. Rejected: it is not taken, and nothing
        will be heard of it.
        """
        if self.standing.is_final:
            return ports.Rejected("key-spent", f"this node's standing is {self.standing.value}")
        taken = self._intake.submit(raw, known or candidate(raw))
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
            self._out.now(ports.BarrierReady(token, None))
        self._turn()

    def verified(self, token: int, results: Sequence[bool]) -> None:
        """The signatures of a `Verify` effect are checked: one result a job, in order."""
        job = self._jobs.done(token)
        if job.cosigned:
            for (node_id, signed), valid in zip(job.cosigned, results, strict=True):
                for alarm in self._cosigning.checked(node_id, signed, valid=valid):
                    self._out.later(alarm)
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
        self._out.landed()
        self._trim()
        self._end_if_retired()
        self._turn()

    def abdicate(self) -> None:
        """This node's disk stalls, or it stops: it leads no more, from now on."""
        self._leading.abdicate()
        self._turn()

    def hand_over(self) -> None:
        """This node is about to stop: another voter is to lead.

        To be called once a tick until `leads` is false, which takes an election timeout at most.
        """
        self._leading.hand_over()
        self._turn()

    def blocks_for(self, peer: NodeId, wanted: BlocksWanted) -> CertifiedBlocks | None:
        """What a member that is behind is given; None: nothing, or not now."""
        if wanted.height > self._out.durable.height:
            return None
        return self._block_server.answer(peer, wanted, self._out.durable.certificate)

    def blocks_wanted(self) -> BlocksWanted | None:
        """What anyone may be asked while no voter answers this node; None: nobody has to be."""
        alone = self.standing is Standing.ASKING or self._catching_up.is_leaderless
        if not alone or self.standing.is_final or self.catches_up:
            return None
        return self._catching_up.next_question()

    def fetched(self, message: CertifiedBlocks) -> bool:
        """Blocks came from outside the ledger, for `blocks_wanted`; whether they prove themselves.

        They are executed like any others; that promises nobody anything.
        """
        self._take_blocks(self._catching_up.take(message))
        news = self.catches_up
        self._turn()
        return news

    def hold(self) -> None:
        """The inputs from now on share one turn, which `release` takes."""
        self._held = True

    def release(self) -> None:
        """Takes the turn of all inputs since `hold`."""
        self._held = False
        self._turn()

    def effects(self) -> list[ports.Effect]:
        """What the shell has to do now; each effect is handed out once."""
        effects = self._out.take()
        if not self._asking.is_final:
            return effects
        return [effect for effect in effects if is_harmless(effect, self.standing)]

    # What can be observed; durable unless it says otherwise.

    @property
    def members(self) -> tuple[NodeId, ...]:
        """Every node that may connect, this one included, sorted."""
        return self._membership.members

    @property
    def durable_height(self) -> Height:
        """The last block that is executed and durable here."""
        return Height(self._out.durable.height)

    @property
    def certificate(self) -> Certificate | None:
        """The newest certificate there is of a block that is durable here."""
        return self._out.shown

    @property
    def standing(self) -> Standing:
        """Whether this node takes part (`node.standing`)."""
        return self._asking.standing

    @property
    def leads(self) -> bool:
        """Whether this node leads."""
        return self.raft.role is Role.LEADER

    @property
    def catches_up(self) -> bool:
        """Whether certified blocks wait to be executed."""
        return bool(self._catching_up.waiting)

    @property
    def has_more(self) -> bool:
        """Whether another turn would execute more without any input: it should come soon."""
        return self._execution.has_more and not self.standing.is_final

    @property
    def idle(self) -> bool:
        """Whether nothing of this node's clients is under way and nothing is being written."""
        return self._intake.idle and not self._buffer.in_flight

    # The turn.

    def _turn(self) -> None:
        if self._held:
            return
        if self._asking.is_final:
            self._hand_over()
            self._out.all_now(self._barriers.refuse())
            return
        self._execution.begin_turn()
        while True:
            hand_out = self._execution.wants_entries
            ready = self.raft.ready(hand_out=hand_out)
            if ready is not NOTHING:
                self._take(ready)
            self._asking.review(self.raft)
            self._catch_up()
            if self._execute() | self._leading.propose() or ready.committed:
                continue
            if not self._hand_over() or (hand_out and self._execution.is_idle):
                break
        self._intake.flush()
        self._out.all_now(self._barriers.release(self._out.durable.height))

    def _take(self, ready: Ready) -> None:
        for outgoing in ready.messages:
            self._send(outgoing.to, outgoing.message)
        self._execution.take(ready.committed)
        self._out.all_now(one for read in ready.reads for one in self._barriers.confirmed(read))
        for found in ready.evidence:
            self._alarm(self._cosigning.keep(of_consensus(found)))
        if ready.soft_state is not None:
            self._role_changed()
        if ready.snapshot is not None:
            self._catching_up.want(ready.snapshot.point.index)

    def _execute(self) -> bool:
        """Executes what is committed and checked; whether there was something."""
        good = self._asking.standing is Standing.GOOD
        worked = good and self._cosigning.sign_missed()
        worked |= self._execution.execute(sign=good)
        if worked:
            self._certify()
            self._check_cosignatures()
        return worked

    def _catch_up(self) -> None:
        """Asks for the next certified blocks, if this node is behind the log and may take part."""
        if not self._catching_up.wanted or not self._asking.takes_part:
            return
        if question := self._catching_up.ask(self.members, self.raft.leader):
            self._send(*question)

    def _hand_over(self) -> bool:
        """Hands the next batch to the shell, if there is one and none is in flight."""
        if self._buffer.in_flight:
            return False
        unwritten = self.raft.take_unwritten()
        if unwritten is not None:
            self._raft_write_in_flight = True
            self._log.write(unwritten)
        for part in self._cosigning.take_news():
            for peer in self._others():
                self._out.later(ports.Send(peer, part))
        if unwritten is None and self._buffer.empty:
            return self._out.release()
        if unwritten is None and not self._buffer.due and not self._out.gathers:
            return False
        self._memory.keep()
        batch = self._buffer.take(
            term=self.raft.term, vote=self.raft.vote, signed_height=self._cosigning.signed_height
        )
        self._out.taken(batch, Reached(self.chain.tip.height, self._cosigning.certificate))
        return True

    # Roles.

    def _role_changed(self) -> None:
        if self.raft.role is not Role.LEADER or self.raft.leader != self._known_leader:
            self._intake.leader_changed()
        self._known_leader = self.raft.leader

    def _open_raft(self, random_ticks: Callable[[int], int]) -> Raft:
        return Raft(
            node_id=self._node_id,
            settings=self._settings.consensus,
            storage=self._log,
            configuration=self._membership.configuration(),
            applied=self.chain.tip.height,
            proposals=self._proposals,
            random_ticks=random_ticks,
        )

    # Records on their way in.

    def _verify_records(
        self, raws: tuple[bytes, ...], signatures: tuple[ports.SignatureJob, ...]
    ) -> None:
        self._out.now(self._jobs.begin(Job(raws, ()), signatures))

    def _settle(self, record_id: bytes, outcome: ports.Accepted | ports.Rejected) -> None:
        self._out.later(ports.Settled(record_id, outcome))

    # Checkpoints and certificates.

    def _check_cosignatures(self) -> None:
        jobs = self._cosigning.jobs()
        if jobs:
            cosigned = tuple((node_id, signed) for node_id, signed, _ in jobs)
            signatures = tuple(job for _, _, job in jobs)
            self._out.now(self._jobs.begin(Job((), cosigned), signatures))

    def _certify(self) -> None:
        """Assembles and keeps the newest certificate there is."""
        certificate = self._cosigning.certify()
        if certificate is not None:
            waits = self.chain.changes_voters(Height(certificate.height))
            self._out.certified(certificate, waits=waits)
            self._certified()

    def _certified(self) -> None:
        """What rests on more being certified: who is served, this node's own end."""
        if self._membership.certified():
            self.raft.adopt(self._membership.configuration())
            self._out.later(ports.MembersChanged())

    def _end_if_retired(self) -> None:
        """A node that left stops once a durable certificate says so, and shows it to everyone."""
        certificate = self._out.durable.certificate
        if self.standing.is_final or certificate is None:
            return
        if self._membership.is_retired(certificate.height):
            for peer in self._others():
                self._send(peer, CertificateNews(certificate.to_bytes()))
            self._end(Standing.RETIRED, "the consortium retired this node")

    def _trim(self) -> None:
        """Lets go of Raft entries well behind the durable certificate; blocks replace them."""
        certificate, kept = self._out.durable.certificate, self._settings.log_entries_kept
        if certificate is None:
            return
        last = min(certificate.height, self._out.durable.height, self.raft.applied_index) - kept
        if last - self.raft.compacted_index >= min(TRIM_STEP, max(kept, 1)):
            self.raft.compact(last)

    def _take_blocks(self, found: tuple[ProvedBlock, ...] | Contradicted) -> None:
        if isinstance(found, Contradicted):
            self._alarm(self._cosigning.contradicts(found.certificate, found.ours, found.path))
            self._end(Standing.CONTRADICTED, "a certificate contradicts this node's ledger")
            return
        for block in found:
            self._intake.adopt(block.records, block.candidates)

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
            self.raft.abdicate()
            self._buffer.put(store_keys.STANDING_MARK, standing.value.encode("ascii"))
            self._out.now(ports.KeySpent(standing.value, detail))
            self._out.now(ports.Alarm(standing.value, detail))

    def _alarm(self, alarm: ports.Alarm | None) -> None:
        if alarm is not None:
            self._out.later(alarm)

    def _receive_consensus(self, sender: NodeId, message: messages.AnyMessage) -> None:
        self._memory.observe(sender, message)
        if isinstance(message, messages.PreVoteRequest | messages.VoteRequest):
            self._out.all_now(self._clocks.asked(sender, message.time_ms))
            if self.standing is Standing.WITHHOLDING:
                return
        if not self._asking.takes_part:
            return
        if isinstance(message, messages.Append):
            self._execution.arrived(message.entries)
        self.raft.step(sender, message)

    def _others(self) -> tuple[NodeId, ...]:
        return tuple(node for node in self.members if node != self._node_id)

    def _send(self, peer: NodeId, message: PeerMessage) -> None:
        version = self._versions.get(peer)
        if version is not None and not is_known_to(message, version):
            return
        self._out.now(ports.Send(peer, message))
