"""Disks and restarts (P39 to P47)."""

from sim.bugs.patching import bug

STORAGE = (
    bug(
        "what is being written survives its own truncation on disk",
        "P40",
        (
            "node.raft_log:RaftLog.write",
            "range(unwritten.last_index + 1, self._last + 1)",
            "range(0)",
        ),
    ),
    bug(
        "the hard state is not in the batch of its entries",
        "P39",
        ("node.raft_log:RaftLog.write", "unwritten.hard_state is not None", "False"),
    ),
)
