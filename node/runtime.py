"""The running node: the replica, its store, its peers and the clock, joined on one event loop.

Decides nothing. It feeds the replica its inputs and carries out its effects: batches are written by
one thread of their own, signatures checked by others, messages queued for peers. A write that fails
ends the node, because what the disk then holds is unknown (P42).
"""

import asyncio
import random
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import structlog

from consensus import Settings
from consensus.errors import LogBroken
from consensus.messages import PROTOCOL_VERSION
from consensus.types import Tick
from contracts.consortium import check_genesis, node
from contracts.machine import Candidate, Tip, parse_tip
from contracts.state import View
from ledger import store_keys
from ledger.certificates import Certificate
from ledger.codec import encode
from ledger.errors import LedgerError, Malformed
from ledger.genesis import GenesisFile, parse_genesis_file
from ledger.recent import Recent
from ledger.signatures import self_test, verify
from ledger.tiles import TILE_ROOTS_MAX, TileRoots
from node import ports
from node.checking import Checker, Results
from node.config import Config
from node.errors import ConfigInvalid, IdentityInvalid, NodeError, StoreBehind, StoreCorrupt
from node.events import Events
from node.identity import Identity, destroy_keys, load_identity, mark_spent, read_spent
from node.intake import IntakeLimits
from node.messages import PEER_MESSAGE, CertifiedBlocks, stale_kind
from node.peers import Peer, PeerLimits, PeerNetwork, RpcError
from node.peers.rpc import Part, RpcHandler
from node.raft_log import read_hard_state
from node.replica import Replica
from node.settings import ReplicaSettings
from node.standing import Standing
from node.store.leveldb import LevelStore
from node.store.watermark import WatermarkFile, check_not_behind
from node.submissions import Limits
from node.writing import BatchWriter

ALARMS_MAX = 100
"""Limit of the alarms that a node remembers; the oldest go."""

FINAL_STANDINGS = tuple(standing.value for standing in Standing if standing.is_final)

PREPARED_KEYS_MAX = 128
"""Keys of a batch that the loop prepares; larger ones are the writing thread's altogether."""

THREAD_SWITCH_S = 0.0005
"""After so long a thread that waits to run Python gets its turn: one that has written or checked
something only has to say so, and the loop waits for it."""

log = structlog.get_logger("concordat")

Wait = Literal["certified", "committed"]


class SystemClock:
    """The machine's wall clock."""

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // 1_000_000


class StateView:
    """The contracts' view of what is durable, or of one snapshot of it."""

    __slots__ = ("reader",)

    def __init__(self, reader: ports.StoreReader) -> None:
        self.reader = reader

    def get(self, key: bytes) -> bytes | None:
        """The state value at `key`."""
        return self.reader.get(store_keys.state_key(key))


@dataclass(frozen=True, slots=True)
class Unknown:
    """The wait ended before the outcome was known; the record may still be accepted."""

    record_id: bytes


class Node:
    """One running node. `start`, then use, then `stop`; `failed` is set if it had to end itself.

    tile_roots: of the ledger's full tiles, as proofs have met them; from any thread.
    """

    def __init__(self, config: Config) -> None:
        """Loads keys, genesis and store. Raises NodeError and LedgerError with what to do."""
        self_test()
        self.config = config
        self.identity: Identity = load_identity(config.path(config.node.keys))
        self.genesis = load_genesis(config.path(config.node.genesis))
        self.ledger_id = self.genesis.ledger_id
        self.department = config.node.department
        self.clock = SystemClock()
        self.store = LevelStore(config.path(config.node.data))
        self.tile_roots: TileRoots = Recent(TILE_ROOTS_MAX)
        self._keys = config.path(config.node.keys)
        self._watermark = WatermarkFile(self._keys / "watermark")
        self.alarms: list[str] = []
        self._spent_detail = ""
        try:
            self.replica = self._open()
            self._check_membership()
        except BaseException:
            self.store.close()
            self._watermark.close()
            raise
        self.events = Events(
            height=self.replica.durable_height,
            certified_height=0
            if self.replica.certificate is None
            else self.replica.certificate.height,
        )
        self.failed: asyncio.Future[NodeError] | None = None
        self._messages_unsent = 0
        self._writer = BatchWriter()
        self._checker = Checker(self._checked)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn_due = False
        self._encoded: tuple[object, bytes] = (None, b"")
        self._ticker: asyncio.Task[None] | None = None
        self._carrying = False
        self._write_began: float | None = None
        self._stopped = False
        self.network: PeerNetwork | None = None

    # Start and stop.

    async def start(self, handlers: Mapping[str, RpcHandler]) -> None:
        """Listens, dials, ticks. Raises Unavailable if the peers' port is taken."""
        self._loop = asyncio.get_running_loop()
        self._writer.start(self._loop, self._persisted)
        sys.setswitchinterval(THREAD_SWITCH_S)
        self.failed = self._loop.create_future()
        self.network = PeerNetwork(
            ledger_id=self.ledger_id,
            node_id=self.identity.node_id,
            tls_seed=self.identity.tls_seed,
            listen=self.config.rpc.listen,
            peers=self._peers(),
            on_message=self._message,
            on_connected=self._connected,
            on_problem=self._problem,
            handlers={name: self._while_serving(handler) for name, handler in handlers.items()},
            limits=PeerLimits(
                queue_messages_max=self.config.rpc.queue_messages_max,
                queue_bytes_max=self.config.rpc.queue_bytes_max,
            ),
            version=min(self.config.rpc.protocol_version, PROTOCOL_VERSION),
        )
        await self.network.start()
        self._ticker = asyncio.create_task(self._tick_for_ever())
        log.info(
            "node started",
            department=self.department,
            node=self.identity.node_id.hex()[:16],
            ledger=self.ledger_id.hex()[:16],
            height=self.events.height,
            waits_for=len(self.replica.members) // 2,
        )

    async def stop(self) -> None:
        """Stops in order: leadership handed over, no more input, the write under way lands."""
        if self._stopped:
            return
        await self._hand_over()
        self._stopped = True
        self.events.stop()
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        if self.network is not None:
            await self.network.stop()
        await asyncio.to_thread(self._writer.close)
        self._checker.close()
        self.store.close()
        self._watermark.close()
        log.info("node stopped", height=self.events.height)

    async def _hand_over(self) -> None:
        """Gives another voter the lead, for at most as long as an election takes."""
        if self._ticker is None or (self.failed is not None and self.failed.done()):
            return
        for _ in range(self.config.rpc.election_ticks + 1):
            self._input(self.replica.hand_over)
            if not self.replica.leads:
                break
            await asyncio.sleep(self.config.rpc.tick_ms / 1000)
        await asyncio.sleep(0)

    def _while_serving(self, handler: RpcHandler) -> RpcHandler:
        """The handler, cut short as soon as this node's key is spent."""

        async def answer(sender: bytes, body: bytes) -> AsyncGenerator[Part, None]:
            chunks = handler(sender, body)
            try:
                self._check_serving()
                async for chunk in chunks:
                    self._check_serving()
                    yield chunk
            finally:
                if isinstance(chunks, AsyncGenerator):
                    await chunks.aclose()

        return answer

    def _check_serving(self) -> None:
        reason = self.out_of_service
        if reason is not None:
            raise RpcError("out-of-service", reason)

    # What the rest of the node asks.

    def view(self) -> StateView:
        """The durable state, as of each read."""
        return StateView(self.store)

    def executed_view(self) -> View:
        """The state that this node has executed, durable or not; for the event loop alone."""
        return self.replica.chain.view

    def tip(self) -> Tip:
        """The last executed, durable block and what the next one builds on."""
        value = self.store.get(store_keys.TIP_MARK)
        return self.replica.chain.tip if value is None else parse_tip(value)

    @property
    def messages_dropped(self) -> int:
        """Messages to peers that found no connection or no room, or gave theirs to newer ones."""
        return self._messages_unsent + (0 if self.network is None else self.network.superseded)

    @property
    def certificate(self) -> Certificate | None:
        """The newest durable certificate."""
        return self.replica.certificate

    @property
    def standing(self) -> Standing:
        """Whether this node takes part; in a final standing it serves nobody."""
        return self.replica.standing

    @property
    def out_of_service(self) -> str | None:
        """Why this node serves nobody, for a person; None while it does."""
        if not self.standing.is_final:
            return None
        return f"this node's key is spent ({self.standing.value}): {self._spent_detail}"

    async def submit(
        self, raw: bytes, *, wait: Wait, timeout_s: float, known: Candidate | None = None
    ) -> ports.Accepted | ports.Rejected | Unknown:
        """Brings a record to the ledger and waits for what becomes of it.

        known: `raw` as a candidate, if it has been parsed.
        """
        submission = (raw, known)
        return (await self.submit_all([submission], wait=wait, timeout_s=timeout_s))[0]

    async def submit_all(
        self,
        submissions: Sequence[tuple[bytes, Candidate | None]],
        *,
        wait: Wait,
        timeout_s: float,
    ) -> list[ports.Accepted | ports.Rejected | Unknown]:
        """The same for several, each by itself, at once: bytes, and what `submit` calls known."""
        self._take_turn_soon()
        taken = [self.replica.submit(raw, known) for raw, known in submissions]
        record_ids = [each for each in taken if isinstance(each, bytes)]
        outcomes = iter(
            await self.events.outcomes(
                record_ids, certified=wait == "certified", timeout_s=timeout_s
            )
        )
        return [
            each if isinstance(each, ports.Rejected) else next(outcomes) or Unknown(each)
            for each in taken
        ]

    async def read_barrier(self, *, timeout_s: float) -> int | None:
        """A height that includes everything committed before the call; None: nobody to ask."""
        token, future = self.events.barrier()
        self._input(lambda: self.replica.read_barrier(token))
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            return None

    def fetched(self, blocks: CertifiedBlocks) -> bool:
        """Blocks came from outside the ledger; whether they prove themselves."""
        news = False

        def give() -> None:
            nonlocal news
            news = self.replica.fetched(blocks)

        self._input(give)
        return news

    # Effects.

    def _carry_out(self) -> None:
        """Carries out what the replica wants, also what that causes."""
        if self._carrying or self._stopped:
            return
        self._carrying = True
        try:
            while True:
                effects = self.replica.effects()
                if not effects:
                    break
                for effect in effects:
                    self._do(effect)
                results = self._checker.begin()
                if results:
                    self.replica.hold()
                    self._give(results)
                    self.replica.release()
        finally:
            self._carrying = False
        if self.network is not None:
            self.network.write_out()

    def _do(self, effect: ports.Effect) -> None:
        match effect:
            case ports.Send():
                assert self.network is not None
                kind = stale_kind(effect.message)
                if not self.network.queue(effect.peer, self._bytes_of(effect.message), kind):
                    self._messages_unsent += 1
            case ports.Persist():
                self._persist(effect.batch)
            case ports.Verify():
                self._checker.ask(effect)
            case ports.Settled():
                self.events.settled(effect.record_id, effect.outcome)
            case ports.Executed():
                self.events.executed(effect.last)
            case ports.Certified():
                self.events.certified(effect.height)
            case ports.BarrierReady():
                self.events.barrier_ready(effect.token, effect.height)
            case ports.Alarm():
                self._alarm(effect)
            case ports.ClockApart():
                self._clock_apart(effect)
            case ports.MembersChanged():
                assert self.network is not None
                self.network.update(self._peers())
            case ports.KeySpent():
                self._spent_detail = effect.detail
                mark_spent(self._keys, standing=effect.standing, detail=effect.detail)
                if effect.standing == Standing.RETIRED.value:
                    destroy_keys(self._keys)

    def _alarm(self, alarm: ports.Alarm) -> None:
        self.alarms = [*self.alarms[-(ALARMS_MAX - 1) :], f"{alarm.code}: {alarm.detail}"]
        log.error("alarm", code=alarm.code, detail=alarm.detail)

    def _clock_apart(self, news: ports.ClockApart) -> None:
        """An alarm for as long as a peer's clock is apart; it names that peer."""
        before = f"clock-apart: node {news.peer.hex()} "
        self.alarms = [alarm for alarm in self.alarms if not alarm.startswith(before)]
        if news.apart_ms:
            way = "ahead of" if news.apart_ms > 0 else "behind"
            apart_s = abs(news.apart_ms) / 1000
            detail = f"node {news.peer.hex()} has a clock {apart_s:.1f} s {way} this node's"
            self._alarm(ports.Alarm("clock-apart", detail))
        else:
            log.info("clock is right again", peer=news.peer.hex())

    def _bytes_of(self, message: object) -> bytes:
        """The message's bytes; what goes to several peers in a row is encoded once."""
        if self._encoded[0] is not message:
            self._encoded = (message, encode(message))
        return self._encoded[1]

    def _persist(self, batch: ports.Batch) -> None:
        assert self._loop is not None
        self._write_began = self._loop.time()
        if len(batch.puts) + len(batch.deletes) <= PREPARED_KEYS_MAX:
            write = self.store.prepare(batch)
        else:
            write = partial(self.store.write, batch)

        def durably() -> None:
            write()
            self._watermark.write(batch.watermark)

        self._writer.begin(batch.number, durably)

    def _persisted(self, number: int, error: BaseException | None) -> None:
        self._write_began = None
        if error is not None:
            self._fail(error)
        else:
            self._input(partial(self.replica.persisted, number))

    def _checked(self, results: Results) -> None:
        self._input(lambda: self._give(results))

    def _give(self, results: Results) -> None:
        for token, valid in results:
            self.replica.verified(token, valid)

    # Inputs.

    def _input(self, give: Callable[[], None]) -> None:
        """Gives the replica an input, to be followed by a turn."""
        if self._stopped or (self.failed is not None and self.failed.done()):
            return
        self._take_turn_soon()
        try:
            give()
        except (NodeError, LogBroken, LedgerError) as error:
            self._fail(error)

    def _take_turn_soon(self) -> None:
        """One turn for all that this iteration of the loop brings."""
        if not self._turn_due:
            assert self._loop is not None
            self._turn_due = True
            self.replica.hold()
            self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn_due = False
        if self._stopped or (self.failed is not None and self.failed.done()):
            return
        try:
            self.replica.release()
            self._carry_out()
            if self.replica.has_more:
                self._take_turn_soon()
        except (NodeError, LogBroken, LedgerError) as error:
            self._fail(error)

    def _message(self, sender: bytes, payload: bytes) -> None:
        try:
            message = PEER_MESSAGE.decode(payload)
        except Malformed as error:
            self._problem("malformed", f"{sender.hex()[:16]}…: {error}")
            return
        self._input(partial(self.replica.receive, sender, message))

    def _connected(self, peer: bytes, version: int) -> None:
        log.info("peer connected", peer=peer.hex()[:16], version=version)
        self._input(lambda: self.replica.connected(peer, version))

    def _problem(self, code: str, detail: str) -> None:
        log.warning("peer problem", code=code, detail=detail)

    async def _tick_for_ever(self) -> None:
        assert self._loop is not None
        period = self.config.rpc.tick_ms / 1000
        due = self._loop.time()
        while True:
            due = max(due + period, self._loop.time() - period)
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if self._disk_stalls():
                self._input(self.replica.abdicate)
            self._input(self.replica.tick)

    def _disk_stalls(self) -> bool:
        """Whether a write takes longer than an election: such a node must not lead (P47)."""
        assert self._loop is not None
        if self._write_began is None:
            return False
        patience_s = self.config.rpc.election_ticks * self.config.rpc.tick_ms / 1000
        return self._loop.time() - self._write_began > patience_s

    def _fail(self, error: BaseException) -> None:
        """The node cannot go on."""
        assert self.failed is not None
        if not self.failed.done():
            known = error if isinstance(error, NodeError) else StoreCorrupt(str(error))
            log.error("the node stops", error=str(known), remedy=known.remedy)
            self.failed.set_result(known)

    # Opening.

    def _open(self) -> Replica:
        return Replica(
            genesis=self.genesis,
            node_id=self.identity.node_id,
            store=self.store,
            last_batch_number=self.store.batch_number,
            clock=self.clock,
            signer=self.identity,
            check=verify,
            random_ticks=random.SystemRandom().randrange,
            settings=self._settings(),
            key_spent=self._key_spent(),
        )

    def _key_spent(self) -> Standing | None:
        """Why the keys must not be used: marked beside them, or the store is behind its mark."""
        spent = read_spent(self._keys)
        if spent is None:
            signed = self.store.get(store_keys.SIGNED_MARK)
            try:
                check_not_behind(
                    self._watermark.read(),
                    batch_number=self.store.batch_number,
                    term=read_hard_state(self.store.get(store_keys.HARD_STATE_MARK)).term,
                    signed_height=0 if signed is None else store_keys.read_number(signed),
                )
            except StoreBehind as error:
                spent = Standing.BEHIND.value, str(error)
                mark_spent(self._keys, standing=spent[0], detail=spent[1])
        if spent is None:
            return None
        standing, detail = spent
        self._spent_detail = detail
        self._alarm(ports.Alarm(standing, detail))
        return Standing(standing) if standing in FINAL_STANDINGS else Standing.BEHIND

    def _settings(self) -> ReplicaSettings:
        limits, rpc = self.config.limits, self.config.rpc
        return ReplicaSettings(
            consensus=Settings(election_ticks=Tick(rpc.election_ticks)),
            block_records_max=limits.block_records_max,
            log_entries_kept=limits.log_entries_kept,
            clock_tolerance_ms=rpc.clock_tolerance_ms,
            intake=IntakeLimits(
                waiting=Limits(limits.waiting_records_max, limits.waiting_bytes_max, 20),
                queue=Limits(limits.queue_records_max, limits.queue_bytes_max, 20),
            ),
        )

    def _check_membership(self) -> None:
        """This node is its department's, or not yet anybody's: then it joins when it is admitted.

        What the ledger says decides; before there is one here, what the genesis says.
        """
        known = node(self.replica.chain.view, self.identity.node_id)
        if known is not None and known.department != self.department:
            raise IdentityInvalid(
                f"the ledger names this node as {known.department}'s, not {self.department}'s",
                remedy="Is this the right configuration, and the right folder of keys?",
            )
        if known is None:
            log.warning(
                "this node is not a member yet",
                node=self.identity.node_id.hex(),
                remedy="have its enrolment proposed: `concordat consortium propose`",
            )

    def _peers(self) -> list[Peer]:
        """Every other member, as the durable state names it; addresses as configured here."""
        view = self.view() if self.store.batch_number else self.replica.chain.view
        peers = []
        for node_id in self.replica.members:
            state = node(view, node_id)
            if node_id != self.identity.node_id and state is not None:
                description = state.description
                address = self.config.peers.get(node_id.hex(), description.rpc_address)
                peers.append(Peer(node_id, description.tls_key, address))
        return peers


def load_genesis(path: Path) -> GenesisFile:
    """A genesis file, complete and within the rules. Raises ConfigInvalid or LedgerError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"cannot read {path}: {error.strerror}") from None
    genesis = parse_genesis_file(content)
    genesis.check()
    check_genesis(genesis.genesis)
    return genesis
