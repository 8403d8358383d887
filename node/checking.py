"""Checks signatures for the replica: few on the loop, many in threads, a turn's at once.

libsodium releases the interpreter's lock, so threads use the other processors. A job costs a
thread several times what it costs by itself; so a turn's jobs are divided into as few parts as
there are threads. More than they check at a time comes back group by group: whoever executes need
not wait for the last of them.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from ledger.signatures import verify
from node import ports

CHUNK = 256
"""Signatures that one thread checks at a time, at most."""

HERE_MAX = 4
"""Signatures that are checked on the loop itself: a thread costs more than they do."""

Results = list[tuple[int, list[bool]]]
"""Tokens of `Verify` effects, each with one result a job."""


class Checker:
    """done(results): called on the loop, for what threads have checked."""

    def __init__(self, done: Callable[[Results], None]) -> None:
        self._done = done
        self._threads = max(1, (os.cpu_count() or 2) - 1)
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="verify")
        self._waiting: list[ports.Verify] = []

    def ask(self, effect: ports.Verify) -> None:
        """Takes a question, to be checked with all others until `begin`."""
        self._waiting.append(effect)

    def begin(self) -> Results:
        """Checks what was asked: the results at once if it is little, none if threads have it."""
        if not self._waiting:
            return []
        effects, self._waiting = self._waiting, []
        jobs = [job for effect in effects for job in effect.jobs]
        if len(jobs) <= HERE_MAX:
            return _by_effect(effects, _check(jobs))
        for group in _groups(effects, jobs_max=CHUNK * self._threads):
            self._hand_out(group)
        return []

    def close(self) -> None:
        """Lets go of what has not begun."""
        self._executor.shutdown(cancel_futures=True)

    def _hand_out(self, effects: Sequence[ports.Verify]) -> None:
        """Divides these among the threads; what was handed out before comes first."""
        jobs = [job for effect in effects for job in effect.jobs]
        size = min(CHUNK, max(HERE_MAX, -(-len(jobs) // self._threads)))
        parts = [jobs[at : at + size] for at in range(0, len(jobs), size)]
        loop = asyncio.get_running_loop()
        gathered = asyncio.gather(
            *(loop.run_in_executor(self._executor, _check, part) for part in parts)
        )

        def checked(results: asyncio.Future[list[list[bool]]]) -> None:
            if not results.cancelled():
                valid = [each for part in results.result() for each in part]
                self._done(_by_effect(effects, valid))

        gathered.add_done_callback(checked)


def _groups(effects: Sequence[ports.Verify], *, jobs_max: int) -> Iterator[list[ports.Verify]]:
    """Effects in order, each group with at most so many jobs, or of one effect alone."""
    group: list[ports.Verify] = []
    size = 0
    for effect in effects:
        if group and size + len(effect.jobs) > jobs_max:
            yield group
            group, size = [], 0
        group.append(effect)
        size += len(effect.jobs)
    if group:
        yield group


def _by_effect(effects: Sequence[ports.Verify], results: list[bool]) -> Results:
    found: Results = []
    start = 0
    for effect in effects:
        end = start + len(effect.jobs)
        found.append((effect.token, results[start:end]))
        start = end
    return found


def _check(jobs: Sequence[ports.SignatureJob]) -> list[bool]:
    return [verify(job.public_key, job.message, job.signature) for job in jobs]
