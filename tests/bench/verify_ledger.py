"""What verifying a ledger costs beside its signatures, in CPU time of one run.

    python tests/bench/verify_ledger.py [RECORDS] [BULK_RECEIPTS]

Makes a ledger of individually signed receipt records in memory, checks its signatures alone, then
verifies it at each level; and one of bulk receipts, 5,000 in a record, at the full level.
"""

import resource
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "tests"):
    sys.path.insert(0, str(folder))

from branches import Branch  # noqa: E402
from builders import START_MS, Consortium  # noqa: E402
from recorded import dataset, grant_request, receipts  # noqa: E402

from audit.reading import SignatureCheck, check_in_turn, segments  # noqa: E402
from audit.verify import Audit, Level  # noqa: E402
from contracts.grants import GrantApprove  # noqa: E402

PART = 256
LEVELS: tuple[Level, ...] = ("structure", "signatures", "full")


class Made(Branch):
    """A branch whose keys are sorted once."""

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        if not hasattr(self, "keys"):
            self.keys = sorted(self.values)
        for key in self.keys[bisect_left(self.keys, start) : bisect_left(self.keys, stop)]:
            yield key, self.values[key]


def make(count: int, *, per_record: int, records_per_block: int) -> Made:
    """A certified ledger with so many receipts."""
    consortium = Consortium(("health", "housing"), voter_count=1)
    made = Made(consortium)
    made.block(dataset(consortium, "health", "table"))
    asked = grant_request(consortium, "housing", "health", "table")
    made.block(asked)
    approval = GrantApprove(asked.record_id)
    made.block(consortium.record("health", "grant.approve", approval, created_ms=START_MS + 9_000))
    for start in range(0, count, per_record * records_per_block):
        stop = min(count, start + per_record * records_per_block)
        made.block(
            *(
                receipts(consortium, "health", asked.record_id, range(at, at + per_record))
                for at in range(start, stop, per_record)
            )
        )
    made.certify(("health",))
    return made


def parts(jobs: Sequence[SignatureCheck]) -> list[Sequence[SignatureCheck]]:
    return [jobs[at : at + PART] for at in range(0, len(jobs), PART)]


def verified(made: Made, level: Level, pool: ThreadPoolExecutor) -> float:
    """CPU seconds of all threads."""

    def check(jobs: Sequence[SignatureCheck]) -> Callable[[], list[bool]]:
        started = [pool.submit(check_in_turn, part) for part in parts(jobs)]
        return lambda: [valid for part in started for valid in part.result()]

    began = time.process_time()
    report = Audit(made.genesis, made, level=level, check=check).run()
    assert report.holds, report.findings[:3]
    return time.process_time() - began


def signatures(made: Made, pool: ThreadPoolExecutor) -> float:
    """CPU seconds of the signature checks alone."""
    jobs: list[SignatureCheck] = []

    def collect(more: Sequence[SignatureCheck]) -> Callable[[], list[bool]]:
        jobs.extend(more)
        return lambda: [True] * len(more)

    for _ in segments(made, collect, attachments=False):
        pass
    began = time.process_time()
    list(pool.map(check_in_turn, parts(jobs)))
    return time.process_time() - began


def main(arguments: list[str]) -> None:
    """Prints a line for each level, and one for bulk receipts."""
    count, bulk = (int(each) for each in (*arguments, "20000", "200000")[:2])
    with ThreadPoolExecutor() as pool:
        made = make(count, per_record=1, records_per_block=2_000)
        alone = signatures(made, pool)
        for level in LEVELS:
            cost = verified(made, level, pool)
            print(
                f"{level:11} {count} records: {cost:.1f} s, {cost / count * 1e6:.0f} us each; "
                f"signatures alone {alone:.1f} s, so {alone / cost:.0%} of it"
            )
        cost = verified(make(bulk, per_record=5_000, records_per_block=8), "full", pool)
        print(f"bulk        {bulk} receipts: {cost / bulk * 1e6:.1f} us each")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"memory      {peak} MiB at the peak, the ledgers themselves included")


if __name__ == "__main__":
    main(sys.argv[1:])
