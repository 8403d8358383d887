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
    bug(
        "a failed write is believed to have landed",
        "P42",
        (
            "sim.world:World._write_failed",
            "self.crash(place)\n        self.restart_later(place)",
            "self.give(place, process.replica.persisted, batch.number)",
        ),
    ),
    bug(
        "a torn write counts as far as it got",
        "P43",
        (
            "sim.disk:Disk.recover",
            "self.torn = None",
            "torn, self.torn = self.torn, None\n"
            "        if torn is not None:\n"
            "            puts = dict(list(torn.puts.items())[: len(torn.puts) // 2 + 1])\n"
            "            self._apply(replace(torn, puts=puts, deletes=()))",
        ),
    ),
    bug(
        "the damaged end of a store is cut off in silence",
        "P43",
        (
            "sim.disk:Disk.recover",
            "self.torn = None",
            "self.torn = None\n"
            "        self.misdirected = {}\n"
            "        for key in self.rotten:\n"
            "            self.values.pop(key, None)\n"
            "            self.keys[key[0]].pop(key, None)\n"
            "        self.rotten = set()",
        ),
    ),
    bug(
        "the mark beside the keys is lost with its directory entry",
        "P44",
        (
            "sim.disk:Disk.go_back",
            "self.lost = self.copy()",
            "self.lost = self.copy()\n        self.watermark = self.watermark_before = NOTHING",
        ),
        (
            "node.replica:Replica._standing_at_start",
            "return Standing.ASKING",
            "return Standing.GOOD",
        ),
    ),
    bug(
        "an entry that is read from another place is believed",
        "P46",
        (
            "consensus.log:Log.get",
            "if logged is None or logged.entry.index != index:",
            "if logged is None:",
        ),
    ),
    bug(
        "a leader leads on while its disk stalls",
        "P47",
        ("sim.world:disk_stalls", "return process.writing is not None and", "return False and"),
    ),
)
