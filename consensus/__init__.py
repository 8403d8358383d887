"""Agreement on one log: Raft (Ongaro and Ousterhout 2014), without input or output.

A `Raft` is one node's part. It reads no clock and no disk, opens no socket and draws no random
number: its driver does, and calls it. A driver in short:

    raft = Raft(node_id=…, settings=Settings(), storage=…, configuration=…, applied=…,
                proposals=…, random_ticks=…)

    every tick              raft.tick()
    a message came          raft.step(sender, message)
    something to agree on   raft.propose(data)
    a read to confirm       raft.read_index(token)
    a new connection        raft.reconnected(peer)

    after each of these, until nothing comes any more:
        ready = raft.ready()
            send ready.messages           (they may be lost, doubled, late or out of order)
            execute ready.committed       in order; then raft.applied_to(index), and
                                          raft.adopt(configuration) if an entry changed it
            answer ready.reads            once their index is executed
            keep ready.evidence           for ever
        unwritten = raft.take_unwritten()
            write it, all or nothing, synced: hard state, entries, and the removal of what is
            stored above its last index; then raft.persisted(). One write at a time.

The driver's duties: a write that failed ends the node (P42). Whoever leads newly (`soft_state`)
proposes an empty entry of its term at once. What was executed is never executed again: the driver
keeps `applied` in the same write as its effects.

What must be durable before which message leaves (the core holds the message back until then):

| message                            | needs durable                                     |
|------------------------------------|---------------------------------------------------|
| Append, Heartbeat of a leader      | its term and vote (it led only after they were)   |
| VoteRequest                        | the candidate's term and its vote for itself      |
| VoteReply, granted                 | the voter's term and vote                         |
| AppendReply                        | term, vote and every entry up to its index        |
| PreVoteRequest, refusals, reads    | nothing                                           |
| counting one's own vote or copy    | the vote; the entry (P22)                         |

Modules: `core` roles and terms · `elections` · `replication` · `reads` · `log` · `outbox` ·
`progress` · `quorum` · `messages` · `ready` what comes out · `settings` · `types` · `errors`.
"""

from consensus.core import Raft
from consensus.log import LogStorage
from consensus.ready import ProposalRefused, Proposals, Ready, Unwritten, Verdict
from consensus.settings import Settings
from consensus.types import Configuration, Entry, EntryPoint, HardState, Logged, NodeId, Role

__all__ = [
    "Configuration",
    "Entry",
    "EntryPoint",
    "HardState",
    "LogStorage",
    "Logged",
    "NodeId",
    "ProposalRefused",
    "Proposals",
    "Raft",
    "Ready",
    "Role",
    "Settings",
    "Unwritten",
    "Verdict",
]
