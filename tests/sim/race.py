"""Revocations race with exchanges: the production replica and the production release gate.

Three replicas on virtual time. One department provides a dataset, one consumes it, one approves
each grant with the provider and may end it too. A *race* is one grant: one or two exchanges under
it, in chunks, and its revocation, by the provider or by the co-approver, all within some tens of
milliseconds; meanwhile processes are paused, killed and cut off. What is an exchange's input and
output in `node.exchange.provider` is an event here; what may leave is asked of
`node.exchange.release`, and judged again by other means:

    no chunk leaves a node whose ledger holds the revocation, nor one that has submitted it
    none leaves later than the window after the submission of its receipt
    none leaves before its receipt stands in this node's ledger and is certified there
    no receipt stands after the revocation of its grant in the ledger
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

from builders import START_MS, Consortium

from contracts.catalog import DatasetOffer, Description, Field
from contracts.exchanges import Receipt, ReceiptLine, Receipts
from contracts.grants import GrantApprove, GrantDecision, GrantRequest
from contracts.limits import Limits
from ledger.attachments import items_root
from ledger.codec import encode
from node import ports
from node.exchange.release import Endings, Moment, Release
from sim.keys import DEPARTMENTS, record_signer
from sim.options import Options
from sim.tape import Tape
from sim.world import World

WINDOW_MS = 150
"""The release window of these runs: short, so that pauses and cuts outlast it."""

RACES = 40
"""Grants in one run."""

CHUNK_BYTES = 1_000
CHUNKS = 4

PROVIDER, APPROVER, CONSUMER = DEPARTMENTS[:3]
PURPOSE, LEGAL_BASIS = "dpv:ServiceProvision", "dpv:LegalObligation"
DAY_MS = 86_400_000


@cache
def city() -> Consortium:
    """The three departments; their genesis is made once."""
    found = Consortium(DEPARTMENTS[:3], voter_count=3, settings=(("release-window-ms", WINDOW_MS),))
    assert found.genesis_file.ledger_id
    return found


@cache
def made(department: str, kind: str, body: Any, **attached: Any) -> tuple[bytes, bytes]:
    """A signed record: its id and its bytes."""
    record = city().record(
        department,
        kind,
        body,
        created_ms=START_MS + 5_000,
        by=record_signer(department, real=False),
        **attached,
    )
    return record.record_id, record.to_bytes()


@cache
def beginning() -> tuple[tuple[tuple[str, bytes], ...], tuple[bytes, ...]]:
    """What is written before the races, by whom; the grants' ids."""
    description = Description("People", "", (Field("name", "text", "the name"),), None)
    offer = DatasetOffer("people", "personal", "conditional", True, (APPROVER,))
    written = [(PROVIDER, made(PROVIDER, "dataset.publish", offer, document=encode(description)))]
    grants = []
    for number in range(RACES):
        asked = GrantRequest(
            provider=PROVIDER,
            dataset="people",
            fields=("name",),
            purpose=PURPOSE,
            description=f"race {number}",
            legal_basis=LEGAL_BASIS,
            legal_reference="",
            valid_from_ms=START_MS,
            valid_until_ms=START_MS + DAY_MS,
            limits=Limits(),
            onward=False,
        )
        request = made(CONSUMER, "grant.request", asked)
        grants.append(request[0])
        written.append((CONSUMER, request))
    for grant_id in grants:
        for department in (PROVIDER, APPROVER):
            written.append((department, made(department, "grant.approve", GrantApprove(grant_id))))
    return tuple((department, raw) for department, (_, raw) in written), tuple(grants)


@dataclass(slots=True)
class Exchange:
    """One exchange at the provider's node. life: of the process that began it."""

    grant_id: bytes
    release: Release
    life: int
    submitted_ms: int
    record_id: bytes
    sent_bytes: int = 0
    over: bool = False


@dataclass(slots=True)
class Race:
    """What became of one grant. revocation: the record's id; by_provider: since when it was on its
    way from the provider itself; certified_ms: when any node first knew it certified."""

    grant_id: bytes
    revocation: bytes = b""
    by_provider_ms: int | None = None
    certified_ms: int | None = None
    last_byte_ms: int | None = None
    receipts: list[bytes] = field(default_factory=list)


class RaceWorld(World):
    """A world with a provider's gateway at its first department's node.

    release: the gate that is asked; another one in tests of these very checks.
    """

    def __init__(self, tape: Tape, options: Options, release: Callable[..., Release]) -> None:
        self.gateway = city().node_ids[0]
        self.approver = city().node_ids[1]
        self._make_release = release
        self.races = [Race(grant_id) for grant_id in beginning()[1]]
        self.exchanges: dict[bytes, Exchange] = {}
        self.endings: dict[int, Endings] = {}
        self.revocations: dict[bytes, Race] = {}
        super().__init__(tape, options, founded=city())

    def _do(self, place: bytes, process: Any, effect: Any) -> None:
        super()._do(place, process, effect)
        match effect:
            case ports.Settled() if place == self.gateway:
                self._settled(process.life, effect.record_id, effect.outcome)
            case ports.Certified():
                self._certified(place, process)

    def _settled(self, life: int, record_id: bytes, outcome: Any) -> None:
        race = self.revocations.get(record_id)
        if race is not None and race.by_provider_ms is not None:
            self.endings.setdefault(life, Endings()).end(race.grant_id)
        exchange = self.exchanges.get(record_id)
        if exchange is None or exchange.life != life or exchange.over:
            return
        if isinstance(outcome, ports.Accepted):
            exchange.release.height = outcome.height
            self.at(self.tape.below(4), self._chunk, exchange)
        else:
            exchange.over = True
            self.counts[f"receipt {outcome.code}"] += 1

    def _certified(self, place: bytes, process: Any) -> None:
        for record_id, race in self.revocations.items():
            if race.certified_ms is None:
                found = process.replica.chain.place_of(record_id)
                if found is not None and found[0] <= self.certified[place]:
                    race.certified_ms = self.now_ms

    # The provider's gateway.

    def exchange(self, race: Race, number: int) -> None:
        """An exchange begins: its receipt is on its way."""
        process = self.processes.get(self.gateway)
        if process is None or process.paused:
            return
        name = sha256(race.grant_id + bytes([number])).digest()
        size = CHUNK_BYTES * CHUNKS
        item = encode(Receipt(name, name, name, name, 1, size, 0, bytes(32)))
        line = ReceiptLine(race.grant_id, 1, PURPOSE, LEGAL_BASIS, 1, 1, size, items_root([item]))
        record_id, raw = made(PROVIDER, "exchange.receipts", Receipts((line,)), items=(item,))
        race.receipts.append(record_id)
        release = self._make_release(race.grant_id, self.now_ms)
        self.exchanges[record_id] = Exchange(
            race.grant_id, release, process.life, self.now_ms, record_id
        )
        self.submit(self.gateway, raw, record_id)

    def _chunk(self, exchange: Exchange) -> None:
        """The next chunk's turn."""
        process = self.alive(self.gateway, exchange.life)
        if process is None:
            return
        if process.paused:
            process.inbox.append((self._chunk, (exchange,)))
            return
        chain = process.replica.chain
        waits = exchange.release.height is not None and (
            exchange.release.height > self.certified[self.gateway]
        )
        if waits and not self.tape.chance(0.01):
            self.at(2, self._chunk, exchange)
            return
        moment = Moment(
            view=chain.view,
            certified_height=self.certified[self.gateway],
            now_ms=self.clock_ms(self.gateway),
            monotonic_ms=self.now_ms,
        )
        endings = self.endings.setdefault(exchange.life, Endings())
        stop = exchange.release.take(CHUNK_BYTES, moment, endings)
        if stop is not None:
            exchange.over = True
            where = "between chunks" if exchange.sent_bytes else "at once"
            self.counts[f"stopped {stop.code} {where}"] += 1
            assert exchange.release.delivered_bytes == exchange.sent_bytes, "the void would lie"
            return
        self._left(exchange)
        if exchange.sent_bytes < CHUNKS * CHUNK_BYTES:
            long = self.tape.chance(0.05)
            self.at(self.tape.below(WINDOW_MS if long else 24), self._chunk, exchange)
        else:
            exchange.over = True
            self.counts["complete"] += 1

    def _left(self, exchange: Exchange) -> None:
        """A chunk has left: it must have been right to, by the ledger and the clock themselves."""
        chain = self.processes[self.gateway].replica.chain
        race = next(race for race in self.races if race.grant_id == exchange.grant_id)
        exchange.sent_bytes += CHUNK_BYTES
        race.last_byte_ms = self.now_ms
        placed = chain.place_of(exchange.record_id)
        assert placed is not None and placed[0] <= self.certified[self.gateway], "no certificate"
        assert self.now_ms - exchange.submitted_ms <= WINDOW_MS, "after the window"
        revoked = race.revocation and chain.place_of(race.revocation) is not None
        assert not revoked, "by a node that has executed the revocation"
        assert race.by_provider_ms is None, "by a node that has submitted the revocation"

    # Who ends it.

    def revoke(self, race: Race, *, by_provider: bool) -> None:
        """The revocation is on its way."""
        department, node = (PROVIDER, self.gateway) if by_provider else (APPROVER, self.approver)
        process = self.processes.get(node)
        if process is None or process.paused:
            return
        body = GrantDecision(race.grant_id, "it is over")
        race.revocation, raw = made(department, "grant.revoke", body)
        self.revocations[race.revocation] = race
        if by_provider:
            self.endings.setdefault(process.life, Endings()).begin(race.grant_id)
            race.by_provider_ms = self.now_ms
        self.submit(node, raw, race.revocation)


@dataclass(frozen=True, slots=True)
class Raced:
    """What a run saw. late_ms: the longest from a revocation's first certificate anywhere to the
    last byte under its grant; None if no byte came later."""

    races: int
    counts: Counter[str]
    late_ms: int | None


def run_races(seed: int, *, release: Callable[..., Release] = Release) -> Raced:
    """One run of RACES races. Raises AssertionError where the promise is broken."""
    tape = Tape(seed=seed)
    options = Options(
        nodes=3,
        voters=3,
        delay_ms=tape.choice(((0, 3), (0, 8), (1, 20))),
        disk_ms=tape.choice(((0, 3), (1, 15), (5, 40))),
        loss=tape.choice((0.0, 0.0, 0.05)),
        read_share=0.0,
        restart_ms=100,
    )
    world = RaceWorld(tape, options, release)
    _prepare(world)
    start = world.now_ms
    for place, race in enumerate(world.races):
        at = place * 8
        for number in range(1 + tape.below(2)):
            world.at(at + tape.below(40), world.exchange, race, number)
        world.at(
            at + tape.below(130),
            lambda race=race: world.revoke(race, by_provider=tape.below(3) == 0),
        )
    for _ in range(2):
        world.at(tape.below(RACES * 8), _disturb, world)
    world.run(start + RACES * 8 + 2 * WINDOW_MS)
    _in_order(world)
    raced = Counter(
        {kind: n for kind, n in world.counts.items() if " " in kind or kind == "complete"}
    )
    late = [
        race.last_byte_ms - race.certified_ms
        for race in world.races
        if race.last_byte_ms is not None
        and race.certified_ms is not None
        and race.last_byte_ms > race.certified_ms
    ]
    return Raced(len(world.revocations), raced, max(late) if late else None)


def _prepare(world: RaceWorld) -> None:
    """The grants are in force at every node."""
    written, _ = beginning()
    node_of = {department: node for node, department in world.department_of.items()}
    loss, world.options.loss = world.options.loss, 0.0
    world.run(world.now_ms + 3 * world.options.timeout_ms)
    for department, raw in written:
        world.submit(node_of[department], raw)
        if department == PROVIDER and raw is written[0][1]:
            world.run(world.now_ms + 10_000, stop=lambda: len(world.acknowledged) == 1)
        if department == CONSUMER and raw is written[RACES][1]:
            world.run(world.now_ms + 10_000, stop=lambda: len(world.acknowledged) == RACES + 1)
    done = world.run(world.now_ms + 20_000, stop=lambda: len(world.acknowledged) == len(written))
    assert done, "the grants are not in force"
    world.options.loss = loss


def _disturb(world: RaceWorld) -> None:
    """Somebody stops for a while, ends, or is cut off from all others."""
    tape = world.tape
    node = tape.choice((world.gateway, *world.nodes))
    process = world.processes.get(node)
    kind = tape.choice(("paused", "cut off", "killed", "calm"))
    if process is None or process.paused or kind == "calm":
        return
    world.counts[f"fault {kind}"] += 1
    length = 1 + tape.below(2 * WINDOW_MS)
    if kind == "paused":
        process.paused = True
        world.at(length, world.resume, node, process.life)
    elif kind == "killed":
        world.crash(node)
        world.at(length, world.restart, node)
    else:
        links = {(node, other) for other in world.nodes} | {(other, node) for other in world.nodes}
        world.wires.cuts |= links

        def heal() -> None:
            world.wires.cuts -= links
            for other in world.nodes:
                if other != node:
                    world.wires.connect(node, other)

        world.at(length, heal)


def _in_order(world: RaceWorld) -> None:
    """No receipt stands after its grant's revocation, on any node's ledger."""
    for process in world.processes.values():
        chain = process.replica.chain
        for race in world.races:
            revoked = chain.place_of(race.revocation) if race.revocation else None
            for record_id in race.receipts:
                placed = chain.place_of(record_id)
                if revoked is not None and placed is not None:
                    assert placed[1] < revoked[1], "a receipt stands after the revocation"
