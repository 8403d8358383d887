"""What can go wrong with a node's surroundings; each error says what to do now."""


class NodeError(Exception):
    """Base. The text says what is wrong; `remedy` what a person should do."""

    remedy = "See the node's log."

    def __init__(self, text: str, *, remedy: str | None = None) -> None:
        super().__init__(text)
        if remedy is not None:
            self.remedy = remedy


class StoreCorrupt(NodeError):
    """The store does not hold what was written. The node stops; nothing is repaired silently."""

    remedy = (
        "Keep the directory as evidence. This node cannot go on under its key: "
        "enrol a new node for the department."
    )


class StoreBehind(NodeError):
    """The store is older than what this node has already promised to others."""

    remedy = (
        "Was a backup restored, or a disk lost? This node must not vote or sign again under its "
        "key: enrol a new node for the department."
    )


class LedgerDiverged(NodeError):
    """A certified block does not come out here as its certificate says; nothing of it is kept."""

    remedy = (
        "Does this node run an older version than the others? Install theirs and start it again. "
        "If it does not, keep the directory as evidence and compare the ledgers."
    )


class StoreInUse(NodeError):
    """Another process has the data directory open."""

    remedy = "Stop the other process, or give this node a data directory of its own."


class Unavailable(NodeError):
    """Something outside is missing or broken: a disk, a port, a file."""


class ConfigInvalid(NodeError):
    """The configuration cannot be used."""

    remedy = "Correct the file named here; `concordat-node check` looks at all of it."


class IdentityInvalid(NodeError):
    """Keys are missing, damaged, readable by others, or another node's."""

    remedy = "Make keys with `concordat-node init`; key files must have mode 0600."
