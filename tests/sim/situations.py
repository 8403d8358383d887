"""Situations in which a seeded bug shows, and which seeds alone meet too seldom.

Each is a script on a world of its own: the seed draws the times of messages and writes, the script
draws the faults. It holds no invariant of its own, but those of every run (`sim.watch`) and of the
liveness phase: a majority that can talk has a leader in time. Where a seed leads elsewhere, the
situation does not come about, and nothing is said.
"""

from collections.abc import Callable, Iterable

from builders import joining_enrolment

from consensus import Role, Settings
from consensus.messages import AppendReply
from consensus.types import Tick
from contracts.governance import Ballot, Propose
from contracts.membership import Action, AdmitNode, ChangeVoters, ReplaceNode
from ledger.entries import parse_entry
from node.messages import CertificateNews, CertifiedBlocks, Cosignatures, PeerMessage
from node.settings import ReplicaSettings
from node.standing import Standing
from sim.clients import dataset_record
from sim.liars import Liars
from sim.verdicts import check_nobody_is_framed, check_verdict
from sim.world import CLOCK_MS, Options, World

LEADER_TIMEOUTS = 10
PATIENCE_MS = 30_000


def run_situation(name: str, seed: int) -> None:
    """Runs a situation by its name; raises AssertionError where an invariant does not hold."""
    SITUATIONS[name](seed)


def _world(seed: int, *, nodes: int, log_entries_kept: int = 1_000) -> World:
    settings = ReplicaSettings(
        consensus=Settings(election_ticks=Tick(10)), log_entries_kept=log_entries_kept
    )
    world = World(seed, Options(nodes=nodes, voters=nodes, disk_ms=(0, 5)), settings=settings)
    assert _wait(world, lambda: _settled(world)), "no leader in time"
    return world


def _wait(world: World, stop: Callable[[], bool]) -> bool:
    return stop() or world.run(world.now_ms + PATIENCE_MS, stop=stop)


def _leader(world: World, among: Iterable[bytes] = ()) -> bytes | None:
    """The newest leader, of these nodes if any are named."""
    wanted = set(among) or set(world.nodes)
    leading = [
        (process.replica.raft.term, node)
        for node, process in world.processes.items()
        if node in wanted and process.replica.raft.role is Role.LEADER
    ]
    return max(leading)[1] if leading else None


def _there_is_a_leader(world: World, among: Iterable[bytes]) -> None:
    """The invariant of the liveness phase."""
    among = list(among)
    within_ms = world.now_ms + LEADER_TIMEOUTS * world.options.timeout_ms
    led = world.run(within_ms, stop=lambda: _leader(world, among) is not None)
    assert led, "no leader in time"


def _cut(world: World, *groups: Iterable[bytes]) -> None:
    """Nodes hear those of their own group alone; who is in none hears nobody."""
    group_of = {node: number for number, group in enumerate(groups) for node in group}
    world.wires.cuts = {
        (one, other)
        for one in world.nodes
        for other in world.nodes
        if one != other and group_of.get(one, -1) != group_of.get(other, -2)
    }
    for one in world.nodes:
        for other in world.nodes:
            if one < other and (one, other) not in world.wires.cuts:
                world.wires.connect(one, other)


def _settled(world: World) -> bool:
    heights = {process.replica.durable_height for process in world.processes.values()}
    certified = {world.certified[node] for node in world.processes}
    return len(heights) == 1 and certified == heights != {0}


def _written(world: World, node: bytes, number: int) -> bool:
    """A client writes at a node; whether it hears of it."""
    taken = world.submit(node, dataset_record(world, node, number))
    return isinstance(taken, bytes) and _wait(world, lambda: taken in world.acknowledged)


def _accepted(world: World, department: str, kind: str, body: Propose | Ballot) -> bytes:
    of_it = (node for node, name in world.department_of.items() if name == department)
    node = next(node for node in of_it if world.may_live(node))
    record = world.consortium.record(
        department, kind, body, created_ms=CLOCK_MS + world.now_ms, nonce=None
    )
    taken = world.submit(node, record.to_bytes())
    assert isinstance(taken, bytes)
    assert _wait(world, lambda: taken in world.acknowledged), "a record is never accepted"
    return taken


def _decide(world: World, action: Action) -> None:
    """Two departments of three are enough."""
    first, second, *_ = world.consortium.departments
    decision = _accepted(world, first, "consortium.propose", Propose(action, "as agreed"))
    _accepted(world, second, "consortium.ballot", Ballot(decision, True))


def _unaware_voter(seed: int) -> None:
    """A promoted learner does not know that it votes, and its vote is needed (P32).

    No certified blocks reach it, from which it would learn without a leader.
    """
    world = _world(seed, nodes=3)
    founders = world.nodes
    learner = world.join("health", 1)
    enrolment = joining_enrolment(world.consortium.ledger_id, "health", 1)
    _decide(world, AdmitNode(enrolment.signed()))
    assert _wait(world, lambda: _settled(world))
    _decide(world, ChangeVoters((learner,), ()))
    if not _wait(world, lambda: _steps_are_proposed(world)):
        return
    _cut(world, founders)
    for node in founders:
        world.wires.filters[node, learner] = CertifiedBlocks
    wanted = tuple(sorted(world.nodes))
    if not _wait(
        world,
        lambda: all(
            world.processes[node].replica.chain.tip.voters.sets() == (wanted,) for node in founders
        ),
    ):
        return
    leader = _leader(world)
    if leader is None or not _wait(world, lambda: _settled_among(world, founders)):
        return
    world.crash(leader)
    _cut(world, [node for node in wanted if node != leader])
    _there_is_a_leader(world, wanted)


def _settled_among(world: World, nodes: Iterable[bytes]) -> bool:
    return len({world.processes[node].replica.durable_height for node in nodes}) == 1


def _steps_are_proposed(world: World) -> bool:
    """Whether the newest entry of a leader's log is a step to other voters."""
    leader = _leader(world)
    if leader is None:
        return False
    raft = world.processes[leader].replica.raft
    return parse_entry(raft.entry(raft.last_index).entry.data).step is not None


def _forged_blocks(seed: int) -> None:
    """Who lacks what the others' logs have trimmed is served a block that nobody signed (P41)."""
    world = _world(seed, nodes=3, log_entries_kept=5)
    away = next(node for node in world.nodes if node != _leader(world))
    world.crash(away)
    others = [node for node in world.nodes if node != away]
    for number in range(14, 24):
        assert _written(world, others[0], number), "a record is never accepted"
    lying, arrive = Liars(world), world.wires.arrive

    def forged(place: bytes, peer: bytes, message: PeerMessage, number: int) -> None:
        if peer == away and isinstance(message, CertifiedBlocks):
            message = lying._serve(place, message)
        arrive(place, peer, message, number)

    world.wires.arrive = forged  # type: ignore[method-assign]
    world.start(away)
    world.run(world.now_ms + 10 * world.options.timeout_ms)
    world.wires.arrive = arrive  # type: ignore[method-assign]
    assert _written(world, others[0], 30), "a record is never accepted"
    assert _wait(world, lambda: _settled(world)), "they did not converge in time"


def _leads_again(seed: int) -> None:
    """A leader leads again, and a peer has lost what it acknowledged to it (P18, Raft §5.3).

    The old leader and one peer hold an entry; another leader replaces it at that peer alone; the
    old one is elected by those that know of neither. Then the peer's old answer comes, and after
    it the peer itself.
    """
    world = _world(seed, nodes=5)
    old = _leader(world)
    assert old is not None
    peer, *rest = (node for node in world.nodes if node != old)
    raft = world.processes[old].replica.raft
    before = raft.last_index
    _cut(world, (old, peer))
    world.wires.filters[peer, old] = AppendReply
    world.submit(old, dataset_record(world, old, 1))
    if not _wait(world, lambda: world.disks[peer].last_entry > before):
        return
    world.run(world.now_ms + 10)
    written = world.disks[peer].last_entry
    said = [(m, n) for m, n in world.wires.answers[peer, old, AppendReply] if m.index == written]
    _cut(world, rest)
    if not said or not _wait(world, lambda: _leader(world, rest) is not None):
        return
    other = _leader(world, rest)
    assert other is not None
    _cut(world, (other, peer))
    term = world.processes[other].replica.raft.term
    if not _wait(world, lambda: world.disks[peer].last_term == term):
        return
    world.wires.filters.clear()
    _cut(world, (old, *(node for node in rest if node != other)))
    if not _wait(world, lambda: _leader(world) == old and raft.term > term):
        return
    world.wires.arrive_late(peer, old, *said[-1])
    _cut(world, [node for node in world.nodes if node != other])
    world.run(world.now_ms + 4 * world.options.timeout_ms)
    _cut(world, world.nodes)
    assert _wait(world, lambda: _settled(world)), "they did not converge in time"


def _late_upgrade(seed: int) -> None:
    """Who did not ask before it stood has a late term and an old log; then it asks too (P7).

    What the other has beyond that log is not committed, so no certified blocks make up for it.
    """
    world = _world(seed, nodes=3)
    leader = _leader(world)
    assert leader is not None
    upgraded, third = (node for node in world.nodes if node != leader)
    world.older.add(upgraded)
    world.crash(upgraded)
    world.start(upgraded)
    world.crash(third)
    _cut(world)
    raft = world.processes[leader].replica.raft
    before = raft.last_index
    world.submit(leader, dataset_record(world, leader, 1))
    world.run(world.now_ms + 5 * world.options.timeout_ms)
    if raft.last_index == before or raft.role is Role.LEADER:
        return
    world.crash(upgraded)
    world.older.clear()
    world.start(upgraded)
    _cut(world, world.nodes)
    _there_is_a_leader(world, world.nodes)


def _uncertified_leave(seed: int) -> None:
    """A node is replaced, and hears no certificate of the block that leaves it out (A11)."""
    world = _world(seed, nodes=3)
    old = world.consortium.checkpoint_signer("health").public_key
    if _leader(world) == old:
        return
    arrive = world.wires.arrive

    def uncertified(place: bytes, peer: bytes, message: PeerMessage, number: int) -> None:
        if peer != old or not isinstance(message, Cosignatures | CertificateNews):
            arrive(place, peer, message, number)

    world.wires.arrive = uncertified  # type: ignore[method-assign]
    world.join("health", 1)
    enrolment = joining_enrolment(world.consortium.ledger_id, "health", 1)
    _decide(world, ReplaceNode(old, enrolment.signed(), votes=True))
    assert _wait(world, lambda: world.electorate.has_its_target), "voters never change"
    world.run(world.now_ms + 2_000)
    world.wires.arrive = arrive  # type: ignore[method-assign]
    assert _wait(world, lambda: world.spent.get(old) is Standing.RETIRED), "it never stops"
    check_nobody_is_framed(world)


def _left_alone(seed: int) -> None:
    """A voter runs on, cut off, until everyone whom it knows has been replaced (P37)."""
    world = _world(seed, nodes=3)
    first, second, away = world.consortium.node_ids
    others = [first, second]
    for old in (first, second):
        department = world.department_of[old]
        fresh = world.join(department, 1)
        others.append(fresh)
        _cut(world, others, (away,))
        enrolment = joining_enrolment(world.consortium.ledger_id, department, 1)
        _decide(world, ReplaceNode(old, enrolment.signed(), votes=True))
        assert _wait(world, lambda old=old: world.spent.get(old) is Standing.RETIRED), "no stop"
    _cut(world, world.nodes)
    lonely = world.processes[away].replica
    assert _wait(world, lambda: others[2] in lonely.members), "it finds nobody"
    world.crash(fresh)
    _there_is_a_leader(world, (others[2], away))


def divided_by_a_liar(seed: int) -> tuple[World, list[bytes]]:
    """Of five voters one runs twice, each twin with two of the honest ones; the world, and these:
    the first two on one side, the others on the other."""
    world = World(seed, Options(nodes=5), liars=1)
    lying = Liars(world)
    lying._share, lying.split = 0.0, True
    honest = [node for node in world.nodes if node not in world.liars]
    lying.sides = {node: at // 2 for at, node in enumerate(honest)}
    world.start_twins(lying)
    return world, honest


def _uneven_fork(seed: int) -> None:
    """Of five voters one runs twice; no two of its signatures are on trees of one size (A2)."""
    world, honest = divided_by_a_liar(seed)
    for side, records in enumerate((1, 5)):
        for number in range(records):
            assert _written(world, honest[2 * side], number), "a record is never accepted"
    world.run(world.now_ms + 4 * world.options.timeout_ms)
    check_verdict(world)
    assert world.counts["certified-fork"], "there is no fork"


SITUATIONS: dict[str, Callable[[int], None]] = {
    "unaware voter": _unaware_voter,
    "forged blocks": _forged_blocks,
    "leads again": _leads_again,
    "late upgrade": _late_upgrade,
    "uncertified leave": _uncertified_leave,
    "left alone": _left_alone,
    "uneven fork": _uneven_fork,
}
