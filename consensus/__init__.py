"""Agreement on one log: Raft (Ongaro and Ousterhout 2014), without input or output.

A `Raft` is one node's part. It reads no clock and no disk, opens no socket and draws no random
number: its driver does, and calls it. A driver in short (tests/unit/consensus/test_driver.py is a
whole one in 40 lines):

    raft = Raft(node_id=…, settings=Settings(), storage=…, configuration=…, applied=…,
                proposals=…, random_ticks=…)

    every tick              raft.tick()
    a message came          raft.step(sender, message)
    something to agree on   raft.propose(data)
    a read to confirm       raft.read_index(token)
    a new connection        raft.reconnected(peer), raft.peer_version(peer, version)
    a connection is gone    raft.unreachable(peer); raft.forget_leader(), if the leader is gone

    after each of these, until nothing comes any more:
        ready = raft.ready()
            send ready.messages           (they may be lost, doubled, late or out of order)
            execute ready.committed       in order; after each raft.applied_to(index), and then
                                          raft.adopt(configuration) if the entry changed it
            answer ready.reads            once their index is executed
            keep ready.evidence           for ever
            fetch ready.snapshot          a state that is as new, and check it; execute or load it,
                                          then raft.install(point, configuration)
        unwritten = raft.take_unwritten()
            write it, all or nothing, synced: hard state, entries, where the log begins, and the
            removal of stored entries outside it; then raft.persisted(). One write at a time.

    now and then            raft.compact(index): what is executed need not be kept
    to stop, or to move     raft.transfer(target), raft.abdicate()

The driver's duties: a write that failed ends the node (P42). Whoever leads newly (`soft_state`)
proposes an empty entry of its term at once. An entry that changes the configuration is proposed as
such (`changes_configuration`). What was executed is never executed again: the driver keeps
`applied` in the same write as its effects. An installed state, `applied` and the write that
`take_unwritten` asks for after `install` are one write (P40).

What must be durable before which message leaves (the core holds the message back until then):

| message                              | needs durable                                   |
|--------------------------------------|-------------------------------------------------|
| Append, Heartbeat, SnapshotOffer,    | its term and vote (it led only after they were) |
| TimeoutNow of a leader               |                                                 |
| VoteRequest, TransferVoteRequest     | the candidate's term and its vote for itself    |
| VoteReply, granted                   | the voter's term and vote                       |
| AppendReply                          | term, vote and the whole log: every entry up to |
|                                      | its index, or the log's new beginning there     |
| PreVoteRequest, refusals, reads,     | nothing                                         |
| HeartbeatReply                       |                                                 |
| counting one's own vote or copy      | the vote; the entry (P22)                       |

Members change by joint consensus when the entry that says so has executed; why that is safe is in
`core`. A node that has left the voters is served as long as the driver names it a learner.

To replay scenarios of another implementation (tests/scenarios/adapter.py does that for the commands
of etcd's, by what is named here alone), and to check what holds after every step:

| to see                             | ask                                                         |
|------------------------------------|-------------------------------------------------------------|
| role, term, vote, leader           | `role`, `term`, `vote`, `leader`                            |
| the log's marks                    | `compacted_index` ≤ `applied_index` ≤ `commit_index`        |
|                                    | ≤ `last_index`; `stable_index` is what is durable of it     |
| the log                            | `entry(i)` for compacted_index < i ≤ last_index;            |
|                                    | `term_at(i)` also at compacted_index, None outside          |
| progress of every peer of a leader | `peers`, `progress(peer)`: `match`, `next`, `flow`,         |
|                                    | `in_flight`, `in_flight_bytes`, `silent_ticks`, `offered`   |
| membership                         | `configuration`: voters, incoming (while joint), learners   |
| handing over, uncommitted bytes    | `transferee`, `uncommitted_bytes`                           |
| waiting for a leader               | `election_timeout_ticks`, `election_elapsed_ticks`          |

| to have happen                     | do                                                          |
|------------------------------------|-------------------------------------------------------------|
| a campaign, a heartbeat, a timeout | `campaign()`; `tick()` heartbeat_ticks or as many times as  |
|                                    | `set_election_timeout(ticks)` said                          |
| messages lost, doubled, reordered  | nothing: they are the driver's own between two cores        |
| a slow disk                        | `persisted()` later; a crash: `Raft` anew from its storage  |
| a node that begins in the middle   | a storage whose `compacted()` is that place, `applied` the  |
|                                    | same; a joining node begins empty and knows who takes part  |
| a change of one voter              | the same two entries as any change: enter joint, leave it   |
| a state that was sent, or failed   | `install` answers by itself; `reconnected(peer)` offers anew|

What comes out otherwise than in etcd's files, on purpose: entries can be read before they are
durable, up to `last_index`, and one write is under way at a time. A change of voters is refused
until an entry of the term is committed (P28), so it is proposed again. A leader that is voted out
hands over and steps down. A leader steps down as soon as a quorum was silent for election_ticks,
whenever that began. What is lost on the way is missed after a few answered heartbeats, or at once
after `reconnected`. There are no reads by lease.

All of that is in this package's names, `consensus.messages` (what nodes say), `consensus.memory` (a
store and no signatures) and `consensus.errors`. They change only with a line in CHANGELOG.md.

Modules: `core` roles, terms and votes · `state` what a node holds · `leading` a leader's work ·
`following` a follower's · `elections` · `replication` · `reads` · `log` · `outbox` what must be
durable first · `progress` · `quorum` · `messages` · `ready` what comes out · `settings` · `types` ·
`errors` · `memory` a store and signatures for tests and first drivers.
"""

from consensus.core import Raft
from consensus.log import LogStorage
from consensus.progress import Flow, Progress
from consensus.ready import (
    CommittedReplaced,
    Equivocation,
    Outgoing,
    ProposalRefused,
    Proposals,
    ReadState,
    Ready,
    SnapshotWanted,
    SoftState,
    TransferRefused,
    Unwritten,
    Verdict,
)
from consensus.settings import Settings
from consensus.types import (
    NO_HASH,
    Configuration,
    Entry,
    EntryPoint,
    HardState,
    Logged,
    NodeId,
    RaftIndex,
    Role,
    Term,
    Tick,
)

__all__ = [
    "NO_HASH",
    "CommittedReplaced",
    "Configuration",
    "Entry",
    "EntryPoint",
    "Equivocation",
    "Flow",
    "HardState",
    "LogStorage",
    "Logged",
    "NodeId",
    "Outgoing",
    "Progress",
    "ProposalRefused",
    "Proposals",
    "Raft",
    "RaftIndex",
    "ReadState",
    "Ready",
    "Role",
    "Settings",
    "SnapshotWanted",
    "SoftState",
    "Term",
    "Tick",
    "TransferRefused",
    "Unwritten",
    "Verdict",
]
