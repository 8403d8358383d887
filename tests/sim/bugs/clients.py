"""Reads, records and their acknowledgement (P48 to P53), and clocks."""

from sim.bugs.patching import bug

CLIENTS = (
    bug(
        "a new leader serves reads before it has committed in its term",
        "P48",
        (
            "consensus.leading:Leading.begin_reads",
            "if self._committed_own and",
            "if",
        ),
        temper="stale leaders",
    ),
    bug(
        "a read is confirmed by answers to an older round",
        "P49",
        (
            "consensus.reads:Confirmations.answered",
            "number >= self._round.number",
            "number >= 0",
        ),
        temper="stale leaders",
    ),
    bug(
        "a leader confirms reads by itself",
        "P50",
        (
            "consensus.reads:Confirmations.finish",
            "not is_quorum(configuration, self._round.answered)",
            "False",
        ),
        temper="stale leaders",
    ),
    bug(
        "a read runs before what it must see is executed",
        "P51",
        ("node.barriers:Barriers.release", "if index <= height", "if True"),
    ),
    bug(
        "a record is accepted each time it comes",
        "P52",
        (
            "contracts.machine:Execution._envelope",
            "if nonce in self._nonces or self._nonce_used(*nonce):",
            "if False:",
        ),
        (
            "node.intake:Intake._enqueue",
            "if self._chain.place_of(found.record.record_id) is None:",
            "if True:",
        ),
        (
            "contracts.machine:Execution.judge",
            "        if refusal is not None:\n            self._state.drop()",
            "        if refusal is not None and refusal.code == 'dataset-exists':\n"
            "            refusal = None\n"
            "        if refusal is not None:\n            self._state.drop()",
        ),
    ),
    bug(
        "a client hears of success before it is durable",
        "P45",
        (
            "node.replica:Replica._settle",
            "self._out.later(",
            "self._out.now(",
        ),
    ),
    bug(
        "a lost forward is never sent again",
        "P52",
        ("node.intake:Intake.tick", "if overdue:", "if False:"),
        ("node.intake:Intake.leader_changed", "if self._raft.leader is not None:", "if False:"),
    ),
    bug(
        "a block's time follows a fast clock without question",
        "clock",
        ("node.raft_log:NodeProposals.is_early", "return", "return False and"),
        temper="jumping clocks",
    ),
    bug(
        "a record whose proposal was lost is called refused",
        "P53",
        (
            "node.intake:Intake.leader_changed",
            "if self._raft.leader is not None:",
            "for lost in list(self._waiting._records):\n"
            "            self._settle_waiting(lost, ports.Rejected('lost', 'the leader fell'))\n"
            "        if self._raft.leader is not None:",
        ),
    ),
    bug(
        "a node takes what clients bring without limit",
        "limit",
        (
            "node.intake:Intake.submit",
            ">= self._limits.waiting.records_max",
            ">= 1 << 40",
        ),
        (
            "node.submissions:Waiting.add",
            "len(self._records) >= self._limits.records_max",
            "False",
        ),
        temper="long divergence",
    ),
    bug(
        "a leader queues without limit what nodes forward",
        "limit",
        ("node.intake:Intake.receive", "self._limits.queue.records_max -", "(1 << 40) -"),
        (
            "node.submissions:Queue.add",
            "len(self._queued) + len(self._proposed) >= self._limits.records_max",
            "False",
        ),
        temper="long divergence",
    ),
    bug(
        "confirmed reads wait for the disk without limit",
        "limit",
        ("node.barriers:Barriers.confirmed", " or len(self._waiting) >= self._reads_max", ""),
        temper="stale leaders",
    ),
    bug(
        "a node asks for reads without limit",
        "limit",
        (
            "consensus.reads:Reads.ask",
            "leader is None or len(self._asked) >= self._settings.reads_max",
            "leader is None",
        ),
        temper="many reads",
    ),
)
