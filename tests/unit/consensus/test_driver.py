"""A whole driver in 40 lines: what a newcomer has to write to run Raft over a network of their own.

Here the network is a list and the disk is memory; elsewhere `send` is a socket, `write` is an fsync
and `tick` is a timer. Everything else stays as it is.
"""

from consensus import Configuration, Raft, Role, Settings, messages
from consensus.memory import MemoryStorage, UnsignedProposals

# The driver begins.


class Driver:
    def __init__(self, name: bytes, everyone: tuple[bytes, ...], draw: int) -> None:
        self.storage = MemoryStorage()
        self.state: list[bytes] = []
        self.raft = Raft(
            node_id=name,
            settings=Settings(),
            storage=self.storage,
            configuration=Configuration(everyone),
            applied=0,
            proposals=UnsignedProposals(),
            random_ticks=lambda n: min(draw, n - 1),
        )

    def turn(self) -> list[tuple[bytes, messages.AnyMessage]]:
        """Everything that is due now; the messages to send."""
        unwritten = self.raft.take_unwritten()
        if unwritten is not None:
            self.storage.write(unwritten)
            self.raft.persisted()
        ready = self.raft.ready()
        for logged in ready.committed:
            self.state.append(logged.entry.data)
            self.raft.applied_to(logged.entry.index)
        if ready.soft_state is not None and ready.soft_state.role is Role.LEADER:
            self.raft.propose(b"")
        return [(outgoing.to, outgoing.message) for outgoing in ready.messages]


def run(drivers: dict[bytes, Driver], ticks: int) -> None:
    for _ in range(ticks):
        for driver in drivers.values():
            driver.raft.tick()
        while sent := [(name, *each) for name in drivers for each in drivers[name].turn()]:
            for sender, to, message in sent:
                drivers[to].raft.step(sender, message)


# The driver ends.


def test_forty_lines_drive_three_nodes_to_agreement() -> None:
    names = (b"a", b"b", b"c")
    drivers = {name: Driver(name, names, draw) for draw, name in enumerate(names)}
    run(drivers, 20)
    (leader,) = [each for each in drivers.values() if each.raft.role is Role.LEADER]
    for number in range(5):
        leader.raft.propose(b"%d" % number)
        run(drivers, 1)
    assert [each.state for each in drivers.values()] == [[b"", b"0", b"1", b"2", b"3", b"4"]] * 3


def test_the_driver_has_forty_lines_at_most() -> None:
    with open(__file__, encoding="utf-8") as file:
        text = file.read()
    driver = text.partition("# The driver begins.\n")[2].partition("# The driver ends.\n")[0]
    assert 30 <= sum(bool(line.strip()) for line in driver.splitlines()) <= 40
