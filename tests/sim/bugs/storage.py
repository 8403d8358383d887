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
        temper="power fails",
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
        temper="power fails",
    ),
    bug(
        "the damaged end of a store is cut off in silence",
        "P43",
        (
            "sim.disk:Disk.recover",
            "self.torn = None",
            "self.torn = None\n"
            "        for key in sorted(self.rotten):\n"
            "            if key != store_keys.TIP_MARK:\n"
            "                self.values.pop(key, None)\n"
            "                self.keys[key[0]].pop(key, None)\n"
            "        self.rotten = set()",
        ),
        ("node.standing:_is_forgotten", "if raft.term <", "return False\n    if raft.term <"),
        temper="failing disks",
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
        temper="failing disks",
    ),
    bug(
        "an entry that is read from another place is believed",
        "P46",
        (
            "consensus.log:Log.get",
            "if logged is None or logged.entry.index != index:",
            "if logged is None:",
        ),
        temper="failing disks",
    ),
    bug(
        "a leader leads on while its disk stalls",
        "P47",
        ("sim.world:disk_stalls", "return process.writing is not None and", "return False and"),
        temper="slow disks",
    ),
    bug(
        "what was caught up with is installed by a later write than its blocks",
        "P40",
        (
            "node.execution:Execution.execute",
            "        self._install()",
            "        if not worked and not self._buffer.in_flight:\n            self._install()",
        ),
        temper="left behind",
    ),
    bug(
        "an offer of a state that is lost is never made again",
        "P37",
        (
            "consensus.leading:Leading.tick",
            "if progress.flow is Flow.SNAPSHOT:",
            "if False:",
        ),
        (
            "consensus.leading:Leading.reconnected",
            "if self.peers[peer].flow is Flow.SNAPSHOT:",
            "if self.peers[peer].flow is Flow.SNAPSHOT:\n            return\n        if False:",
        ),
        temper="left behind",
    ),
    bug(
        "a question for blocks that is lost is never asked again",
        "P37",
        (
            "node.catching_up:CatchingUp.tick",
            "if self._asked is not None and self._since_asked >= ASK_AGAIN_TICKS:",
            "if False:",
        ),
        temper="left behind",
    ),
    bug(
        "an old offer of a state moves the commit index back",
        "P38",
        (
            "consensus.following:Following.receive_offer",
            "self._acknowledge(sender, offer.term, self._log.commit)",
            "self._acknowledge(sender, offer.term, self._log.commit)\n"
            "            self._log.commit = RaftIndex(offer.index)",
        ),
        temper="left behind",
    ),
    bug(
        "term and vote come with the installed state",
        "P39",
        (
            "consensus.core:Raft.install",
            "self._applied = RaftIndex(point.index)",
            "self._applied = RaftIndex(point.index)\n"
            "        self._term, self._vote = Term(point.term), None",
        ),
        temper="left behind",
    ),
    bug(
        "a served certificate is believed without its signatures",
        "P41",
        (
            "node.catching_up:CatchingUp._check_signatures",
            "if not self._check(",
            "if False and not self._check(",
        ),
        situation="forged blocks",
    ),
)
