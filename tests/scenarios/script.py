"""Scripted clusters: a command a line, and below it what it led to.

A file opens with what it shows and where that is from, then `----`. A line at the margin is a
command, an indented one what came of it, `#` a remark. Commands, where nodes are n1, n2, …:

    nodes n1 n2 n3 [learners n4]     the cluster; before it: `setting NAME VALUE`
    n1 times out                     its election timeout passes
    n1 is elected by n2 n3           none of them heard of a leader; only their letters arrive
    n1 ticks 5 · everyone ticks 5    time passes, nothing is delivered
    run 5                            as often: everyone ticks once, then all is delivered
    n1 proposes a b                  two entries
    n1 changes voters to n1 n2       an entry: jointly from there; n1 leaves joint: an entry
    deliver · deliver aloud          all, until nothing is under way; with every message shown
    deliver WHICH · lose WHICH · double WHICH · set aside WHICH · bring back WHICH
        WHICH is `n1 > n2`, `from n1`, `to n2` or `all`, with a kind of message after it if wanted
    cut n1 > n2 · cut n1 | n2 n3 · heal
    n1 crashes · n1 restarts · n1 has a slow disk · n1 has a quick disk · n1 finishes a write
    n1 reads 7 · n1 steps down · n1 hands over to n2 · n1 reconnects to n2
    n1 compacts to 4 · n2 installs the state of n1
    n1 forges for n2: 3.2:x after 2.1 commit 0     n1 signs it, whatever it is
    n1 is led astray                 its executions are compared with nobody's from here on
    show · show n1 · progress of n1 · mail

After each command every invariant is checked.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import consensus.messages as m
from consensus import Configuration, Entry, NodeId, ProposalRefused, Role, Settings
from scenarios import words
from scenarios.cluster import Cluster, Letter
from scenarios.driver import ENTER, LEAVE

RULE = "----"

ROUNDS_MAX = 20
"""Limit of rounds in which a node is elected."""

LOUD_MAX = 4
"""Of more messages that are lost at once only the number is told."""


def rewritten(text: str) -> str:
    """The file with what each command leads to now."""
    prose, _, script = text.partition(f"\n{RULE}\n")
    lines = [prose, RULE]
    play = Play()
    for line in script.rstrip("\n").split("\n"):
        if line.startswith("  "):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines += [f"  {each}" for each in play.run(line)]
    return "\n".join(lines) + "\n"


class Play:
    """One script under way."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.cluster: Cluster | None = None
        self.founding = Configuration(())
        self.aside: list[Letter] = []
        self.said: list[str] = []

    def run(self, command: str) -> list[str]:
        """Carries out one command; what there is to say of it."""
        self.said = []
        before = self._parts()
        for pattern, method in COMMANDS:
            match = re.fullmatch(pattern, command)
            if match is not None:
                method(self, *match.groups())
                break
        else:
            raise ValueError(f"no such command: {command}")
        if self.cluster is not None:
            self.cluster.check()
            self._tell_changes(before)
        return self.said

    @property
    def running(self) -> Cluster:
        assert self.cluster is not None, "a script begins with its nodes"
        return self.cluster

    def _parts(self) -> dict[NodeId, dict[str, str]]:
        if self.cluster is None:
            return {}
        return {each.node_id: words.parts(each) for each in self.cluster.alive}

    def _tell_changes(self, before: dict[NodeId, dict[str, str]]) -> None:
        for node, now in self._parts().items():
            was = before.get(node, now)
            news = [said for part, said in now.items() if was.get(part) != said]
            news += [words.evidence(found) for found in self.running.evidence.pop(node, [])]
            wanted = self.running.wanted.pop(node, None)
            if wanted is not None:
                news.append(f"wants the state at {wanted.point.index}.{wanted.point.term} or later")
            for read in self.running.reads.pop(node, []):
                at = "refused" if read.index is None else f"may run once {read.index} is executed"
                news.append(f"read {read.token} {at}")
            if news:
                self.said.append(f"{node.decode()} {'; '.join(news)}")

    # The cluster.

    def setting(self, name: str, value: str) -> None:
        number = {"yes": True, "no": False}.get(value)
        self.settings = replace(self.settings, **{name: int(value) if number is None else number})

    def nodes(self, voters: str, learners: str | None) -> None:
        self.founding = configuration = Configuration(each(voters), (), each(learners or ""))
        self.cluster = Cluster(configuration, self.settings, spread)

    # Time.

    def times_out(self, name: str) -> None:
        self.running.nodes[name.encode()].raft.campaign()
        self.running.turn(name.encode())

    def is_elected(self, name: str, voters: str) -> None:
        node, voting = name.encode(), each(voters)
        for voter in voting:
            self.running.hears_nobody(voter)
        between = {node, *voting}
        elections = words.KINDS["pre-votes"] + words.KINDS["votes"]
        before = len(self.running.mail)
        for _ in range(ROUNDS_MAX):
            if self.running.nodes[node].raft.role is Role.LEADER:
                return
            letters = [self.running.mail[at] for at in range(before, len(self.running.mail))]
            if not letters:
                self.times_out(name)
            for letter in letters:
                self.running.mail.remove(letter)
                if {letter.sender, letter.to} <= between and isinstance(letter.message, elections):
                    self.running.deliver(letter)
        raise AssertionError(f"{name} is not elected by {voters}")

    def ticks(self, name: str, count: str) -> None:
        nodes = [one.node_id for one in self.running.alive]
        for node in nodes if name == "everyone" else [name.encode()]:
            for _ in range(int(count)):
                self.running.tick(node)

    def rounds(self, count: str) -> None:
        for _ in range(int(count)):
            for one in self.running.alive:
                self.running.tick(one.node_id)
            self.running.settle()

    # Proposals.

    def proposes(self, name: str, texts: str) -> None:
        for text in texts.split():
            self._propose(name, text.encode())

    def changes_voters(self, name: str, voters: str) -> None:
        self._propose(name, ENTER + voters.encode())

    def leaves_joint(self, name: str) -> None:
        self._propose(name, LEAVE)

    def _propose(self, name: str, data: bytes) -> None:
        answer = self.running.nodes[name.encode()].propose(data)
        if isinstance(answer, ProposalRefused):
            knows = f", {answer.leader.decode()} leads" if answer.leader else ""
            self.said.append(f"{name} refuses {data.decode()}: {answer.why}{knows}")
        self.running.turn(name.encode())

    # The network.

    def deliver_all(self, aloud: str) -> None:
        self.running.settle(self._heard if aloud else None)

    def _heard(self, letter: Letter) -> None:
        path = f"{letter.sender.decode()} > {letter.to.decode()}"
        self.said.append(f"{path}  {words.message(letter.message)}")

    def some(self, verb: str, which: str) -> None:
        where = self.aside if verb == "bring back" else self.running.mail
        chosen = [letter for letter in where if self._is_chosen(letter, which)]
        if not chosen:
            self.said.append("nothing of that kind is under way")
        loud = len(chosen) <= LOUD_MAX or verb != "lose"
        if not loud:
            self.said.append(f"{len(chosen)} messages are lost")
        for letter in chosen:
            if verb != "double":
                where.remove(letter)
            if loud:
                self._heard(letter)
            if verb == "set aside":
                self.aside.append(letter)
            elif verb == "bring back":
                self.running.mail.append(letter)
            elif verb != "lose":
                self.running.deliver(letter)

    def _is_chosen(self, letter: Letter, which: str) -> bool:
        match = re.fullmatch(r"(?:(\S+) > (\S+)|from (\S+)|to (\S+)|all)(?: (\S+))?", which)
        if match is None:
            raise ValueError(f"which messages are {which!r}?")
        one, other, sender, to, kind = match.groups()
        return (
            letter.sender.decode()
            in ([one or sender] if one or sender else [letter.sender.decode()])
            and letter.to.decode() in ([other or to] if other or to else [letter.to.decode()])
            and (kind is None or isinstance(letter.message, words.KINDS[kind]))
        )

    def cut_way(self, one: str, other: str) -> None:
        self.running.cut.add((one.encode(), other.encode()))

    def cut_groups(self, groups: str) -> None:
        self.running.separate(each(group) for group in groups.split(" | "))

    def heal(self) -> None:
        self.running.cut.clear()

    def reconnects(self, name: str, peer: str) -> None:
        self.running.nodes[name.encode()].raft.reconnected(peer.encode())
        self.running.turn(name.encode())

    # Crashes and disks.

    def crashes(self, name: str) -> None:
        self.running.crash(name.encode())

    def restarts(self, name: str) -> None:
        self.running.restart(name.encode())
        self.show(name)

    def disk(self, name: str, speed: str) -> None:
        self.running.nodes[name.encode()].slow_disk = speed == "slow"
        if speed == "quick" and self.running.nodes[name.encode()].under_way is not None:
            self.finishes_write(name)

    def finishes_write(self, name: str) -> None:
        self.running.nodes[name.encode()].land()
        self.running.turn(name.encode())

    def steps_down(self, name: str) -> None:
        self.running.nodes[name.encode()].raft.abdicate()
        self.running.turn(name.encode())

    def hands_over(self, name: str, target: str) -> None:
        refused = self.running.nodes[name.encode()].raft.transfer(target.encode())
        if refused is not None:
            self.said.append(f"{name} does not hand over: {refused.why}")
        self.running.turn(name.encode())

    def compacts(self, name: str, index: str) -> None:
        self.running.nodes[name.encode()].raft.compact(int(index))
        self.running.turn(name.encode())

    def installs(self, name: str, source: str) -> None:
        if not self.running.install(name.encode(), source.encode()):
            self.said.append(f"{name} is there already")

    def reads(self, name: str, token: str) -> None:
        self.running.nodes[name.encode()].raft.read_index(int(token))
        self.running.turn(name.encode())

    # Lies.

    def forges(self, name: str, to: str, entry: str, after: str, commit: str) -> None:
        node = name.encode()
        place, _, text = entry.partition(":")
        index, _, term = place.partition(".")
        previous_index, _, previous_term = after.partition(".")
        before = self.running.nodes[node].raft.entry(int(previous_index)).hash
        signature = self.running.nodes[node].proposals.sign(
            term=int(term), index=int(index), previous_hash=before, data=text.encode()
        )
        forged = Entry(int(term), int(index), text.encode(), node, signature)
        append = m.Append(
            int(term), int(previous_index), int(previous_term), (forged,), int(commit)
        )
        letter = Letter(node, to.encode(), append)
        self._heard(letter)
        self.running.deliver(letter)

    def led_astray(self, name: str) -> None:
        self.running.invariants.excused.add(name.encode())

    # Looking.

    def show(self, name: str | None) -> None:
        for node, driver in self.running.nodes.items():
            if name in (None, node.decode()):
                parts = words.parts(driver)
                if driver.raft.configuration == self.founding:
                    del parts["configuration"]
                said = "; ".join(parts.values())
                down = "is down: " if node in self.running.down else ""
                self.said.append(f"{node.decode()} {down}{said}")

    def progress(self, name: str) -> None:
        driver = self.running.nodes[name.encode()]
        for peer in self.running.nodes:
            known = driver.raft.progress(peer)
            if known is not None:
                self.said.append(words.progress(peer, known))

    def mail(self) -> None:
        for letter in self.running.mail:
            self._heard(letter)


def spread(node: NodeId, below: int) -> int:
    """What a node draws: n1 is the least patient, then n2, and so on."""
    return (2 * int(node[1:]) - 1) % below


def each(names: str) -> tuple[NodeId, ...]:
    """The names in a text, sorted, as node ids."""
    return tuple(sorted(name.encode() for name in names.split()))


COMMANDS: tuple[tuple[str, Callable[..., None]], ...] = (
    (r"setting (\w+) (\w+)", Play.setting),
    (r"nodes ((?: ?n\d+)+)(?: learners ((?: ?n\d+)+))?", Play.nodes),
    (r"(n\d+) times out", Play.times_out),
    (r"(n\d+) is elected by (.+)", Play.is_elected),
    (r"(n\d+|everyone) ticks (\d+)", Play.ticks),
    (r"run (\d+)", Play.rounds),
    (r"(n\d+) proposes (.+)", Play.proposes),
    (r"(n\d+) changes voters to (.+)", Play.changes_voters),
    (r"(n\d+) leaves joint", Play.leaves_joint),
    (r"deliver( aloud)?", Play.deliver_all),
    (r"(deliver|lose|double|set aside|bring back) (.+)", Play.some),
    (r"cut (n\d+) > (n\d+)", Play.cut_way),
    (r"cut (.+ \| .+)", Play.cut_groups),
    (r"heal", Play.heal),
    (r"(n\d+) reconnects to (n\d+)", Play.reconnects),
    (r"(n\d+) crashes", Play.crashes),
    (r"(n\d+) restarts", Play.restarts),
    (r"(n\d+) has a (slow|quick) disk", Play.disk),
    (r"(n\d+) finishes a write", Play.finishes_write),
    (r"(n\d+) steps down", Play.steps_down),
    (r"(n\d+) hands over to (n\d+)", Play.hands_over),
    (r"(n\d+) compacts to (\d+)", Play.compacts),
    (r"(n\d+) installs the state of (n\d+)", Play.installs),
    (r"(n\d+) reads (\d+)", Play.reads),
    (r"(n\d+) forges for (n\d+): (\S+) after (\S+) commit (\d+)", Play.forges),
    (r"(n\d+) is led astray", Play.led_astray),
    (r"show(?: (n\d+))?", Play.show),
    (r"progress of (n\d+)", Play.progress),
    (r"mail", Play.mail),
)
