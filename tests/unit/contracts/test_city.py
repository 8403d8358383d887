"""A city's month, and a year in the soak: contracts and an independent oracle agree on it all."""

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from city import City

from audit.policies import automatic_decisions
from ledger import store_keys
from ledger.blocks import BlockHeader, parse_any_leaf
from ledger.records import parse_leaf
from ledger.types import LeafIndex

HOUR_MS = 3_600_000
MONTH_HOURS = 30 * 24


def lived(seed: int, *, hours: int, acts: int, calm: bool = False) -> City:
    """A city after so many hours, with so many acts in each; compared once a day."""
    city = City(seed, calm=calm)
    for hour in range(hours):
        for _ in range(acts):
            city.act()
        city.block(HOUR_MS)
        if hour % 24 == 23:
            city.compare()
    return city


class Kept:
    """What an auditor of policies reads of a city's ledger: leaves, and documents by their leaf."""

    def __init__(self, city: City) -> None:
        self._leaves = city.ledger.leaves
        self._values: dict[bytes, bytes] = {}
        for index, data in enumerate(self._leaves):
            leaf = parse_any_leaf(data)
            attached = None if isinstance(leaf, BlockHeader) else parse_leaf(data).header.attached
            if attached is not None and attached.form == "document":
                place = LeafIndex(index)
                self._values[store_keys.attached_key(place)] = city.documents[attached.digest]
                number = index.to_bytes(8, "big")
                self._values.setdefault(store_keys.document_key(attached.digest), number)

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        return self._values.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Every leaf, whatever is asked for."""
        assert start == store_keys.LEAF
        for index, data in enumerate(self._leaves):
            yield store_keys.leaf_key(LeafIndex(index)), data


def check(city: City) -> None:
    """The oracle and the auditor of policies agree with the ledger, which is whole."""
    assert city.differences == []
    city.ledger.verify()
    decisions = automatic_decisions(Kept(city), city.ledger.city.genesis_file)
    assert {each.record_id for each in decisions if not each.supported} == city.unsupported
    assert len(decisions) > len(city.unsupported) > 0


def test_a_month_of_a_city_is_judged_as_the_oracle_judges_it() -> None:
    city = lived(1, hours=MONTH_HOURS, acts=3)
    check(city)
    statuses = Counter(right.status for right in city.oracle.rights.values())
    assert min(statuses[word] for word in ("approved", "refused", "revoked", "withdrawn")) > 0
    assert min(city.automatic[word] for word in ("permit", "forbid", "steward")) > 0
    exchanges = sum(right.total[0] for right in city.oracle.rights.values())
    refused = city.refused.total() / city.judged
    assert city.judged > 1_500 and exchanges > 200 and 0.1 < refused < 0.7


@pytest.mark.soak
def test_a_year_of_a_city_is_judged_as_the_oracle_judges_it() -> None:
    seed = int(os.environ.get("SEED", "2"))
    city = lived(seed, hours=365 * 24, acts=26, calm=True)
    rights = list(city.oracle.rights.values())
    exchanges = sum(right.total[0] for right in rights)
    emergencies = sum(right.emergency for right in rights)
    print(f"{city.judged} records, {len(rights)} grants ({emergencies} emergencies)")
    print(f"{exchanges} exchanges; policies said {dict(city.automatic)}")
    print(f"{len(city.unsupported)} decisions against their policy, all found by the auditor")
    print(f"{city.refused.total()} refused: {dict(city.refused.most_common())}")
    check(city)
    assert len(rights) >= 2_000 and exchanges >= 200_000 and emergencies > 0


BROKEN = {
    "anybody may stop a grant": ("contracts.lifecycle.may_stop", lambda known, department: None),
    "no limit counts": ("contracts.exchanges.exhausted", lambda known, more, *, time_ms: None),
    "nothing is too late": ("contracts.exchanges.standing", lambda view, known, *, time_ms: None),
    "any policy may be cited": (
        "contracts.policies._uncited",
        lambda context, grant_id, cited: None,
    ),
    "nobody is late": ("city.overdue", lambda view, known, *, time_ms: False),
}
"""Rules that are broken on purpose: the oracle has to notice each."""


@pytest.mark.parametrize("name", BROKEN)
def test_the_oracle_notices_a_broken_rule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BROKEN[name])
    city = City(3)
    for _ in range(MONTH_HOURS // 24):
        for _ in range(24):
            for _ in range(3):
                city.act()
            city.block(HOUR_MS)
        city.compare()
        if city.differences:
            return
    raise AssertionError("a month went by and nobody noticed")
