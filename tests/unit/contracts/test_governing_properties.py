"""Random councils: the contracts against `dumb_council`, record by record."""

from functools import cache
from random import Random
from typing import Any

import dumb_council
import pytest
from builders import Consortium, joining_enrolment, signer
from council import Council

from contracts import consortium
from contracts.governance import proposal
from contracts.membership import (
    Action,
    AdmitDepartment,
    AdmitNode,
    ChangeSetting,
    ChangeVoters,
    ReplaceNode,
    ResumeDepartment,
    RetireDepartment,
    RetireNode,
    RevokeKey,
    SuspendDepartment,
)
from ledger.blocks import VoterSets
from ledger.entries import Step
from ledger.genesis import EnrolmentFile
from ledger.signatures import Signer

CITY = Consortium(
    ("health", "housing", "tourism", "transport"),
    voter_count=3,
    settings=(("proposal-validity-ms", 8_000), ("voters-min", 2), ("voters-max", 4)),
)
NEWCOMERS = ("fisheries", "parks")
EVERYBODY = (*CITY.departments, *NEWCOMERS)
SETTINGS = ("node-ballots-percent", "record-skew-ms", "voters-max", "voters-min", "colour")


@cache
def enrolment(name: str, number: int) -> EnrolmentFile:
    return joining_enrolment(CITY.ledger_id, name, number)


def plain(file: EnrolmentFile) -> dumb_council.Enrolment:
    department = file.enrolment.department
    return dumb_council.Enrolment(
        department.department,
        [entry.key for entry in department.record_keys],
        {node.node_id: list(node.keys()) for node in department.nodes},
    )


@cache
def record_signer(name: str, number: int) -> Signer:
    """0: the first key of a founder or newcomer; else one that a department adds itself."""
    return CITY.record_signer(name) if number == 0 else signer(f"{name}/more/{number}")


def record_key(name: str, number: int) -> bytes:
    return record_signer(name, number).public_key


@cache
def node_id(name: str, number: int) -> bytes:
    return signer(f"{name}/{number}/checkpoint").public_key


class Choices:
    """What somebody tries, sensible more often than not; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def block(self) -> tuple[str | None, list[tuple[Any, ...]]]:
        """A block: its step, and what is sent in it."""
        step = self._random.choice((None, "due", "due", "due", "stale", "leave"))
        return step, [self.sent() for _ in range(self._random.randrange(4))]

    def sent(self) -> tuple[Any, ...]:
        """A proposal with ballots in the same block, or one record."""
        name, number = self.name(), self.number()
        if self._random.random() < 0.5:
            ballots = self._random.randrange(1, len(EVERYBODY) + 1)
            return ("carry", name, self.action(), ballots)
        place = self._random.randrange(6)
        return self._random.choice(
            (
                ("propose", name, number, self.action()),
                *(("vote", each, 0, place, True) for each in CITY.departments),
                ("vote", name, number, place, False),
                ("withdraw", name, number, place),
                ("add key", name, number, self._random.randrange(1, 4)),
                ("revoke key", name, number, self._random.randrange(4)),
            )
        )

    def action(self) -> tuple[Any, ...]:
        """Something that could be decided."""
        name, other = self.name(), self.name()
        some_node = node_id(other, self.number())
        joins, leaves = {some_node}, {node_id(name, self.number())}
        return self._random.choice(
            (
                ("admit", enrolment(self._random.choice(NEWCOMERS), 0)),
                ("admit", enrolment(name, self.number())),
                ("suspend", name),
                ("suspend", other),
                *(("resume", each) for each in self._random.choices(EVERYBODY, k=4)),
                ("retire", self._random.choice((name, *NEWCOMERS))),
                ("admit node", enrolment(name, self._random.randrange(1, 4))),
                ("admit node", enrolment(name, self.number())),
                ("retire node", some_node),
                ("replace node", some_node, enrolment(other, self._random.randrange(1, 4)), True),
                ("replace node", some_node, enrolment(other, self._random.randrange(1, 4)), False),
                ("replace node", some_node, enrolment(name, self.number()), True),
                ("voters", joins, leaves - joins),
                ("voters", joins, set()),
                ("voters", set(), leaves),
                ("revoke", record_key(name, self.number())),
                ("setting", *self.setting()),
            )
        )

    def setting(self) -> tuple[str, int]:
        """A setting and a value near its bounds or within."""
        name = self._random.choice(SETTINGS)
        if name == "node-ballots-percent":
            return name, self._random.choice((49, 50, 66, 99, 100))
        return name, self._random.randrange(7)

    def name(self) -> str:
        """A department, a founder more often than a newcomer."""
        return self._random.choice((*CITY.departments, *CITY.departments, *NEWCOMERS))

    def number(self) -> int:
        """Which of its keys or nodes, the first more often than another."""
        return self._random.choice((0, 0, 0, 1, 2))


def action_of(kind: str, *parts: Any) -> Action:
    """The contracts' form of a plain action."""
    made = {
        "admit": lambda file: AdmitDepartment(file.signed()),
        "suspend": SuspendDepartment,
        "resume": ResumeDepartment,
        "retire": RetireDepartment,
        "admit node": lambda file: AdmitNode(file.signed()),
        "retire node": RetireNode,
        "replace node": lambda old, file, votes: ReplaceNode(old, file.signed(), votes),
        "voters": lambda joining, leaving: ChangeVoters(
            tuple(sorted(joining)), tuple(sorted(leaving))
        ),
        "revoke": RevokeKey,
        "setting": ChangeSetting,
    }
    return made[kind](*parts)


class Both:
    """The contracts' council and the dumb one, side by side."""

    def __init__(self) -> None:
        self.real = Council(CITY, staged=False)
        genesis = CITY.genesis_file.genesis
        rules = consortium.SETTINGS
        self.dumb = dumb_council.Council(
            status=dict.fromkeys(CITY.departments, "active"),
            keys={record_key(name, 0): name for name in CITY.departments},
            nodes={node_id(name, 0): name for name in CITY.departments},
            target=set(genesis.voters),
            settings={name: consortium.setting(self.real.state, name) for name in rules},
            bounds={name: (rule.least, rule.greatest) for name, rule in rules.items()},
            voters=set(genesis.voters),
            used={key for entry in genesis.departments for key in entry.keys()},
        )
        self.ids: list[bytes] = []
        self.meant: dict[bytes, bytes] = {}
        self.dues: list[Step | None] = [None]

    def block(self, step: str | None, wanted: list[tuple[Any, ...]]) -> None:
        """One block of both: the same records are accepted, and the same is so afterwards."""
        records, asked = [], []
        for kind, *parts in wanted:
            for each in self._spread(kind, parts):
                record = self._record(*each)
                if record is not None:
                    records.append(record)
                    asked.append((record.record_id, *each))
        entry_step = self._step(step)
        block = self.real.execute(*records, step=entry_step)
        now_ms = block.header.time_ms
        accepted = {record.record_id for record in block.accepted}
        for record_id, kind, *parts in asked:
            assert (record_id in accepted) is self._ask(record_id, now_ms, kind, *parts), (
                kind,
                parts,
                [each.refusal for each in block.refused],
            )
        self.compare()

    def _spread(self, kind: str, parts: list[Any]) -> list[tuple[Any, ...]]:
        """What is carried is several records."""
        if kind != "carry":
            return [(kind, *parts)]
        name, action, count = parts
        ballots = [("vote", other, 0, 0, True) for other in EVERYBODY[:count] if other != name]
        return [("propose", name, 0, action), *ballots]

    def _record(self, kind: str, name: str, number: int, *parts: Any) -> Any:
        by = record_signer(name, number)
        match kind:
            case "propose":
                record = self.real.proposal(action_of(*parts[0]), name, by=by)
                self.ids.append(record.record_id)
                return record
            case "vote" | "withdraw" if not self.ids:
                return None
            case "vote" | "withdraw":
                meant = self.ids[-1 - parts[0] % len(self.ids)]
                words = {"vote": "consortium.ballot", "withdraw": "consortium.withdraw"}
                record = self.real.sign(name, words[kind], (meant, *parts[1:]), by=by)
                self.meant[record.record_id] = meant
                return record
            case "add key":
                return self.real.key_add(name, parts[0], by=by)
            case _:
                old = record_key(name, parts[0])
                return self.real.key_revoke(name, old, by=by)

    def _ask(
        self, record_id: bytes, now_ms: int, kind: str, name: str, number: int, *parts: Any
    ) -> bool:
        key = record_signer(name, number).public_key
        match kind:
            case "propose":
                action = tuple(
                    plain(part) if isinstance(part, EnrolmentFile) else part for part in parts[0]
                )
                return self.dumb.propose(record_id, name, key, action, now_ms)
            case "vote":
                return self.dumb.vote(self.meant[record_id], name, key, parts[1], now_ms)
            case "withdraw":
                return self.dumb.withdraw(self.meant[record_id], name, key, now_ms)
            case "add key":
                return self.dumb.add_key(name, key, record_key(name, parts[0]))
            case _:
                return self.dumb.revoke_key(name, key, record_key(name, parts[0]))

    def _step(self, step: str | None) -> Step | None:
        """The step that is due, one that once was, or one that leaves joint."""
        voters = self.real.tip.voters
        due = consortium.next_step(self.real.state, voters)
        made = {
            None: None,
            "due": due,
            "stale": self.dues[self.real.tip.height % len(self.dues)],
            "leave": Step("leave-joint", voters.incoming or voters.voters, ()),
        }[step]
        self.dues += [] if due in self.dues else [due]
        if made is not None:
            kind = made.action.removesuffix("-joint")
            self.dumb.step(kind, set(made.voters), set(made.incoming))
        return made

    def compare(self) -> None:
        """Both say the same, and what must always hold does."""
        state, dumb = self.real.state, self.dumb
        status = {}
        for name in EVERYBODY:
            known = consortium.member(state, name)
            if known is not None:
                status[name] = known.status
                assert set(known.record_keys) == set(dumb.keys_of(name))
                assert set(known.nodes) == {
                    node for node, owner in dumb.nodes.items() if owner == name
                }
        assert status == dumb.status
        assert list(consortium.departments_in_force(state)) == sorted(dumb.active())
        assert consortium.nodes(state) == tuple(sorted(dumb.nodes))
        assert set(consortium.target_voters(state)) == dumb.target
        incoming = dumb.incoming or set()
        assert self.real.tip.voters == VoterSets(
            tuple(sorted(dumb.voters)), tuple(sorted(incoming))
        )
        for name, value in dumb.settings.items():
            assert consortium.setting(state, name) == value
        for idea_id in self.ids:
            known_idea = proposal(state, idea_id)
            idea = dumb.ideas.get(idea_id)
            assert (known_idea is None) is (idea is None)
            if known_idea is not None and idea is not None:
                assert known_idea.status == idea.state
                assert {c.department: c.approves for c in known_idea.ballots} == idea.ballots
        assert dumb.active()
        assert dumb.target <= set(dumb.nodes)
        for voter in (*dumb.voters, *incoming):
            assert consortium.node(state, voter) is not None


@pytest.mark.parametrize("seed", range(80))
def test_contracts_and_a_dumb_council_agree_record_by_record(seed: int) -> None:
    both, choices = Both(), Choices(seed)
    for _ in range(40):
        both.block(*choices.block())
    both.real.verify()


def test_the_random_councils_decide_everything_there_is_and_change_their_voters() -> None:
    decided, joint = set(), 0
    for seed in range(20):
        both, choices = Both(), Choices(seed)
        for _ in range(40):
            both.block(*choices.block())
            joint += both.dumb.incoming is not None
        decided |= {idea.action[0] for idea in both.dumb.ideas.values() if idea.state == "decided"}
    assert decided == set(dumb_council.PERCENT)
    assert joint
