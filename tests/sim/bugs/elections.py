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
            "_ENCODER.encode(replace(unwritten.hard_state, vote=None))",
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
)
