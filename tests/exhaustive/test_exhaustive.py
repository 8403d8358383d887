"""Everything a small cluster can do keeps every invariant; and a broken line is found at once."""

from random import Random

import pytest
from scenarios import words
from sim.bugs import seeded_by_name

from exhaustive.bounds import LARGE, NODES, PLAIN, SMALL, Bounds
from exhaustive.explore import Broken, Exploration, TooMany
from exhaustive.states import PROPOSE, TIMEOUT, Facts, States, bits

STATES_MAX = 60_000
"""Limit of states in one exploration here; a bound that holds more belongs to the large ones."""

DEEP = {
    "three terms and heartbeats": Bounds(terms=3, entries=0, timeouts=3, beats=1, settings=PLAIN)
}
"""Bounds that hold more than anybody waits for, and show some bugs early."""

BUGS = {
    "an entry of an earlier term is committed by counting copies": "late writes",
    "a vote leaves before it is durable": "one term",
    "a vote is cleared by stepping down within the term": "one term",
    "a second candidate gets a vote in the same term": "one term",
    "a grant of the pre-vote counts as a vote": "asked first",
    "a voter elects a candidate with an older log": "one crash",
    "a candidate leads before its own vote is durable": "one term",
    "an append that comes late removes what came after it": "one entry",
    "an acknowledgement says more than the message proved": "one crash",
    "a follower acknowledges before its copy is durable": "one term",
    "a leader counts its own copy before it is durable": "one term",
    "a refusal lowers what is known to be held": "one entry",
    "a new leader serves reads before it has committed in its term": "a read",
    "a leader confirms reads by itself": "a read",
    "a read is confirmed by answers to an older round": "a read",
    "a heartbeat commits what the follower may not hold": "three terms and heartbeats",
}
"""Seeded bugs, and the bounds within which the exploration finds each, in seconds."""


@pytest.mark.parametrize("name", SMALL)
def test_everything_within_small_bounds_keeps_every_invariant(name: str) -> None:
    exploration = Exploration(SMALL[name])
    explored = exploration.run(states_max=STATES_MAX)
    print(f"exhausted within bounds ({SMALL[name]}): {explored.states:,} states")
    assert explored.leaders == SMALL[name].terms, "somebody led in every term on some way"
    assert explored.decided >= 1 + SMALL[name].entries
    assert exploration.check_spent() > 0
    assert exploration.check_same() >= 0


@pytest.mark.parametrize(("bug", "name"), BUGS.items(), ids=BUGS)
def test_a_broken_line_is_found(bug: str, name: str) -> None:
    with seeded_by_name(bug), pytest.raises(Broken) as found:
        Exploration((SMALL | LARGE | DEEP)[name], deep=True).run(states_max=STATES_MAX)
    assert "times out" in str(found.value), "the way that leads there is told"


def test_more_states_than_were_asked_for_are_no_success() -> None:
    with pytest.raises(TooMany):
        Exploration(SMALL["one term"]).run(states_max=10)


@pytest.mark.parametrize("seed", range(8))
def test_to_rename_the_nodes_and_to_step_is_to_step_and_to_rename(seed: int) -> None:
    bounds = Bounds(terms=3, entries=2, settings=PLAIN)
    assert walked(States(bounds), seed) == walked(States(bounds, symmetric=False), seed)


def walked(states: States, seed: int) -> list[tuple[object, ...]]:
    """A random walk: what each node it moved then looks like, whatever the numbers of states."""
    random = Random(seed)
    nodes = list(states.founding())
    mail: set[int] = set()
    seen = []
    for _ in range(120):
        ordered = sorted(mail, key=lambda each: told(states, each))
        if ordered and random.random() < 0.85:
            given = random.choice(ordered)
            who = states.receiver[given]
        else:
            who = random.randrange(len(NODES))
            leads = states.facts[nodes[who]].role == "leader"
            given = PROPOSE if leads else TIMEOUT
        step = states.step(nodes[who], given)
        nodes[who] = step.state
        mail |= set(bits(step.letters))
        seen.append(without_tokens(states.facts[step.state]))
    return seen


def told(states: States, letter: int) -> str:
    sender, to, message = states.letters[letter]
    return f"{sender!r} {to!r} {words.message(message)}"


def without_tokens(facts: Facts) -> tuple[object, ...]:
    """What can be compared between explorations, whose tokens for histories differ."""
    terms = tuple(each and each[0] for each in facts.log)
    match = sorted(facts.match)
    return (facts.node, facts.term, facts.role, facts.leader, facts.committed, terms, match)
