"""What governing means, written again as plainly as can be: sets, dictionaries and copies.

It says of each record whether it is accepted, and what is so afterwards. Signatures and formats
are not its business: what it is given is well formed.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

KEYS_MAX, NODES_MAX, OPEN_MAX = 32, 8, 16

PERCENT = {
    "admit": "department-ballots-percent",
    "suspend": "department-ballots-percent",
    "resume": "department-ballots-percent",
    "retire": "department-ballots-percent",
    "admit node": "node-ballots-percent",
    "retire node": "node-ballots-percent",
    "replace node": "node-ballots-percent",
    "voters": "node-ballots-percent",
    "revoke": "key-ballots-percent",
    "setting": "setting-ballots-percent",
}


@dataclass
class Enrolment:
    """A department, with the keys and the nodes (by their first key) that it brings."""

    department: str
    record_keys: list[bytes]
    nodes: dict[bytes, list[bytes]]


@dataclass
class Idea:
    """A proposal. state: open, decided, rejected or withdrawn."""

    by: str
    action: tuple[Any, ...]
    ends_ms: int
    ballots: dict[str, bool]
    state: str = "open"


@dataclass
class Council:
    """Everything there is to know."""

    status: dict[str, str]
    keys: dict[bytes, str]
    nodes: dict[bytes, str]
    target: set[bytes]
    settings: dict[str, int]
    bounds: dict[str, tuple[int, int]]
    voters: set[bytes] = field(default_factory=set)
    incoming: set[bytes] | None = None
    used: set[bytes] = field(default_factory=set)
    ideas: dict[bytes, Idea] = field(default_factory=dict)

    def active(self) -> list[str]:
        """Departments that decide."""
        return [name for name, status in self.status.items() if status == "active"]

    # Records. `by` signs with `key`.

    def may(self, by: str, key: bytes) -> bool:
        """Whether the department may decide anything with this key."""
        return self.keys.get(key) == by and self.status.get(by) == "active"

    def propose(
        self, idea_id: bytes, by: str, key: bytes, action: tuple[Any, ...], now_ms: int
    ) -> bool:
        """A proposal."""
        mine = [i for i in self.ideas.values() if i.by == by and i.state == "open"]
        if not self.may(by, key) or not deepcopy(self).do(action):
            return False
        if sum(now_ms < idea.ends_ms for idea in mine) >= OPEN_MAX:
            return False
        ends_ms = now_ms + self.settings["proposal-validity-ms"]
        self.ideas[idea_id] = Idea(by, action, ends_ms, {by: True})
        done = self.count(self.ideas[idea_id])
        assert done, "what could be done a moment ago can be done now"
        return True

    def vote(self, idea_id: bytes, by: str, key: bytes, yes: bool, now_ms: int) -> bool:
        """A ballot."""
        idea = self.ideas.get(idea_id)
        if not self.may(by, key) or idea is None or not self.is_open(idea, now_ms):
            return False
        again = idea.ballots.get(by) == yes
        tried = deepcopy(self)
        tried.ideas[idea_id].ballots[by] = yes
        if not tried.count(tried.ideas[idea_id]):
            return False
        if again and tried.ideas[idea_id].state == "open":
            return False
        self.__dict__.update(tried.__dict__)
        return True

    def withdraw(self, idea_id: bytes, by: str, key: bytes, now_ms: int) -> bool:
        """A proposal taken back."""
        idea = self.ideas.get(idea_id)
        if not self.may(by, key) or idea is None or not self.is_open(idea, now_ms):
            return False
        if idea.by == by:
            idea.state = "withdrawn"
        return idea.by == by

    def add_key(self, by: str, key: bytes, new: bytes) -> bool:
        """Another record key."""
        if not self.may(by, key) or new in self.used or len(self.keys_of(by)) >= KEYS_MAX:
            return False
        self.keys[new] = by
        self.used.add(new)
        return True

    def revoke_key(self, by: str, key: bytes, old: bytes) -> bool:
        """A record key gone; also a suspended department may."""
        if self.keys.get(key) != by or self.status.get(by) == "retired":
            return False
        if self.keys.get(old) != by or len(self.keys_of(by)) == 1:
            return False
        del self.keys[old]
        return True

    def step(self, kind: str, old: set[bytes], new: set[bytes]) -> None:
        """A configuration step, before the records of its block."""
        if kind == "enter" and self.incoming is None and old == self.voters and new == self.target:
            if self.target != self.voters:
                self.incoming = set(new)
        elif kind == "leave" and self.incoming is not None and old == self.incoming:
            self.voters, self.incoming = self.incoming, None

    # How it works.

    def keys_of(self, name: str) -> list[bytes]:
        """Record keys in force."""
        return [key for key, owner in self.keys.items() if owner == name]

    def is_open(self, idea: Idea, now_ms: int) -> bool:
        """Whether it takes ballots."""
        return idea.state == "open" and now_ms < idea.ends_ms

    def count(self, idea: Idea) -> bool:
        """Decides, if it is time; False if it is and cannot be done."""
        active = self.active()
        percent = self.settings[PERCENT[idea.action[0]]]
        yes = sum(idea.ballots.get(name) is True for name in active)
        no = sum(idea.ballots.get(name) is False for name in active)
        if 100 * yes > percent * len(active):
            idea.state = "decided"
            return self.do(idea.action)
        if 100 * (len(active) - no) <= percent * len(active):
            idea.state = "rejected"
        return True

    def do(self, action: tuple[Any, ...]) -> bool:
        """Does it; False if it cannot be done, and then anything may have happened here."""
        kind, *parts = action
        return bool(getattr(self, "do_" + kind.replace(" ", "_"))(*parts))

    def do_admit(self, coming: Enrolment) -> bool:
        if coming.department in self.status:
            return False
        self.status[coming.department] = "active"
        return self.enrol(coming)

    def do_suspend(self, name: str) -> bool:
        if self.status.get(name) != "active" or self.active() == [name]:
            return False
        self.status[name] = "suspended"
        return True

    def do_resume(self, name: str) -> bool:
        if self.status.get(name) != "suspended":
            return False
        self.status[name] = "active"
        return True

    def do_retire(self, name: str) -> bool:
        if self.status.get(name) not in ("active", "suspended") or self.active() == [name]:
            return False
        leaving = {node for node, owner in self.nodes.items() if owner == name}
        self.nodes = {node: owner for node, owner in self.nodes.items() if owner != name}
        self.status[name] = "retired"
        return self.aim(self.target - leaving)

    def do_admit_node(self, coming: Enrolment) -> bool:
        if self.status.get(coming.department) not in ("active", "suspended"):
            return False
        return bool(coming.nodes) and self.enrol(coming)

    def do_retire_node(self, node: bytes) -> bool:
        return self.nodes.pop(node, None) is not None and self.aim(self.target - {node})

    def do_replace_node(self, node: bytes, coming: Enrolment, votes: bool) -> bool:
        owner = self.nodes.pop(node, None)
        if owner is None or owner != coming.department or len(coming.nodes) != 1:
            return False
        if votes and node not in self.target:
            return False
        joining = set(coming.nodes) if votes else set()
        return self.enrol(coming) and self.aim((self.target - {node}) | joining)

    def do_voters(self, joining: set[bytes], leaving: set[bytes]) -> bool:
        if not joining | leaving or joining & self.target or leaving - self.target:
            return False
        return not joining - set(self.nodes) and self.aim((self.target | joining) - leaving)

    def do_revoke(self, key: bytes) -> bool:
        return self.keys.pop(key, None) is not None

    def do_setting(self, name: str, value: int) -> bool:
        least, most = self.bounds.get(name, (1, 0))
        if not least <= value <= most or self.settings[name] == value:
            return False
        self.settings[name] = value
        return self.settings["voters-min"] <= self.settings["voters-max"]

    def aim(self, target: set[bytes]) -> bool:
        """Another target."""
        if target == self.target:
            return True
        if self.incoming is not None:
            return False
        self.target = target
        return self.settings["voters-min"] <= len(target) <= self.settings["voters-max"]

    def enrol(self, coming: Enrolment) -> bool:
        """Keys and nodes of an enrolment."""
        name = coming.department
        new = coming.record_keys + [key for keys in coming.nodes.values() for key in keys]
        if self.used & set(new):
            return False
        self.used |= set(new)
        self.keys |= dict.fromkeys(coming.record_keys, name)
        self.nodes |= dict.fromkeys(coming.nodes, name)
        mine = [node for node, owner in self.nodes.items() if owner == name]
        return len(self.keys_of(name)) <= KEYS_MAX and len(mine) <= NODES_MAX
