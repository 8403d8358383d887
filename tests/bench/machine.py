"""What processes use, and what the primitives cost on this machine, in this very run."""

import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ledger.signatures import Signer, verify
from node.ports import Batch, Watermark
from node.store.leveldb import LevelStore

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of several processes together: CPU seconds, bytes written, and the largest one's memory."""

    cpu_s: float
    written_bytes: int
    rss_max_bytes: int


def usage(pids: Iterable[int]) -> Usage:
    """What these processes have used so far (proc(5): stat fields 14, 15, 24; io)."""
    cpu_s, written, rss = 0.0, 0, 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        cpu_s += (int(fields[11]) + int(fields[12])) / _TICKS
        rss = max(rss, int(fields[21]) * _PAGE_BYTES)
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("write_bytes:"):
                written += int(line.split()[1])
    return Usage(cpu_s, written, rss)


@dataclass(frozen=True, slots=True)
class Primitives:
    """Microseconds of one signature check, one signature, and one synced write of 4 KiB."""

    check_us: float
    sign_us: float
    sync_us: float


def primitives(folder: Path) -> Primitives:
    """Measures them, each as the median of many."""
    signer = Signer(bytes(32))
    message = bytes(350)
    signature = signer.sign(message)
    store = LevelStore(folder)
    numbers = iter(range(1, 1_000))

    def write() -> None:
        number = next(numbers)
        mark = Watermark(number, 0, None, 0)
        store.write(Batch(number, {b"k%d" % number: bytes(4096)}, (), mark))

    try:
        return Primitives(
            check_us=_median_us(lambda: verify(signer.public_key, message, signature), 2_000),
            sign_us=_median_us(lambda: signer.sign(message), 2_000),
            sync_us=_median_us(write, 200),
        )
    finally:
        store.close()


def _median_us(action: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e6
