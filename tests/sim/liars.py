"""Nodes that lie: each runs twice with one key, and what it says may be altered on its way out.

Two processes of one node (its *twins*), each speaking with one side of the cluster, equivocate in
every way there is: two leaders of a term, two votes, two proposals, two signed checkpoints (as in
Bano et al., "Twins: BFT Systems Made Robust", 2020). Beside that, single messages of a liar are
altered, repeated or made up; whatever it signs, it signs with its own keys alone.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec

from consensus import Entry as RaftEntry
from consensus import messages as m
from ledger.blocks import block_hash, parse_block_header
from ledger.certificates import Certificate
from ledger.checkpoints import Checkpoint, Cosignature, cosignature_message
from ledger.codec import encode
from ledger.entries import Entry, parse_entry
from ledger.statements import proposal_statement
from ledger.tree import leaf_hash
from node.messages import CertificateNews, CertifiedBlocks, Cosignatures, ServedBlock
from sim.keys import NodeKeys
from sim.world import World

TWIN = b"/2"
REMEMBERED_MAX = 200

BLOCKS_TIMES = 5
"""How much more often a liar lies when it serves blocks, which are seldom asked for."""

LIES = (
    "lie-commit",
    "lie-acknowledgement",
    "lie-vote",
    "lie-equivocation",
    "lie-checkpoint",
    "lie-certificate",
    "lie-transfer",
    "lie-replay",
    "lie-silence",
    "twins-split",
)


class Liars:
    """What the liars of one world do. sides: which twin each honest node hears, else the first."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._said: list[Any] = []
        self._share = world.tape.choice((0.02, 0.0, 0.15))
        self._keys = {
            node: NodeKeys(world.department_of[node], real=False, seen=None)
            for node in world.nodes
            if node in world.liars
        }
        self.sides = dict.fromkeys(world.nodes, 0)
        self.split = False
        self._lies: tuple[tuple[str, Callable[[bytes, Any], Any]], ...] = (
            ("lie-silence", lambda _, message: None),
            ("lie-commit", self._commit),
            ("lie-acknowledgement", self._acknowledge),
            ("lie-vote", self._vote),
            ("lie-equivocation", self._equivocate),
            ("lie-checkpoint", self._sign_another),
            ("lie-certificate", self._certify),
            ("lie-transfer", self._transfer),
            ("lie-replay", self._replay),
        )

    def choose_sides(self) -> None:
        """The cluster splits anew between the twins, or is one again."""
        tape = self._world.tape
        self.split = bool(tape.below(4))
        if self.split:
            self._world.count("twins-split")
        for node in self._world.nodes:
            self.sides[node] = tape.below(2) if self.split else 0
        for place in list(self._world.processes):
            for other in list(self._world.processes):
                if place < other and place[:32] != other[:32] and self.hears(place, other):
                    self._world.wires.connect(place, other)

    def hears(self, place: bytes, other: bytes) -> bool:
        """Whether what one place sends comes to another."""
        return self._side(place) == self._side(other) or not self.split

    def _side(self, place: bytes) -> int:
        if place[:32] in self._world.liars:
            return 1 if place.endswith(TWIN) else 0
        return self.sides.get(place, 0)

    def places_of(self, peer: bytes) -> tuple[bytes, ...]:
        """Where a node runs."""
        return (peer, peer + TWIN) if peer in self._world.liars else (peer,)

    def speak(self, place: bytes, message: Any) -> Any:
        """What a liar sends instead of a message; None: nothing."""
        tape = self._world.tape
        if len(self._said) < REMEMBERED_MAX:
            self._said.append(message)
        elif tape.below(4) == 0:
            self._said[tape.below(REMEMBERED_MAX)] = message
        if not tape.chance(self._share * (BLOCKS_TIMES if type(message) is CertifiedBlocks else 1)):
            return message
        if type(message) is CertifiedBlocks:
            name, lie = "lie-blocks", self._serve
        else:
            name, lie = tape.choice(self._lies)
        said = lie(place[:32], message)
        if said is not message:
            self._world.count(name)
        return said

    # Lies; each returns the message itself where it has nothing to say about it.

    def _commit(self, _: bytes, message: Any) -> Any:
        """A commit index that is not committed (A12)."""
        if not isinstance(message, m.Append | m.Heartbeat):
            return message
        more = 1 + self._world.tape.below(3)
        return msgspec.structs.replace(message, commit=message.commit + more)

    def _acknowledge(self, _: bytes, message: Any) -> Any:
        """Entries that are not durable, or not there (P16, P22)."""
        if not isinstance(message, m.AppendReply | m.AppendRefused | m.HeartbeatReply):
            return message
        leader = self._world.tape.choice(self._world.nodes)
        process = self._world.processes.get(leader)
        if process is None or not process.replica.raft.last_index:
            return message
        raft = process.replica.raft
        return m.AppendReply(message.term, raft.last_index, raft.entry(raft.last_index).hash)

    def _vote(self, _: bytes, message: Any) -> Any:
        """A vote for whoever asks."""
        if not isinstance(message, m.VoteReply | m.PreVoteReply):
            return message
        return m.VoteReply(message.term, True)

    def _equivocate(self, node: bytes, message: Any) -> Any:
        """Another entry of its own in the place of one (A1)."""
        if not isinstance(message, m.Append) or not message.entries:
            return message
        entry = message.entries[0]
        process = self._world.processes.get(node)
        if entry.proposer != node or process is None:
            return message
        raft = process.replica.raft
        if not raft.compacted_index < entry.index - 1 <= raft.last_index:
            return message
        content = parse_entry(entry.data)
        data = encode(Entry(content.time_ms + 1, None, ()))
        statement = proposal_statement(
            self._world.consortium.ledger_id,
            term=entry.term,
            index=entry.index,
            previous_hash=raft.entry(entry.index - 1).hash,
            data=data,
        )
        signature = self._keys[node].sign_proposal(statement)
        other = RaftEntry(entry.term, entry.index, data, node, signature)
        return msgspec.structs.replace(message, entries=(other,))

    def _sign_another(self, node: bytes, message: Any) -> Any:
        """A signature on another root for a height that it has signed (A2)."""
        if not isinstance(message, Cosignatures):
            return message
        signed = msgspec.structs.replace(message.checkpoints[-1], root=b"\x07" * 32)
        text = signed.checkpoint(self._world.consortium.ledger_id)
        signature = self._keys[node].sign_checkpoint(cosignature_message(text, signed.timestamp_s))
        return Cosignatures((msgspec.structs.replace(signed, signature=signature),))

    def _certify(self, node: bytes, message: Any) -> Any:
        """A certificate that nobody but itself has signed (A5)."""
        if not isinstance(message, Cosignatures):
            return message
        signed = message.checkpoints[-1]
        text = signed.checkpoint(self._world.consortium.ledger_id)
        voters = [each for each in self._world.voters if each != node]
        forged = [Cosignature(each, signed.timestamp_s, bytes(64)) for each in voters]
        return CertificateNews(Certificate.of(text, forged).to_bytes())

    def _transfer(self, _: bytes, message: Any) -> Any:
        """A request for votes as if its leader had told it to stand (P14)."""
        if not isinstance(message, m.PreVoteRequest | m.VoteRequest):
            return message
        return m.TransferVoteRequest(
            message.term, message.last_index, message.last_term, message.time_ms, b"\x01" * 64
        )

    def _serve(self, node: bytes, message: Any) -> Any:
        """One block more than there is, under a certificate that only it has signed (P41)."""
        process = self._world.processes.get(node)
        if not isinstance(message, CertifiedBlocks) or not message.blocks or process is None:
            return message
        ledger_id = self._world.consortium.ledger_id
        tip, server = process.replica.chain.tip, process.replica._block_server
        blocks = tuple(server._blocks(message.height + 1, tip.height))
        if not blocks or block_hash(blocks[-1].header) != tip.block_hash:
            return message
        last = blocks[-1].header
        header = msgspec.structs.replace(
            parse_block_header(last),
            height=tip.height + 1,
            previous_hash=tip.block_hash,
            entry_hash=sha256(last).digest(),
            tree_size=tip.tree_size,
            tree_root=tip.tree().root(),
            record_count=0,
        ).to_bytes()
        tree = tip.tree().extend((leaf_hash(header),))
        forged = Checkpoint(ledger_id, tip.height + 1, tree.size, tree.root())
        signers = [Cosignature(each, 1_800_000_000, bytes(64)) for each in self._world.voters]
        return CertifiedBlocks(
            message.height,
            (*blocks, ServedBlock((), header)),
            Certificate.of(forged, signers).to_bytes(),
            (),
            (),
        )

    def _replay(self, _: bytes, message: Any) -> Any:
        """Something that was said before, to whomever."""
        return self._world.tape.choice(self._said)
