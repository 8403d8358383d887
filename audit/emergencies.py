"""Every emergency grant of a ledger, who started it, what was read, and what its review found.

The state is replayed from the leaves, so none can be left out. The ledger is taken as it is;
`audit.verify` proves it first. Pure.
"""

from dataclasses import dataclass

from audit.forks import Readable, leaves
from audit.reading import with_attached
from audit.replay import Replay
from contracts.grants import Grant, parse_grant
from ledger import store_keys
from ledger.blocks import BlockHeader, parse_any_leaf
from ledger.genesis import GenesisFile
from ledger.records import Record, parse_leaf
from ledger.types import LeafIndex

OUTCOMES: dict[str, str] = {
    "declared": "Nobody has confirmed it; nothing was read.",
    "awaiting-review": "It was confirmed, and its review is not due yet.",
    "review-missing": "Its review is overdue: it lets nothing through.",
    "justified": "Its review found it justified.",
    "unjustified": "Its review found it unjustified; it was revoked.",
}
"""What may have become of an emergency."""

ALARMING = ("review-missing", "unjustified")
"""Outcomes that somebody has to look into."""


@dataclass(frozen=True, slots=True)
class Emergencies:
    """As of a ledger's last block. time_ms: of that block. grants: in the order of the ledger."""

    height: int
    time_ms: int
    grants: tuple[Grant, ...]

    def outcome(self, value: Grant) -> str:
        """What became of one: a key of `OUTCOMES`."""
        emergency = value.emergency
        assert emergency is not None, "the list holds emergencies"
        if emergency.review is not None:
            return emergency.review.verdict
        if emergency.confirmed is None:
            return "declared"
        late = self.time_ms >= emergency.review_due_ms
        return "review-missing" if late else "awaiting-review"


def emergencies(source: Readable, genesis: GenesisFile) -> Emergencies:
    """Every emergency of a ledger. Raises Malformed or BadSignature where it is none."""
    replay = Replay(genesis, derive=False)
    records: list[Record] = []
    for index, leaf in enumerate(leaves(source)):
        parsed = parse_any_leaf(leaf)
        if isinstance(parsed, BlockHeader):
            replay.execute(parsed, records, [True] * len(records))
            records = []
            continue
        record = parse_leaf(leaf)
        attached = source.get(store_keys.attached_key(LeafIndex(index)))
        records.append(record if attached is None else with_attached(record, attached))
    found = [parse_grant(value) for key, value in replay.state.items() if key[:6] == b"grant/"]
    started = [each for each in found if each.emergency is not None]
    started.sort(key=lambda each: (each.requested.height, each.grant_id))
    return Emergencies(replay.tip.height, replay.tip.time_ms, tuple(started))
