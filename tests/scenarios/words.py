"""Nodes and messages in words, as the scenario files show them.

An entry is `index.term:text`, one without text `index.term`; where a log ends, `index.term`. What
is committed stands before `|`, what is not durable yet in parentheses, what is compacted away as
`[…index]`.
"""

from collections.abc import Iterable

from consensus import Entry, Role
from consensus import messages as m
from consensus.progress import Progress
from consensus.ready import CommittedReplaced, Equivocation, Evidence
from scenarios.driver import Driver

SHOWN_ENTRIES_MAX = 12
"""Of a longer log only its last entries are shown."""


def entry(one: Entry) -> str:
    text = one.data.decode()
    return f"{one.index}.{one.term}" + (f":{text}" if text else "")


def names(nodes: Iterable[bytes]) -> str:
    return " ".join(node.decode() for node in nodes) or "nobody"


def role(driver: Driver) -> str:
    raft = driver.raft
    if raft.role is Role.FOLLOWER and raft.leader is not None:
        return f"follows {raft.leader.decode()} in term {raft.term}"
    if raft.role is Role.LEADER:
        over = f", handing over to {raft.transferee.decode()}" if raft.transferee else ""
        return f"leads term {raft.term}{over}"
    return f"{raft.role.value} in term {raft.term}"


def log(driver: Driver) -> str:
    raft = driver.raft
    begin = raft.compacted_index
    words = [] if begin == 0 else [f"[…{begin}]"]
    first = max(begin + 1, raft.last_index - SHOWN_ENTRIES_MAX + 1)
    if first > begin + 1:
        words.append(f"… {first - begin - 1} more")
    for index in range(first, raft.last_index + 1):
        word = entry(raft.entry(index).entry)
        words.append(word if index <= raft.stable_index else f"({word})")
        if index == raft.commit_index:
            words.append("|")
    if raft.commit_index <= begin:
        words.insert(1 if begin else 0, "|")
    return " ".join(words)


def parts(driver: Driver) -> dict[str, str]:
    """What there is to say about a node, each part for itself."""
    raft = driver.raft
    said = {"role": role(driver)}
    said["vote"] = f"votes for {raft.vote.decode()}" if raft.vote else "has no vote"
    said["log"] = f"log {log(driver)}"
    said["configuration"] = configuration(driver)
    return said


def configuration(driver: Driver) -> str:
    voters = f"voters {names(driver.raft.configuration.voters)}"
    if driver.raft.configuration.incoming:
        voters += f" and also {names(driver.raft.configuration.incoming)}"
    if driver.raft.configuration.learners:
        voters += f", learners {names(driver.raft.configuration.learners)}"
    return voters


def progress(peer: bytes, known: Progress) -> str:
    return (
        f"{peer.decode()} matches {known.match}, next {known.next}, {known.flow.value}, "
        f"{len(known.in_flight)} in flight"
    )


def message(said: m.AnyMessage) -> str:
    """One message in a line."""
    term = f"term {said.term}"
    match said:
        case m.PreVoteRequest() | m.VoteRequest():
            kind = "would you vote" if isinstance(said, m.PreVoteRequest) else "vote"
            told = ", as your leader told me" if isinstance(said, m.TransferVoteRequest) else ""
            return f"{kind} for me in {term}{told}? log ends {said.last_index}.{said.last_term}"
        case m.PreVoteReply() | m.VoteReply():
            kind = "would vote" if isinstance(said, m.PreVoteReply) else "vote"
            return f"{kind}: {'yes' if said.granted else 'no'}, {term}"
        case m.Append():
            entries = " ".join(entry(each) for each in said.entries) or "nothing"
            after = f"{said.previous_index}.{said.previous_term}"
            return f"append after {after}: {entries}; commit {said.commit}, {term}"
        case m.AppendReply():
            return f"holds up to {said.index}, {term}"
        case m.AppendRefused():
            why = "is early" if said.early else "is missing"
            hint = f"try {said.hint_index}.{said.hint_term}"
            return f"{said.previous_index} {why}, {hint}, {term}"
        case m.Heartbeat():
            return f"heartbeat; commit {said.commit}, round {said.round}, {term}"
        case m.HeartbeatReply():
            return f"heard round {said.round}, {term}"
        case m.ReadRequest():
            return f"read {said.token}?, {term}"
        case m.ReadReply():
            at = "not now" if said.index is None else f"at {said.index}"
            return f"read {said.token}: {at}, {term}"
        case m.TimeoutNow():
            return f"campaign now, {term}"
        case m.SnapshotOffer():
            return f"my log begins after {said.index}.{said.entry_term}, {term}"


KINDS = {
    "pre-votes": (m.PreVoteRequest, m.PreVoteReply),
    "votes": (m.VoteRequest, m.VoteReply),
    "vote-requests": (m.VoteRequest,),
    "appends": (m.Append,),
    "answers": (m.AppendReply, m.AppendRefused),
    "heartbeats": (m.Heartbeat,),
    "transfers": (m.TimeoutNow,),
    "offers": (m.SnapshotOffer,),
    "reads": (m.ReadRequest, m.ReadReply),
}
"""What a script may call messages when it chooses among them."""


def evidence(found: Evidence) -> str:
    match found:
        case Equivocation():
            return (
                f"keeps proof that {found.kept.proposer.decode()} signed both "
                f"{entry(found.kept)} and {entry(found.refused)}"
            )
        case CommittedReplaced():
            return (
                f"raises an alarm: {found.sender.decode()} would replace "
                f"{entry(found.kept)}, committed, by {entry(found.refused)}"
            )
