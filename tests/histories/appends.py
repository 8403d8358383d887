"""Is the list one list? Every append is in it once, in an order that agrees with time.

The order is given, by the ledger of any node after the run, so nothing is searched for. It is
judged against what clients saw. What was acknowledged is there, once; what was refused is not. An
append that ended before another started precedes it. A read shows a piece of the list, holds all
that was acknowledged before it started, and nothing that was asked for after it ended; no later
read shows less.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from histories.operations import Operation


def faults_of_list(history: Iterable[Operation], final: Sequence[str]) -> list[str]:
    """What is wrong, in words; empty if nothing is. final: the values in the ledger's order."""
    operations = list(history)
    appends = {each.args["value"]: each for each in operations if each.op == "append"}
    reads = [each for each in operations if each.op == "read-list" and each.is_ok]
    place = {value: number for number, value in enumerate(final)}
    faults = [] if len(place) == len(final) else ["a value is in the list twice"]
    faults += [f"nobody appended {value}" for value in final if value not in appends]
    for value, append in appends.items():
        if append.is_ok and value not in place:
            faults.append(f"{value} was acknowledged and is not in the list")
        if "refused" in append.result and value in place:
            faults.append(f"{value} was refused and is in the list")
    if faults:
        return faults
    ordered = [appends[value] for value in final]
    return (
        _wrong_leaves(ordered)
        + _against_time(ordered)
        + [fault for read in reads for fault in _misread(read, final)]
        + _too_little_or_too_much(reads, ordered)
        + _went_back(reads)
    )


def _wrong_leaves(ordered: Sequence[Operation]) -> list[str]:
    """Leaf indices that were answered rise along the list."""
    answered = [each for each in ordered if each.is_ok]
    return [
        f"{after.args['value']} follows {before.args['value']} at a lower leaf"
        for before, after in pairwise(answered)
        if after.result["ok"] <= before.result["ok"]
    ]


def _against_time(ordered: Sequence[Operation]) -> list[str]:
    """Appends that come after one which ended before they started."""
    found: list[str] = []
    first_end: Operation | None = None
    for each in reversed(ordered):
        if first_end is not None and first_end.end_ns < each.start_ns:
            before, after = first_end.args["value"], each.args["value"]
            found.append(f"{before} ended before {after} started, and follows it")
        if each.is_ok and (first_end is None or each.end_ns < first_end.end_ns):
            first_end = each
    return found


def _misread(read: Operation, final: Sequence[str]) -> list[str]:
    start, values = read.args["from"], read.result["ok"]["values"]
    if list(final[start : start + len(values)]) == values:
        return []
    return [f"client {read.client} read from {start} what the list never held"]


def _reach(read: Operation) -> int:
    length = len(read.result["ok"]["values"])
    return int(read.args["from"]) + length


def _too_little_or_too_much(reads: Sequence[Operation], ordered: Sequence[Operation]) -> list[str]:
    """A read to the list's end holds all that was acknowledged before it, and no more."""
    found: list[str] = []
    ended = sorted((each.end_ns, number) for number, each in enumerate(ordered) if each.is_ok)
    latest_start: list[int] = []
    for each in ordered:
        latest_start.append(max(each.start_ns, latest_start[-1] if latest_start else 0))
    least, done = 0, 0
    for read in sorted(reads, key=lambda each: each.start_ns):
        while done < len(ended) and ended[done][0] < read.start_ns:
            least = max(least, ended[done][1] + 1)
            done += 1
        reach = _reach(read)
        if not read.result["ok"]["more"] and reach < least:
            found.append(f"client {read.client} read {reach} values when {least} were acknowledged")
        if reach and latest_start[reach - 1] > read.end_ns:
            found.append(f"client {read.client} read a value before it was appended")
    return found


def _went_back(reads: Sequence[Operation]) -> list[str]:
    """A read to the list's end that reaches less far than one that ended before it started."""
    found: list[str] = []
    by_end = sorted(reads, key=lambda each: each.end_ns)
    least, done = 0, 0
    for read in sorted(reads, key=lambda each: each.start_ns):
        while done < len(by_end) and by_end[done].end_ns < read.start_ns:
            least = max(least, _reach(by_end[done]))
            done += 1
        if not read.result["ok"]["more"] and _reach(read) < least:
            found.append(f"client {read.client} read {_reach(read)} values after {least} were seen")
    return found
