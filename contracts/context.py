"""What a contract knows while it judges one record, and nothing else."""

import msgspec

from contracts.state import Overlay, setting_key
from ledger.blocks import VoterSets


class Context(msgspec.Struct, frozen=True, gc=False):
    """One record's surroundings.

    ledger_id: 32 bytes. voters: in force after the block's configuration step.
    state: as just before the record; what the contract writes goes there.
    department, record_id: the author, and the record's id (32 bytes).
    time_ms, height: of the block. document: the attached document, None if there is none.
    items: how many items are attached; 0 if none.
    """

    ledger_id: bytes
    voters: VoterSets
    state: Overlay
    department: str
    actor: str
    record_id: bytes
    time_ms: int
    height: int
    document: bytes | None
    items: int

    def setting(self, name: str) -> int:
        """A consortium setting's value; genesis sets each of them."""
        value = self.state.number(setting_key(name))
        assert value is not None, f"genesis sets {name}"
        return value
