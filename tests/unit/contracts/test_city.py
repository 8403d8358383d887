"""A city's month, and a year in the soak: contracts and an independent oracle agree on it all."""

import os
from collections import Counter

import pytest
from city import City

HOUR_MS = 3_600_000
MONTH_HOURS = 30 * 24


def lived(seed: int, *, hours: int, acts: int) -> City:
    """A city after so many hours, with so many acts in each; compared once a day."""
    city = City(seed)
    for hour in range(hours):
        for _ in range(acts):
            city.act()
        city.block(HOUR_MS)
        if hour % 24 == 23:
            city.compare()
    return city


def test_a_month_of_a_city_is_judged_as_the_oracle_judges_it() -> None:
    city = lived(1, hours=MONTH_HOURS, acts=3)
    assert city.differences == []
    city.ledger.verify()
    statuses = Counter(right.status for right in city.oracle.rights.values())
    assert min(statuses[word] for word in ("approved", "refused", "revoked", "withdrawn")) > 0
    exchanges = sum(right.total[0] for right in city.oracle.rights.values())
    assert city.judged > 1_500 and exchanges > 200 and 0.1 < city.refused / city.judged < 0.7


@pytest.mark.soak
def test_a_year_of_a_city_is_judged_as_the_oracle_judges_it() -> None:
    seed = int(os.environ.get("SEED", "2"))
    city = lived(seed, hours=365 * 24, acts=26)
    assert city.differences == []
    city.ledger.verify()
    exchanges = sum(right.total[0] for right in city.oracle.rights.values())
    print(f"{city.judged} records, {len(city.oracle.rights)} grants, {exchanges} exchanges")


BROKEN = {
    "anybody may stop a grant": ("contracts.lifecycle.may_stop", lambda known, department: None),
    "no limit counts": ("contracts.exchanges.exhausted", lambda known, more, *, time_ms: None),
    "nothing is too late": ("contracts.exchanges.standing", lambda view, known, *, time_ms: None),
    "nobody is late": ("city.overdue", lambda view, known, *, time_ms: False),
}
"""Rules that are broken on purpose: the oracle has to notice each."""


@pytest.mark.parametrize("name", BROKEN)
def test_the_oracle_notices_a_broken_rule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BROKEN[name])
    city = City(4)
    for _ in range(MONTH_HOURS // 24):
        for _ in range(24):
            for _ in range(3):
                city.act()
            city.block(HOUR_MS)
        city.compare()
        if city.differences:
            return
    raise AssertionError("a month went by and nobody noticed")
