"""Is every register linearizable? Wing and Gong's search, with Lowe's memory of dead ends.

An operation takes effect at one instant between its start and its end. Search: of the operations
that have not taken effect, one may be next if none of the others ended before it started; a read
may be next only if it returns what the register holds. A register is linearizable if the search
gets through all operations whose outcome is known. One whose outcome is unknown may be left out.

Two things that change nothing keep the search short: a read that fits is taken at once, because it
leaves the register as it is; and an unknown write whose value nobody read is left out at once.

Sources: Wing and Gong, "Testing and verifying concurrent objects" (1993); Lowe, "Testing for
linearizability" (2017).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from histories.operations import Operation

STATES_MAX = 2_000_000
"""Limit of remembered dead ends of one register; a history that needs more is not judged."""


class Undecided(Exception):
    """The search was given up."""


def broken_registers(history: Iterable[Operation]) -> list[str]:
    """The keys whose operations fit no order. Values written to a key are all different."""
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        if operation.op in ("read", "write"):
            by_key[operation.args["key"]].append(operation)
    return [key for key, operations in sorted(by_key.items()) if not is_linearizable(operations)]


def is_linearizable(operations: Sequence[Operation]) -> bool:
    """Whether one register's operations fit an order. Raises Undecided."""
    kept = sorted(_that_matter(operations), key=lambda operation: operation.start_ns)
    ends = [operation.end_ns if operation.is_ok else None for operation in kept]
    must = sum(1 << place for place, end in enumerate(ends) if end is not None)
    seen: set[tuple[int, str | None]] = set()
    stack: list[tuple[int, str | None]] = [(0, None)]
    while stack:
        taken, value = stack.pop()
        taken = _take_reads(kept, ends, taken, value)
        if taken & must == must:
            return True
        if (taken, value) in seen:
            continue
        seen.add((taken, value))
        if len(seen) > STATES_MAX:
            raise Undecided(f"more than {STATES_MAX} states")
        for place in _candidates(kept, ends, taken):
            if kept[place].op == "write":
                stack.append((taken | 1 << place, kept[place].args["value"]))
    return False


def _that_matter(operations: Sequence[Operation]) -> list[Operation]:
    written = [each.args["value"] for each in operations if each.op == "write"]
    assert len(set(written)) == len(written), "values that repeat prove less"
    read = {each.result["ok"] for each in operations if each.op == "read" and each.is_ok}
    return [
        each
        for each in operations
        if each.is_ok or (each.is_unknown and each.op == "write" and each.args["value"] in read)
    ]


def _candidates(kept: Sequence[Operation], ends: Sequence[int | None], taken: int) -> list[int]:
    """Places of the operations that may be next: they started before any that is left ended."""
    found: list[int] = []
    first_end: int | None = None
    for place in range(_first_left(taken), len(kept)):
        if first_end is not None and kept[place].start_ns > first_end:
            break
        if taken >> place & 1:
            continue
        found.append(place)
        end = ends[place]
        if end is not None and (first_end is None or end < first_end):
            first_end = end
    return found


def _take_reads(
    kept: Sequence[Operation], ends: Sequence[int | None], taken: int, value: str | None
) -> int:
    while True:
        fitting = [
            place
            for place in _candidates(kept, ends, taken)
            if kept[place].op == "read" and kept[place].result["ok"] == value
        ]
        if not fitting:
            return taken
        for place in fitting:
            taken |= 1 << place


def _first_left(taken: int) -> int:
    """The lowest place that is not taken."""
    return (~taken & (taken + 1)).bit_length() - 1
