"""Clients: they write records, try again elsewhere, and read."""

from functools import cache

from builders import START_MS

from contracts.catalog import DatasetOffer, Description, Field
from ledger.codec import encode
from ledger.records import parse_record
from node import ports
from sim.keyring import record_id_of
from sim.keys import consortium, record_signer
from sim.world import World

EXPIRING = 13
"""Every how many-th record may only be accepted for a short time."""


@cache
def made_record(
    nodes: int, voters: int, department: str, number: int, *, key: int = 0, real: bool
) -> tuple[bytes, bytes]:
    """A record of the department, another one for each number; its id and its bytes.

    key: the number of the key that signs it (`sim.keyring`).
    """
    description = Description(
        title=f"Table {number}",
        description="",
        fields=(Field("id_number", "text", "the number"), Field("name", "text", "the name")),
        subject_field="id_number",
    )
    record = consortium(nodes, voters).record(
        department,
        "dataset.publish",
        DatasetOffer(f"table-{number}", "personal", "conditional", True),
        document=encode(description),
        created_ms=START_MS + 5_000,
        valid_ms=6_500 if number % EXPIRING == EXPIRING - 1 else 3_600_000,
        nonce=number.to_bytes(16, "big"),
        by=record_signer(department, number=key, real=real),
    )
    raw = record.to_bytes()
    return parse_record(raw).record_id, raw


def dataset_record(world: World, node: bytes, number: int) -> bytes:
    """A valid record of the node's department, another one for each number."""
    options = world.options
    return made_record(
        options.nodes,
        options.voters,
        world.department_of[node],
        number,
        real=options.real_keys,
    )[1]


class Clients:
    """Everyone who uses the cluster. sent: every record that any node may have taken, by id."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._number = 0
        self._token = 0
        self.sent: dict[bytes, bytes] = {}

    def act(self) -> None:
        """One operation, or a burst of them."""
        tape = self._world.tape
        node = tape.choice(self._world.nodes)
        if tape.chance(self._world.options.read_share):
            self.read(node)
            return
        for _ in range(1 + tape.below(self._world.options.burst)):
            if self.sent and tape.chance(0.2):
                self.retry(node)
            else:
                self.write(node)

    def write(self, node: bytes) -> bytes:
        """A new record of the node's department; its id."""
        world = self._world
        department = world.department_of[node]
        key = world.keyring.signs_with(department)
        record_id, raw = made_record(
            world.options.nodes,
            world.options.voters,
            department,
            self._number,
            key=key,
            real=world.options.real_keys,
        )
        self._number += 1
        if key:
            world.history.may_be_tried_again.add(record_id)
        self.bring(node, record_id, raw)
        return record_id

    def bring(self, node: bytes, record_id: bytes, raw: bytes) -> None:
        """A ready record, to a node that may take it or not."""
        if isinstance(self._world.submit(node, raw, record_id), bytes):
            self.sent[record_id] = raw

    def change_keys(self) -> None:
        """A department adds or revokes one of its record keys."""
        world = self._world
        raw = world.keyring.change(world.tape.choice(world.consortium.departments))
        if raw is not None:
            record_id = record_id_of(raw)
            world.history.may_be_tried_again.add(record_id)
            world.count("key-change")
            self.bring(world.tape.choice(world.nodes), record_id, raw)

    def retry(self, node: bytes) -> None:
        """A record that was sent before, to whichever node (P52)."""
        ids = list(self.sent)
        record_id = ids[len(ids) - 1 - self._world.tape.below(min(8, len(ids)))]
        self._world.count("retry", step=False)
        self._world.submit(node, self.sent[record_id], record_id)

    def read(self, node: bytes) -> None:
        """A linearizable read."""
        self._token += 1
        self._world.read(node, self._token)

    def resend_unanswered(self, node: bytes) -> None:
        """What clients do when all is calm: send again what they heard nothing of, while the node
        has room for it."""
        history = self._world.history
        for record_id, raw in self.sent.items():
            if record_id not in history.acknowledged and record_id not in history.refused:
                taken = self._world.submit(node, raw, record_id)
                if isinstance(taken, ports.Rejected) and taken.retry_after_ms is not None:
                    return
