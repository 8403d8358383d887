"""Where segments are judged: in processes on this machine's cores, or on a Dask cluster.

Both run `audit.segments.judge_bytes`, so both find the same. Segments travel as bytes, and what
comes back is a hundred times smaller.
"""

import gc
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from threading import local
from typing import Any

from audit.judging import read_frame, write_frame
from audit.segments import (
    Judged,
    Segment,
    judge_at_once,
    judge_bytes,
    parse_judged,
    segment_bytes,
)

SEGMENTS_ALONE = 4
"""So many segments are judged in this process before others are started."""

GARBAGE_ALLOCATIONS = 50_000
"""After so many more objects the collector looks for cycles, while cores judge: what a record makes
goes by itself, so to look after every 700, as is usual, finds nothing and takes 1 µs a record."""

CLUSTER_TIMEOUT_S = 20.0
"""How long a cluster's scheduler, and its first worker, may take to answer at first."""

CLUSTER_PAUSE_S = 10.0
"""How long a segment is waited for before it is asked whether any worker is left."""

_CLUSTER_REMEDY = (
    "Start the scheduler and workers with this release, or leave --dask out: "
    "all cores of this machine are used then."
)


class Unjudged(Exception):
    """Who should judge segments cannot; nothing is said about the ledger. remedy: what to do."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.remedy = remedy


class Cores:
    """Judges segments on several cores. Use as a context manager.

    A thread for each process hands it one segment at a time.
    """

    def __init__(self, processes: int | None = None) -> None:
        """processes: ≥ 1; by default one for each core that this process may use."""
        self._threads = ThreadPoolExecutor(processes or len(os.sched_getaffinity(0)))
        self._mine = local()
        self._started: list[subprocess.Popen[bytes]] = []
        self._alone = SEGMENTS_ALONE
        self._garbage = gc.get_threshold()

    def __enter__(self) -> "Cores":
        gc.set_threshold(GARBAGE_ALLOCATIONS, *self._garbage[1:])
        return self

    def __exit__(self, *_: object) -> None:
        gc.set_threshold(*self._garbage)
        self._threads.shutdown(cancel_futures=True)
        for process in self._started:
            process.communicate()

    @property
    def processes(self) -> int:
        """How many have been started."""
        return len(self._started)

    def __call__(self, segment: Segment) -> Callable[[], Judged]:
        """Starts to judge a segment."""
        if self._alone:
            self._alone -= 1
            return judge_at_once(segment)
        result: Future[bytes] = self._threads.submit(self._judge, segment_bytes(segment))
        return lambda: parse_judged(result.result())

    def _judge(self, data: bytes) -> bytes:
        process = getattr(self._mine, "process", None)
        if process is None:
            process = self._mine.process = self._start()
        assert process.stdin is not None and process.stdout is not None
        try:
            write_frame(process.stdin, data)
            judged = read_frame(process.stdout)
        except OSError:
            judged = None
        if judged is None:
            raise Unjudged(
                "a judging process ended: out of memory, perhaps",
                "Free some memory, or let the command run on fewer cores (`taskset`).",
            )
        return judged

    def _start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", "audit.judging"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._started.append(process)
        return process


class Cluster:
    """Judges segments on a running Dask cluster. Use as a context manager.

    Its workers need this very release installed, and are trusted as this machine is.
    """

    def __init__(self, address: str) -> None:
        """address: of the scheduler, `tcp://host:port`. Raises Unjudged."""
        try:
            import distributed
        except ImportError:
            raise Unjudged(
                "Dask is not installed here", "Install concordat-ledger[dask], or leave --dask out."
            ) from None
        if not re.fullmatch(r"(tcp|tls)://\S+:[0-9]{1,5}", address):
            raise Unjudged(f"{address} is no scheduler's address", "Write tcp://HOST:PORT.")
        self._address = address
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        self._lost: tuple[type[BaseException], ...] = (
            *(OSError, CancelledError, ImportError, AttributeError),
            distributed.scheduler.KilledWorker,
        )
        try:
            client: Any = distributed.Client
            self._client: Any = client(address, timeout=CLUSTER_TIMEOUT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise Unjudged(
                f"no Dask scheduler answers at {address}: {error}", _CLUSTER_REMEDY
            ) from None
        try:
            self._client.wait_for_workers(1, timeout=CLUSTER_TIMEOUT_S)
        except TimeoutError:
            self._client.close()
            raise Unjudged(
                f"the Dask scheduler at {address} has no worker", _CLUSTER_REMEDY
            ) from None

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def __call__(self, segment: Segment) -> Callable[[], Judged]:
        """Starts to judge a segment."""
        started = self._client.submit(judge_bytes, segment_bytes(segment), pure=False)
        return lambda: parse_judged(self._result(started))

    def _result(self, started: Any) -> bytes:
        """What a worker found. Raises Unjudged if nobody is left who could find it."""
        try:
            while True:
                try:
                    found: bytes = started.result(timeout=CLUSTER_PAUSE_S)
                except TimeoutError:
                    if not self._client.nthreads():
                        raise Unjudged(
                            f"no worker of the Dask cluster at {self._address} is left",
                            _CLUSTER_REMEDY,
                        ) from None
                else:
                    return found
        except self._lost as error:
            raise Unjudged(
                f"the Dask cluster at {self._address} failed: {error or type(error).__name__}",
                _CLUSTER_REMEDY,
            ) from None
