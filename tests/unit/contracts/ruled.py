"""Policies of a city: plain rules, the Cedar text that says the same, and what they decide.

A policy is a list of rules, each of which permits or forbids where all of its conditions hold.
`text` writes it as a provider publishes it, `said` decides by it without any engine; whoever
evaluates the text has to come to the same.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Condition:
    """One condition: in Cedar, and in plain words over consumer, request, classification, sharing.

    words: a name in `MEANT`, and its value.
    """

    word: str
    value: Any

    def text(self) -> str:
        """In Cedar."""
        return CEDAR[self.word].format(self.value)

    def holds(self, asked: "Asked") -> bool:
        """Of a request."""
        return MEANT[self.word](asked, self.value)


@dataclass(frozen=True)
class Asked:
    """Who asks for what, and what class the dataset is of."""

    consumer: str
    request: Any
    classification: str
    sharing: str


CEDAR = {
    "consumer": 'principal == Department::"{}"',
    "purpose": 'context.purpose == "{}"',
    "field": 'context.fields.contains("{}")',
    "days": "context.days <= {}",
    "rows": "context.rows_max > 0 && context.rows_max <= {}",
    "onward": "context.onward == {}",
    "sharing": 'resource.sharing == "{}"',
    "classification": 'resource.classification == "{}"',
}


def _short(asked: Asked, days: int) -> bool:
    return asked.request.valid_until_ms - asked.request.valid_from_ms <= days * DAY_MS


def _few(asked: Asked, rows: int) -> bool:
    return 0 < asked.request.limits.rows_max <= rows


MEANT: dict[str, Callable[[Asked, Any], bool]] = {
    "consumer": lambda asked, name: asked.consumer == name,
    "purpose": lambda asked, name: asked.request.purpose == name,
    "field": lambda asked, name: name in asked.request.fields,
    "days": _short,
    "rows": _few,
    "onward": lambda asked, word: asked.request.onward == (word == "true"),
    "sharing": lambda asked, word: asked.sharing == word,
    "classification": lambda asked, word: asked.classification == word,
}


@dataclass(frozen=True)
class Rule:
    """One rule of a policy. number: names it."""

    number: int
    permits: bool
    conditions: tuple[Condition, ...]

    @property
    def name(self) -> str:
        """Its @id."""
        return f"rule-{self.number}"


Rules = tuple[Rule, ...]


def text(rules: Rules) -> str:
    """The policy as a document in Cedar."""
    written = []
    for rule in rules:
        effect = "permit" if rule.permits else "forbid"
        when = " && ".join(f"({each.text()})" for each in rule.conditions)
        written.append(
            f'@id("{rule.name}") {effect}(principal, action, resource) when {{ {when} }};'
        )
    return "\n".join(written)


def said(rules: Rules, asked: Asked) -> tuple[str, tuple[str, ...]]:
    """What the policy says of a request, and by which rules: one that forbids is enough."""
    hold = [rule for rule in rules if all(each.holds(asked) for each in rule.conditions)]
    for verdict, permits in (("forbid", False), ("permit", True)):
        names = sorted(rule.name for rule in hold if rule.permits is permits)
        if names:
            return verdict, tuple(names)
    return "steward", ()


def drawn(chance: random.Random, names: tuple[str, ...], purposes: tuple[str, ...]) -> Rules:
    """Some policy."""
    values = {
        "consumer": names,
        "purpose": purposes,
        "field": ("district", "insured", "person"),
        "days": (1, 20, 90),
        "rows": (20, 1_000),
        "onward": ("true", "false"),
        "sharing": ("open", "conditional"),
        "classification": ("personal", "sensitive"),
    }
    rules = []
    for number in range(chance.randint(1, 4)):
        permits = chance.random() < 0.7
        words = chance.sample(sorted(values), chance.randint(1, 2 if permits else 3))
        conditions = tuple(Condition(word, chance.choice(values[word])) for word in words)
        rules.append(Rule(number, permits, conditions))
    return tuple(rules)
