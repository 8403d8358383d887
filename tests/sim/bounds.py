"""Every queue and intake of a replica stays within its named limit, whatever strikes.

| what waits                                      | its limit                                      |
|-------------------------------------------------|------------------------------------------------|
| records that clients brought                    | `IntakeLimits.waiting`, records and bytes      |
| records that a leader has yet to see executed   | `IntakeLimits.queue`, records and bytes        |
| forwarded records whose signature is checked    | both of these, in records                      |
| records whose signature was checked             | `IntakeLimits.verified_records_max`, at a tick |
| reads that a node has asked its leader for      | `Settings.reads_max`                           |
| reads that a leader confirms                    | `Settings.reads_max`                           |
| confirmed reads that wait for the disk          | `Settings.reads_max`                           |
| stored entries in memory                        | `Settings.cached_bytes_max`                    |
| committed entries that wait for execution       | `SIGN_BACKLOG_MAX`, and one portion of entries |
| records of these that are checked ahead         | `AHEAD_RECORDS_MAX`, and one entry's           |
| certified blocks that wait for execution        | `WAITING_BYTES_MAX`, and one answer            |
| signatures of a node that wait                  | `SIGNATURES_PER_NODE_MAX`                      |
| signatures of a node that contradict            | `CONTRARY_PER_NODE_MAX`                        |
| own checkpoints in memory                       | `RECENT_MAX`                                   |
| answers with blocks to one peer in a tick       | `ANSWERS_PER_TICK_MAX`                         |
| pieces of evidence of a kind against a node     | `EVIDENCE_PER_NODE_MAX`                        |

Looked at with every fourth tick of a node, the first three also with every tick and every record
that a client brings. A leader's windows (in flight, uncommitted) are in `sim.watch`.
"""

from itertools import islice

from node.block_server import ANSWERS_PER_TICK_MAX
from node.catching_up import WAITING_BYTES_MAX
from node.certification import CONTRARY_PER_NODE_MAX, SIGNATURES_PER_NODE_MAX
from node.cosigning import RECENT_MAX
from node.evidence import EVIDENCE_PER_NODE_MAX
from node.execution import AHEAD_RECORDS_MAX, SIGN_BACKLOG_MAX
from node.intake import Intake
from node.replica import Replica
from node.settings import ReplicaSettings

ANSWER_BYTES_MAX = 2 * 1024 * 1024
"""More than one answer with certified blocks has in records, unless a single block is larger."""


def check_intake(intake: Intake) -> None:
    """What clients and other nodes have brought to a node."""
    waiting, queue, limits = intake._waiting, intake._queue, intake._limits
    most = limits.waiting.records_max
    assert len(waiting) + len(intake._submitted) <= most, "records of clients grow"
    assert waiting._bytes <= limits.waiting.bytes_max, "bytes of clients grow"
    held = len(queue._queued) + len(queue._proposed)
    assert held <= limits.queue.records_max, "a leader's queue grows"
    assert queue._bytes <= limits.queue.bytes_max, "bytes of a leader's queue grow"
    assert len(intake._forwarded) <= limits.queue.records_max + most, "forwarded records grow"


def check_bounds(replica: Replica, settings: ReplicaSettings) -> None:
    """All the others, after a tick."""
    _check_core(replica, settings)
    known = replica._intake._verification._known
    most = settings.intake.verified_records_max
    if len(known) > most:
        assert sum(each.checked for each in known.values()) <= most, "checked records grow"
    execution = replica._execution
    backlog, ahead = execution.backlog, list(execution._ahead)
    assert len(ahead) <= len(backlog), "records are checked of what does not wait"
    assert sum(ahead) == execution._ahead_records, "records checked ahead are miscounted"
    assert sum(ahead[:-1]) <= AHEAD_RECORDS_MAX, "records checked ahead grow"
    if len(backlog) > SIGN_BACKLOG_MAX:
        beyond = sum(len(each.entry.data) for each in islice(backlog, SIGN_BACKLOG_MAX, None))
        assert beyond <= settings.consensus.committed_bytes_max, "committed entries grow"
    waiting_bytes = replica._catching_up._waiting_bytes
    assert 0 <= waiting_bytes <= WAITING_BYTES_MAX + ANSWER_BYTES_MAX, "certified blocks grow"
    cosigning = replica._cosigning
    assert len(cosigning._recent) <= RECENT_MAX, "own checkpoints grow"
    for claims in cosigning._certification._claims.values():
        assert len(claims) <= SIGNATURES_PER_NODE_MAX, "signatures grow"
    for claims in cosigning._certification._contrary.values():
        assert len(claims) <= CONTRARY_PER_NODE_MAX, "contradicting signatures grow"
    for count in replica._block_server._answers.values():
        assert count <= ANSWERS_PER_TICK_MAX, "answers grow"
    for count in cosigning._evidence._kept.values():
        assert count <= EVIDENCE_PER_NODE_MAX, "evidence against one node grows"


def _check_core(replica: Replica, settings: ReplicaSettings) -> None:
    reads, log, limits = replica.raft._reads, replica.raft._log, settings.consensus
    assert len(reads._asked) <= limits.reads_max, "reads that were asked for grow"
    assert len(reads._confirmations) <= limits.reads_max, "reads to confirm grow"
    assert len(replica._barriers._waiting) <= limits.reads_max, "reads that wait for the disk grow"
    if log._cache_bytes > limits.cached_bytes_max:
        stored = sum(len(e.entry.data) for at, e in log._memory.items() if at <= log.stable)
        assert stored <= limits.cached_bytes_max, "entries in memory grow"
