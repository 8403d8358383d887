"""Another implementation's scenario language, replayed by the public names of `consensus` alone.

The commands are those of the data-driven tests of etcd's Raft, as far as they make sense here; a
file is a list of them, each with what came of it:

    propose 1 hello
    ----
    ok

| command                                   | by                                                |
|-------------------------------------------|---------------------------------------------------|
| add-nodes 3 voters=(1,2,3) learners=(4)   | `Raft(…)`; also prevote, checkquorum,             |
|                                           | async-storage-writes, inflight=n                  |
| campaign 1                                | `campaign`                                        |
| propose 1 data                            | `propose`                                         |
| propose-conf-change 1 v4 r1 l2 [explicit] | `propose(changes_configuration=True)`, `adopt`    |
| tick-heartbeat 1, tick-election 1         | `tick`                                            |
| set-randomized-election-timeout 1 5       | `set_election_timeout`                            |
| process-ready 1                           | `take_unwritten`, `persisted`, `ready`,           |
|                                           | `applied_to`, `adopt`, `install`                  |
| process-append-thread 1                   | `persisted`, with async-storage-writes            |
| deliver-msgs 2 3 drop=(3) type=Append     | `step`                                            |
| stabilize [1 2]                           | the two above, until nothing is left              |
| transfer-leadership 1 2                   | `transfer`                                        |
| forget-leader 2, report-unreachable 1 2   | `forget_leader`, `unreachable`                    |
| compact 1 5                               | `compact`                                         |
| read-index 1 7                            | `read_index`                                      |
| restart 1                                 | `Raft(…)` anew, from what was written             |
| raft-state, raft-log 1, status 1          | what can be observed, below                       |
| log-level none, log-level info            | what is said meanwhile is left out                |
"""

import re
from collections.abc import Iterator

import msgspec

from consensus import (
    Configuration,
    EntryPoint,
    Logged,
    NodeId,
    Outgoing,
    ProposalRefused,
    Raft,
    Role,
    Settings,
    Tick,
    TransferRefused,
    Unwritten,
)
from consensus.memory import MemoryStorage, UnsignedProposals

CHANGE, LEAVE = b"change ", b"leave"
"""What an entry begins with that changes who takes part."""

ROUNDS_MAX = 100
"""Limit of rounds in which a cluster comes to rest."""


def node_id(name: str) -> NodeId:
    return name.encode()


class Member:
    """One core with its disk and its state; the duties of a driver are in `process_ready`."""

    def __init__(self, name: NodeId, configuration: Configuration, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.storage = MemoryStorage()
        self.slow = False
        self.leaves_alone = True
        self.durable: tuple[list[Logged], Configuration] = ([], configuration)
        self.start()

    def start(self) -> None:
        """From what is durable."""
        self.state, configuration = list(self.durable[0]), self.durable[1]
        self.writing: tuple[Unwritten, tuple[list[Logged], Configuration]] | None = None
        self.raft = Raft(
            node_id=self.name,
            settings=self.settings,
            storage=self.storage,
            configuration=configuration,
            applied=len(self.state),
            proposals=UnsignedProposals(),
            random_ticks=lambda below: 0,
        )

    def land(self) -> None:
        """The write under way is durable, with what was executed when it was taken."""
        assert self.writing is not None, "nothing is being written"
        unwritten, self.durable = self.writing
        self.writing = None
        self.storage.write(unwritten)
        self.raft.persisted()

    def process_ready(self, others: dict[NodeId, "Member"]) -> tuple[list[Outgoing], list[str]]:
        """What is ready, once; messages to send, and what there is to say."""
        raft, said = self.raft, list[str]()
        unwritten = raft.take_unwritten()
        if unwritten is not None:
            self.writing = unwritten, (list(self.state), raft.configuration)
            said.append(f"writes {len(unwritten.entries)} entries")
            if not self.slow:
                self.land()
        ready = raft.ready()
        for logged in ready.committed:
            said += self._execute(logged)
        if ready.soft_state is not None:
            said.append(f"is {ready.soft_state.role.value} in term {ready.soft_state.term}")
            if ready.soft_state.role is Role.LEADER:
                raft.propose(b"")
        for read in ready.reads:
            said.append(f"read {read.token} at {read.index}")
        if ready.snapshot is not None:
            self._install(others[ready.snapshot.leader])
            said.append(f"installs the state at {raft.applied_index}")
        if raft.role is Role.LEADER and raft.configuration.incoming and self.leaves_alone:
            raft.propose(LEAVE, changes_configuration=True)
        return list(ready.messages), said

    def _execute(self, logged: Logged) -> list[str]:
        data = logged.entry.data
        self.state.append(logged)
        self.raft.applied_to(logged.entry.index)
        after = changed(self.raft.configuration, data)
        if after != self.raft.configuration:
            self.raft.adopt(after)
            return [f"applies {place(logged)} {shown(data)}", f"takes part in {members(after)}"]
        return [f"applies {place(logged)} {shown(data)}"]

    def _install(self, source: "Member") -> None:
        last = source.state[-1]
        point = EntryPoint(last.entry.index, last.entry.term, last.hash)
        if self.raft.install(point, source.raft.configuration):
            self.state = list(source.state)


def changed(before: Configuration, data: bytes) -> Configuration:
    """The configuration after an entry: v makes a voter, l a learner, r removes."""
    if data == LEAVE and before.incoming:
        kept = (node for node in before.learners if node not in before.incoming)
        return Configuration(before.incoming, (), tuple(kept))
    if not data.startswith(CHANGE) or before.incoming:
        return before
    voters, learners = set(before.voters), set(before.learners)
    for word in data.removeprefix(CHANGE).split():
        what, node = word[:1], word[1:]
        voters.discard(node)
        learners.discard(node)
        if what != b"r":
            (voters if what == b"v" else learners).add(node)
    wanted, named = tuple(sorted(voters)), tuple(sorted(learners))
    if wanted == before.voters:
        return Configuration(before.voters, (), named)
    return Configuration(before.voters, wanted, tuple(n for n in named if n not in before.voters))


def place(logged: Logged) -> str:
    return f"{logged.entry.term}/{logged.entry.index}"


def shown(data: bytes) -> str:
    return f'"{data.decode()}"'


def members(configuration: Configuration) -> str:
    names = [
        " ".join(node.decode() for node in nodes)
        for nodes in (configuration.voters, configuration.incoming, configuration.learners)
    ]
    joint = f"&({names[1]})" if names[1] else ""
    learning = f" learners=({names[2]})" if names[2] else ""
    return f"voters=({names[0]}){joint}{learning}"


class Play:
    """A cluster under way, and the messages between its members."""

    def __init__(self) -> None:
        self.members: dict[NodeId, Member] = {}
        self.mail: list[tuple[NodeId, Outgoing]] = []
        self.quiet = False

    def run(self, line: str) -> str:
        """Carries out a command; what came of it, "ok" if there is nothing to say."""
        command, *words = line.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        names = [word for word in words if "=" not in word]
        said = getattr(self, command.replace("-", "_"))(*names, **_python(options))
        return "\n".join((not self.quiet and said) or ["ok"])

    def log_level(self, level: str) -> None:
        self.quiet = level == "none"

    def add_nodes(self, count: str, *, voters: str, learners: str = "", **options: str) -> None:
        founding = Configuration(each(voters), (), each(learners))
        settings = Settings(
            election_ticks=Tick(3),
            pre_vote=options.get("prevote") == "true",
            check_quorum=options.get("checkquorum") == "true",
            in_flight_messages_max=int(options.get("inflight", "64")),
        )
        for number in range(len(self.members) + 1, len(self.members) + int(count) + 1):
            member = Member(node_id(str(number)), founding, settings)
            member.slow = options.get("async_storage_writes") == "true"
            self.members[member.name] = member

    def raft(self, name: str) -> Raft:
        return self.members[node_id(name)].raft

    def campaign(self, name: str) -> None:
        self.raft(name).campaign()

    def propose(self, name: str, *words: str) -> list[str]:
        return _refusal(self.raft(name).propose(" ".join(words).encode()))

    def propose_conf_change(self, name: str, *words: str) -> list[str]:
        explicit = "explicit" in words
        if explicit:
            for member in self.members.values():
                member.leaves_alone = False
        changes = " ".join(word for word in words if word != "explicit").encode()
        data = CHANGE + changes if changes else LEAVE
        return _refusal(self.raft(name).propose(data, changes_configuration=True))

    def tick_heartbeat(self, name: str) -> None:
        for _ in range(self.members[node_id(name)].settings.heartbeat_ticks):
            self.raft(name).tick()

    def tick_election(self, name: str) -> None:
        raft, settings = self.raft(name), self.members[node_id(name)].settings
        leads = raft.role is Role.LEADER
        for _ in range(settings.election_ticks if leads else raft.election_timeout_ticks):
            raft.tick()

    def set_randomized_election_timeout(self, name: str, ticks: str) -> None:
        self.raft(name).set_election_timeout(int(ticks))

    def process_ready(self, *names: str) -> list[str]:
        said = []
        for name in names:
            messages, told = self.members[node_id(name)].process_ready(self.members)
            self.mail += [(node_id(name), outgoing) for outgoing in messages]
            said += [f"{name} {each}" for each in told]
            said += [f"{name} sends {letter(node_id(name), outgoing)}" for outgoing in messages]
        return said

    def process_append_thread(self, *names: str) -> None:
        for name in names:
            self.members[node_id(name)].land()

    def deliver_msgs(self, *names: str, drop: str = "", type: str = "") -> list[str]:  # noqa: A002
        said = []
        dropped = each(drop)
        under_way, self.mail = self.mail, []
        for sender, outgoing in under_way:
            chosen = outgoing.to in (*map(node_id, names), *dropped)
            if not chosen or type not in ("", outgoing.message.__class__.__name__):
                self.mail.append((sender, outgoing))
                continue
            lost = outgoing.to in dropped
            said.append(("dropped: " if lost else "") + letter(sender, outgoing))
            if not lost:
                self.members[outgoing.to].raft.step(sender, outgoing.message)
        return said

    def stabilize(self, *names: str) -> list[str]:
        chosen = names or tuple(name.decode() for name in self.members)
        said: list[str] = []
        for _ in range(ROUNDS_MAX):
            news = self.process_ready(*chosen)
            for name in chosen:
                member = self.members[node_id(name)]
                if member.writing is not None:
                    member.land()
                    news.append(f"{name} has written")
            news += self.deliver_msgs(*chosen)
            said += news
            if not news:
                return said
        raise AssertionError("the cluster does not come to rest")

    def transfer_leadership(self, name: str, target: str) -> list[str]:
        return _refusal(self.raft(name).transfer(node_id(target)))

    def forget_leader(self, name: str) -> None:
        self.raft(name).forget_leader()

    def report_unreachable(self, name: str, peer: str) -> None:
        self.raft(name).unreachable(node_id(peer))

    def compact(self, name: str, index: str) -> None:
        self.raft(name).compact(int(index))

    def read_index(self, name: str, token: str) -> None:
        self.raft(name).read_index(int(token))

    def restart(self, name: str) -> None:
        self.members[node_id(name)].start()

    # Looking.

    def raft_state(self) -> Iterator[str]:
        for name, member in self.members.items():
            raft = member.raft
            part = "voter" if name in raft.configuration.voting else "learner"
            lead = "nobody" if raft.leader is None else raft.leader.decode()
            vote = "nobody" if raft.vote is None else raft.vote.decode()
            yield (
                f"{name.decode()}: {raft.role.value} ({part}) term={raft.term} lead={lead} "
                f"vote={vote} commit={raft.commit_index} applied={raft.applied_index}"
            )

    def raft_log(self, name: str) -> Iterator[str]:
        raft = self.raft(name)
        if raft.compacted_index:
            yield f"begins after {raft.term_at(raft.compacted_index)}/{raft.compacted_index}"
        for index in range(raft.compacted_index + 1, raft.last_index + 1):
            logged = raft.entry(index)
            durable = "" if index <= raft.stable_index else " not durable"
            yield f"{raft.term_at(index)}/{index} {shown(logged.entry.data)}{durable}"

    def status(self, name: str) -> Iterator[str]:
        raft = self.raft(name)
        yield f"{name}: match={raft.stable_index} next={raft.last_index + 1}"
        for peer in raft.peers:
            progress = raft.progress(peer)
            assert progress is not None, "a leader knows its peers"
            waits = f" in-flight={len(progress.in_flight)}" if progress.in_flight else ""
            silent = f" silent={progress.silent_ticks}" if progress.silent_ticks else ""
            yield (
                f"{peer.decode()}: {progress.flow.value} match={progress.match} "
                f"next={progress.next}{waits}{silent}"
            )


def each(names: str) -> tuple[NodeId, ...]:
    """The names in a parenthesis, sorted."""
    return tuple(sorted(node_id(name) for name in re.findall(r"\w+", names)))


def letter(sender: NodeId, outgoing: Outgoing) -> str:
    """One message in a line, without hashes and signatures."""
    fields = msgspec.structs.asdict(outgoing.message)
    words = []
    for name, value in fields.items():
        if name == "entries":
            value = "[" + " ".join(f"{e.term}/{e.index}" for e in value) + "]"
        if name not in ("hash", "signature", "time_ms", "token"):
            words.append(f"{name}={value}")
    kind = outgoing.message.__class__.__name__
    return f"{sender.decode()}->{outgoing.to.decode()} {kind} {' '.join(words)}"


def _python(options: dict[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in options.items()}


def _refusal(answer: ProposalRefused | TransferRefused | int | None) -> list[str]:
    if isinstance(answer, ProposalRefused | TransferRefused):
        return [f"refused: {answer.why}"]
    return []


def replayed(text: str) -> str:
    """The file with what each command leads to now."""
    play = Play()
    remarks, _, script = text.partition("\n\n")
    parts = [remarks]
    for block in script.strip("\n").split("\n\n"):
        command = block.split("\n", 1)[0]
        parts.append(f"{command}\n----\n{play.run(command)}")
    return "\n\n".join(parts) + "\n"
