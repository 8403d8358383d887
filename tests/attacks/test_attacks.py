"""Every attack of the catalogue is done, and the auditor says what the page says."""

from collections import Counter
from pathlib import Path

import pytest

from attacks.catalogue import page
from attacks.listing import ATTACKS, HOLDERS, Attack
from attacks.world import World, make_world, verified


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def test_the_ledger_holds_before_it_is_attacked(world: World) -> None:
    assert verified(world.branch) == set()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.do.__name__)
def test_the_attack_is_seen_as_the_page_says(attack: Attack, world: World) -> None:
    seen = attack.do(world.copy())
    assert attack.says in seen
    named = {each for each in seen if each.startswith(("names ", "nobody"))}
    assert named <= {attack.says}, "nobody else is accused"


def test_the_ledger_still_holds_after_all_attacks(world: World) -> None:
    assert verified(world.branch) == set()


def test_there_are_forty_attacks_and_they_are_of_many_kinds() -> None:
    assert len(ATTACKS) >= 40
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
    assert max(Counter(attack.mechanism for attack in ATTACKS).values()) <= 3
    assert sum(attack.who in HOLDERS for attack in ATTACKS) >= 10


def test_the_page_lists_them_all() -> None:
    root = Path(__file__).resolve().parents[2]
    assert (root / "docs" / "ATTACKS.md").read_text(encoding="utf-8") == page()
