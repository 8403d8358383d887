"""Replication and log (P15 to P27)."""

from sim.bugs.patching import bug

NO_HASH_CHECK = (
    "consensus.leading:Leading._acknowledged",
    "if point.hash != reply.hash:",
    "if False:",
)

REPLICATION = (
    bug(
        "an append that comes late removes what came after it",
        "P15",
        (
            "consensus.following:receive_append",
            "    if append.entries or log.term_at(index) == append.term:\n",
            "    if append.entries and log.commit <= index < log.last:\n"
            "        log.truncate(index + 1)\n"
            "    if append.entries or log.term_at(index) == append.term:\n",
        ),
    ),
    bug(
        "an acknowledgement says more than the message proved",
        "P16",
        (
            "consensus.following:receive_append",
            "return Received(Answer.MATCHED, RaftIndex(index))",
            "return Received(Answer.MATCHED, log.last)",
        ),
        NO_HASH_CHECK,
        temper="old answers",
    ),
    bug(
        "a refusal lowers what is known to be held",
        "P17",
        (
            "consensus.progress:Progress.refused",
            "self._enter(Flow.PROBE)",
            "self.match = min(self.match, RaftIndex(agree_index))\n        self._enter(Flow.PROBE)",
        ),
        (
            "consensus.progress:Progress.refused",
            "if previous_index <= self.match:",
            "if previous_index < 0:",
        ),
    ),
    bug(
        "a heartbeat commits what the follower may not hold",
        "P19",
        (
            "consensus.replication:Replicator.heartbeat_commit",
            "return min(self._log.commit, self.peers[peer].match)",
            "return self._log.commit",
        ),
        (
            "consensus.following:Following.receive_heartbeat",
            "if self._log.last_term == heartbeat.term:",
            "if True:",
        ),
    ),
    bug(
        "an append is believed without its previous entry",
        "§5.3",
        (
            "consensus.following:_judge",
            "verdict = proposals.check(entry, previous_hash)",
            "verdict = Verdict.ACCEPT",
        ),
        (
            "consensus.following:receive_append",
            "if previous_term != append.previous_term:",
            "if previous_term is None:",
        ),
        situation="leads again",
    ),
    bug(
        "the completion of an overtaken write marks its successor durable",
        "P21",
        (
            "consensus.log:Log.truncate",
            "if self._flying_last is not None:",
            "if False:",
        ),
        (
            "consensus.log:Log.written",
            "self.stable = max(self.stable, self._flying_last)",
            "self.stable = min(self.last, max(self.stable, self._flying_last))",
        ),
        temper="slow disks",
    ),
    bug(
        "a leader counts its own copy before it is durable",
        "P22",
        (
            "consensus.replication:Replicator.maybe_commit",
            "match[self._own_id] = self._log.stable",
            "match[self._own_id] = self._log.last",
        ),
    ),
    bug(
        "a follower acknowledges before its copy is durable",
        "P45",
        (
            "consensus.following:Following._acknowledge",
            "self._send_durably(leader,",
            "self._send(leader,",
        ),
    ),
    bug(
        "a peer that was probed once is never probed again",
        "P23",
        ("consensus.progress:Progress.heard", "self.probed = False", "pass"),
        (
            "consensus.leading:Leading.answered",
            "self._feed(sender, even_empty=progress.flow is Flow.PROBE)",
            "self._feed(sender)",
        ),
        temper="many elections",
    ),
    bug(
        "a leader sends ahead of acknowledgements without limit",
        "P24",
        (
            "consensus.progress:Progress.may_send",
            "return len(self.in_flight) < messages_max and self.in_flight_bytes < bytes_max",
            "return True",
        ),
    ),
    bug(
        "a new leader has no room for the first entry of its term",
        "P25",
        (
            "consensus.leading:Leading.__init__",
            "self.uncommitted_bytes = 0",
            "self.uncommitted_bytes = log.size_of(log.commit + 1, log.last)",
        ),
    ),
    bug(
        "an acknowledgement of an earlier term counts",
        "P18",
        (
            "consensus.core:Raft._settle_term",
            "elif message.term < self._term:",
            "elif message.term < self._term and not isinstance(message, m.AppendReply):",
        ),
        situation="leads again",
    ),
    bug(
        "a leader goes back one entry at a time where logs differ",
        "P27",
        (
            "consensus.leading:Leading.answered",
            "agree_index=agree.index",
            "agree_index=message.previous_index - 1",
        ),
        temper="long divergence",
    ),
    bug(
        "an append replaces what is committed",
        "P20",
        ("consensus.following:_extend", "if first <= log.commit:", "if False:"),
        ("consensus.log:Log.truncate", "assert self.commit < first <=", "assert first <="),
        mode="byzantine",
        temper="many elections",
    ),
    bug(
        "a leader accepts without limit what nobody commits",
        "P25",
        ("consensus.leading:Leading.propose", "if self.uncommitted_bytes and (", "if False and ("),
        (
            "node.leading:Leading.propose",
            "if raft.last_index - raft.commit_index >= self._in_flight_max:",
            "if False:",
        ),
        (
            "node.submissions:Queue.add",
            "len(self._queued) + len(self._proposed) >= self._limits.records_max",
            "False",
        ),
    ),
    bug(
        "what comes twice is a conflict",
        "P26",
        (
            "consensus.following:receive_append",
            "if not _holds(log, entry):",
            "if True:",
        ),
    ),
)
