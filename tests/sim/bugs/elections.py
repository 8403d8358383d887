"""Elections and terms (P1 to P14)."""

from sim.bugs.patching import bug

ELECTIONS = (
    bug(
        "an entry of an earlier term is committed by counting copies",
        "P1",
        (
            "consensus.replication:Replicator.maybe_commit",
            "if index <= self._log.commit or self._log.term_at(index) != self._term:",
            "if index <= self._log.commit:",
        ),
    ),
    bug(
        "a vote is forgotten by a restart",
        "P2",
        (
            "node.raft_log:RaftLog.write",
            "_ENCODER.encode(unwritten.hard_state)",
            "_ENCODER.encode(msgspec.structs.replace(unwritten.hard_state, vote=None))",
        ),
    ),
    bug(
        "a vote leaves before it is durable",
        "P2",
        (
            "consensus.core:Raft._answer_vote",
            "self._send_durably(sender, m.VoteReply(self._term, True))",
            "self._send(sender, m.VoteReply(self._term, True))",
        ),
    ),
    bug(
        "a vote is cleared by stepping down within the term",
        "P3",
        ("consensus.core:Raft._become_follower", "if term > self._term:", "if term >= self._term:"),
    ),
    bug(
        "a second candidate gets a vote in the same term",
        "P2",
        (
            "consensus.core:Raft._answer_vote",
            "(self._vote is None and self._leader is None)",
            "True",
        ),
    ),
    bug(
        "a grant of the pre-vote counts as a vote",
        "P4",
        (
            "consensus.core:Raft._count_pre_vote",
            "if self._role is not Role.PRE_CANDIDATE:",
            "if self._role is Role.CANDIDATE:\n"
            "            self._ballot.record(sender, granted=True)\n"
            "            self._maybe_lead()\n"
            "        if self._role is not Role.PRE_CANDIDATE:",
        ),
    ),
    bug(
        "whoever speaks from an older term is left in the dark",
        "P6",
        (
            "consensus.elections:stale_answer",
            "match message:",
            "return None\n    match message:",
        ),
        temper="half upgraded",
    ),
    bug(
        "a voter elects a candidate with an older log",
        "§5.4.1",
        (
            "consensus.log:Log.is_up_to_date",
            "return (last_term, last_index) >= (self.last_term, self.last)",
            "return True",
        ),
    ),
    bug(
        "a candidate leads before its own vote is durable",
        "P22",
        ("consensus.core:Raft._durable_vote", "return", "return True or"),
        (
            "consensus.core:Raft._stand",
            "self._send_durably(voter, request)",
            "self._send(voter, request)",
        ),
        (
            "consensus.core:Raft._stand",
            "self._ballot = Ballot()",
            "self._ballot = Ballot({self._node_id})",
        ),
    ),
    bug(
        "a vote that comes twice counts twice",
        "P5",
        (
            "consensus.core:Raft._count_vote",
            "self._ballot.record(sender, granted=reply.granted)",
            "twice = sender in self._ballot.granted\n"
            "        others = (v for v in self._other_voters() if v not in self._ballot.granted)\n"
            "        self._ballot.record(next(others) if twice else sender, granted=reply.granted)",
        ),
    ),
    bug(
        "a refusal of the pre-vote does not say of a later term",
        "P7",
        (
            "consensus.core:Raft._settle_term",
            "isinstance(message, m.PreVoteReply) and message.granted",
            "isinstance(message, m.PreVoteReply)",
        ),
        situation="late upgrade",
    ),
    bug(
        "granting a pre-vote puts off the granter's own election",
        "P8",
        (
            "consensus.core:Raft._answer_pre_vote",
            "self._send(sender, m.PreVoteReply(",
            "self._timer.restart(self._draw())\n        self._send(sender, m.PreVoteReply(",
        ),
    ),
    bug(
        "a node stands without asking first",
        "P9",
        ("consensus.core:Raft.campaign", "if not self._settings.pre_vote:", "if True:"),
    ),
    bug(
        "a leader that nobody answers leads on",
        "P10",
        (
            "consensus.leading:Leading.tick",
            "if self._settings.check_quorum and not is_quorum(",
            "if False and not is_quorum(",
        ),
    ),
    bug(
        "a leader of an older term goes on with its acknowledgements",
        "P11",
        (
            "consensus.core:Raft._become_follower",
            "self._leading = None",
            "self._leading = self._leading if leader is None else None",
        ),
        (
            "consensus.core:Raft._settle_term",
            "elif message.term < self._term:",
            "elif message.term < self._term and not isinstance(message, m.AppendReply):",
        ),
    ),
    bug(
        "whoever asks is heard although a leader lives",
        "P12",
        (
            "consensus.core:Raft._settle_term",
            "if asks and message.term > self._term and self._is_shielded(sender, message):",
            "if False:",
        ),
    ),
    bug(
        "a leader proposes while it hands over",
        "P13",
        (
            "consensus.leading:Leading.propose",
            "if self.transferee is not None:",
            "if False:",
        ),
    ),
    bug(
        "an ordinary candidate takes the way of one that was told to stand",
        "P14",
        (
            "consensus.core:Raft._stand",
            "m.VoteRequest(*asked) if signature is None else",
            "m.TransferVoteRequest(*asked, b'') if signature is None else",
        ),
        (
            "consensus.core:Raft._is_told",
            "and self._proposals.check_transfer(",
            "and (lambda **_: True)(",
        ),
    ),
)
