"""Where segments are judged: in processes on this machine's cores, or on a Dask cluster.

Both run `audit.segments.judge_bytes`, so both find the same. Segments travel as bytes, and what
comes back is a hundred times smaller.
"""

import gc
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from audit.segments import (
    Judged,
    Segment,
    judge_at_once,
    judge_bytes,
    parse_judged,
    segment_bytes,
)
from audit.verify import Unreadable

LEAVES_ALONE = 4_000
"""So many leaves are judged in this process before others are started, which takes a second."""

CLUSTER_TIMEOUT_S = 20.0
"""How long a cluster's scheduler may take to answer at first."""


class Cores:
    """Judges segments on several cores. Use as a context manager."""

    def __init__(self, processes: int | None = None) -> None:
        """processes: ≥ 1; by default one for each core that this process may use."""
        self.processes = processes or len(os.sched_getaffinity(0))
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Cores":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __call__(self, segment: Segment) -> Callable[[], Judged]:
        """Starts to judge a segment."""
        if self._pool is None:
            if segment.first < LEAVES_ALONE:
                return judge_at_once(segment)
            self._pool = ProcessPoolExecutor(
                self.processes, multiprocessing.get_context("spawn"), gc.freeze
            )
        started: Future[bytes] = self._pool.submit(judge_bytes, segment_bytes(segment))
        return lambda: parse_judged(started.result())


class Cluster:
    """Judges segments on a running Dask cluster. Use as a context manager.

    Its workers need this very release installed, and are trusted as this machine is.
    """

    def __init__(self, address: str) -> None:
        """address: of the scheduler, `tcp://host:port`. Raises Unreadable."""
        try:
            import distributed
        except ImportError:
            raise Unreadable(
                "Dask is not installed here: install concordat-ledger[dask], or leave --dask out"
            ) from None
        try:
            client: Any = distributed.Client
            self._client: Any = client(address, timeout=CLUSTER_TIMEOUT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise Unreadable(f"no Dask scheduler answers at {address}: {error}") from None

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def __call__(self, segment: Segment) -> Callable[[], Judged]:
        """Starts to judge a segment."""
        started = self._client.submit(judge_bytes, segment_bytes(segment), pure=False)
        return lambda: parse_judged(started.result())
