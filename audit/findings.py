"""What an auditor can find: stable codes, what each means and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """A code's meaning and what the auditor should do."""

    meaning: str
    remedy: str


_KEEP = "Keep the copy as evidence; compare it with another node's ledger."

FINDINGS: dict[str, Explanation] = {
    "genesis-invalid": Explanation(
        "The genesis file is not one that every founder signed.",
        "Compare its fingerprint with a founder by telephone.",
    ),
    "file-damaged": Explanation(
        "A file of the store is not what its own checksums say.",
        "The copy or the disk is damaged, or somebody changed it: copy again, then compare.",
    ),
    "store-unreadable": Explanation(
        "The store cannot be opened or read.", "Copy the directory again from a stopped node."
    ),
    "other-ledger": Explanation(
        "The store holds another ledger than this genesis file starts.",
        "Check which genesis file belongs to this node.",
    ),
    "malformed-leaf": Explanation("A leaf is neither a record nor a block header.", _KEEP),
    "bad-signature": Explanation("A record's signature is not its author's.", _KEEP),
    "attachment-mismatch": Explanation(
        "What is attached to a record is not what its signed header says.", _KEEP
    ),
    "broken-link": Explanation(
        "A block does not follow from the one before it: height, hash, time or tree.", _KEEP
    ),
    "incomplete-block": Explanation("The ledger ends within a block.", _KEEP),
    "record-refused": Explanation(
        "The ledger holds a record that the contracts refuse where it stands.", _KEEP
    ),
    "wrong-block": Explanation(
        "Executing a block's records gives another state or header than the ledger holds.", _KEEP
    ),
    "key-missing": Explanation("The store lacks something that follows from its blocks.", _KEEP),
    "key-differs": Explanation(
        "The store holds another value than follows from its blocks.", _KEEP
    ),
    "key-unexpected": Explanation(
        "The store holds something that does not follow from its blocks.", _KEEP
    ),
    "entry-invalid": Explanation(
        "A Raft entry is not what its leader signed, or not what its block was made of.", _KEEP
    ),
    "certificate-invalid": Explanation(
        "A certificate is not a majority's word on this ledger.", _KEEP
    ),
    "certificate-missing": Explanation(
        "No block is certified, so nobody vouches for this ledger.",
        "Ask another node for its newest certificate.",
    ),
    "voter-change-uncertified": Explanation(
        "A block changed the voters and has no certificate by the old and the new ones, so nothing "
        "after it counts.",
        "Ask another node for that block's certificate; if none has it, keep the copy as evidence.",
    ),
    "mark-invalid": Explanation("A node's own mark contradicts its blocks.", _KEEP),
    "ledger-shorter": Explanation(
        "The ledger ends before the checkpoint that was seen earlier.",
        "Ask the node for the rest; if it has none, it has lost or hidden blocks.",
    ),
    "ledger-forked": Explanation(
        "The ledger differs from the checkpoint that was seen earlier.",
        "Keep both: two certified checkpoints that contradict each other name the liars.",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong. place: where, as a person can look it up. detail: what exactly."""

    code: str
    place: str
    detail: str

    def __post_init__(self) -> None:
        assert self.code in FINDINGS, f"{self.code} is not in the table of findings"

    @property
    def explanation(self) -> Explanation:
        """What it means and what to do."""
        return FINDINGS[self.code]
