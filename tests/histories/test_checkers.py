"""The checkers of histories: what is wrong is found, what is right is not, as a dumb check says."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histories.appends import faults_of_list
from histories.operations import Operation
from histories.registers import broken_registers, is_linearizable

UNKNOWN = {"unknown": "nobody answered"}


def write(start: int, end: int, value: str, *, known: bool = True) -> Operation:
    result: dict[str, Any] = {"ok": 0} if known else UNKNOWN
    return Operation(0, "write", {"key": "k", "value": value}, start, end, result)


def read(start: int, end: int, value: str | None) -> Operation:
    return Operation(1, "read", {"key": "k"}, start, end, {"ok": value})


def append(start: int, end: int, value: str, result: dict[str, Any]) -> Operation:
    return Operation(0, "append", {"value": value}, start, end, result)


def read_list(start: int, end: int, first: int, *values: str, more: bool = False) -> Operation:
    result = {"ok": {"values": list(values), "more": more}}
    return Operation(1, "read-list", {"from": first}, start, end, result)


LINEARIZABLE = {
    "nothing": [],
    "a write that is read": [write(1, 2, "a"), read(3, 4, "a")],
    "nothing was written yet": [read(1, 2, None), write(3, 4, "a")],
    "two reads see a write that is under way in either order": [
        write(1, 2, "a"),
        write(3, 10, "b"),
        read(4, 5, "a"),
        read(6, 7, "b"),
    ],
    "writes at one time take any order": [write(1, 9, "a"), write(1, 9, "b"), read(10, 11, "a")],
    "an unknown write is seen much later": [
        write(1, 2, "a"),
        write(3, 4, "b", known=False),
        read(5, 6, "a"),
        read(7, 8, "b"),
    ],
    "an unknown write is never seen": [write(1, 2, "b", known=False), read(3, 4, None)],
}

BROKEN = {
    "a stale read": [write(1, 2, "a"), write(3, 4, "b"), read(5, 6, "a")],
    "a lost write": [write(1, 2, "a"), read(3, 4, None)],
    "a value that nobody wrote": [write(1, 2, "a"), read(3, 4, "x")],
    "a read before the write": [read(1, 2, "a"), write(3, 4, "a")],
    "back and forth": [
        write(1, 20, "a"),
        write(1, 20, "b"),
        read(2, 3, "a"),
        read(4, 5, "b"),
        read(6, 7, "a"),
    ],
    "an unknown write that is undone": [
        write(1, 2, "a"),
        write(3, 4, "b", known=False),
        read(5, 6, "b"),
        read(7, 8, "a"),
    ],
}


@pytest.mark.parametrize("name", LINEARIZABLE)
def test_a_linearizable_register_passes(name: str) -> None:
    assert broken_registers(LINEARIZABLE[name]) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_register_is_named(name: str) -> None:
    assert broken_registers(BROKEN[name]) == ["k"]


def fits_some_order(operations: list[Operation]) -> bool:
    """The definition, by trying every order of every choice of unknown operations."""
    known = [each for each in operations if each.is_ok]
    unknown = [each for each in operations if each.is_unknown and each.op == "write"]
    for bits in range(1 << len(unknown)):
        chosen = known + [each for at, each in enumerate(unknown) if bits >> at & 1]
        if any(_is_order(order) for order in permutations(chosen)):
            return True
    return False


def _is_order(order: tuple[Operation, ...]) -> bool:
    value = None
    for place, each in enumerate(order):
        if any(later.is_ok and later.end_ns < each.start_ns for later in order[place + 1 :]):
            return False
        if each.op == "write":
            value = each.args["value"]
        elif each.result["ok"] != value:
            return False
    return True


@st.composite
def registers(draw: st.DrawFn) -> list[Operation]:
    found = []
    for number in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, 12)) * 2
        end = start + 1 + draw(st.integers(0, 5)) * 2
        if draw(st.booleans()):
            found.append(write(start, end, f"v{number}", known=draw(st.integers(0, 3)) > 0))
        else:
            found.append(read(start, end, draw(st.sampled_from([None, "v0", "v1", "v2", "v3"]))))
    return found


@given(registers())
def test_the_search_says_what_trying_every_order_says(operations: list[Operation]) -> None:
    assert is_linearizable(operations) == fits_some_order(operations)


def test_a_long_history_is_judged_though_many_outcomes_are_unknown() -> None:
    operations = []
    for number in range(200):
        at = number * 10
        operations.append(write(at, at + 15, f"v{number}", known=number % 20 != 0))
        operations.append(read(at + 16, at + 18, f"v{number}"))
    assert is_linearizable(operations)
    assert not is_linearizable([*operations, read(3_000, 3_001, "v3")])


APPENDED = [
    append(1, 2, "a", {"ok": 5}),
    append(3, 4, "b", {"ok": 7}),
    append(5, 6, "c", UNKNOWN),
    append(7, 8, "d", {"refused": "dataset-exists"}),
]


@pytest.mark.parametrize("final", [["a", "b"], ["a", "b", "c"], ["a", "c", "b"]])
def test_a_list_that_agrees_with_what_was_answered_has_no_faults(final: list[str]) -> None:
    history = [*APPENDED, read_list(9, 10, 1, *final[1:])]
    if final == ["a", "c", "b"]:
        history[1] = append(3, 12, "b", {"ok": 9})
        history[2] = append(5, 6, "c", {"ok": 7})
    assert faults_of_list(history, final) == []


@pytest.mark.parametrize(
    ("final", "fault"),
    [
        (["a", "b", "a"], "a value is in the list twice"),
        (["a", "b", "x"], "nobody appended x"),
        (["a"], "b was acknowledged and is not in the list"),
        (["a", "b", "d"], "d was refused and is in the list"),
        (["b", "a"], "a ended before b started, and follows it"),
    ],
)
def test_a_wrong_list_is_named(final: list[str], fault: str) -> None:
    assert fault in faults_of_list(APPENDED, final)


@pytest.mark.parametrize(
    ("reading", "fault"),
    [
        (read_list(9, 10, 0, "b", "a"), "client 1 read from 0 what the list never held"),
        (read_list(9, 10, 0, "a"), "client 1 read 1 values when 2 were acknowledged"),
        (read_list(0, 1, 0, "a", "b"), "client 1 read a value before it was appended"),
    ],
)
def test_a_wrong_read_is_named(reading: Operation, fault: str) -> None:
    assert faults_of_list([*APPENDED, reading], ["a", "b"]) == [fault]


def test_a_page_that_says_there_is_more_may_stop_early() -> None:
    assert faults_of_list([*APPENDED, read_list(9, 10, 0, "a", more=True)], ["a", "b"]) == []


def test_a_list_that_shrinks_is_named() -> None:
    history = [append(1, 99, "a", {"ok": 5}), read_list(2, 3, 0, "a"), read_list(4, 5, 0)]
    assert faults_of_list(history, ["a"]) == ["client 1 read 0 values after 1 were seen"]


def test_leaf_indices_that_fall_are_named() -> None:
    history = [append(1, 9, "a", {"ok": 5}), append(1, 9, "b", {"ok": 4})]
    assert faults_of_list(history, ["a", "b"]) == ["b follows a at a lower leaf"]
