"""`ledger.recent`: bounded, and what is used stays."""

from ledger.recent import Recent


def test_what_is_used_again_and_again_stays_and_the_rest_is_forgotten() -> None:
    recent: Recent[int, str] = Recent(8)
    for number in range(100):
        recent.put(number, str(number))
        assert recent.get(0) == "0"
    found = [number for number in range(1, 100) if recent.get(number) is not None]
    assert found
    assert found[-1] == 99
    assert len(found) < 8


def test_a_limit_holds_whatever_is_put_and_read() -> None:
    recent: Recent[int, str] = Recent(7)
    for number in range(50):
        recent.put(number % 9, str(number))
        recent.get((number * 3) % 9)
        assert len(recent._young) <= 3
        assert len(recent._old) <= 3


def test_the_newest_value_counts_also_after_its_generation_was_left() -> None:
    recent: Recent[str, int] = Recent(4)
    recent.put("a", 1)
    recent.put("b", 1)
    recent.put("c", 1)
    assert recent.get("a") == 1
    recent.put("a", 2)
    assert recent.get("a") == 2
