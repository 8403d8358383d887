"""What verifying a ledger costs beside its signatures, in CPU time of one run.

    python tests/bench/verify_ledger.py [RECORDS] [BULK_RECEIPTS] [PROCESSES]

Makes a ledger of individually signed records on disk, as an export's leaves and attachments lie,
and another one of bulk receipts, 5,000 in a record. Each is verified as `concordat audit verify`
does, by as many processes as this one may use cores or as are named; right before and after, the
same processes check the same signatures and do nothing else. CPU time is of all processes, the
reading one included; memory is the largest of each. The second table says where the time goes
beside the signatures, in one process; the third what the contracts take for each kind of record.

The records (`mix`): of 100, 46 are receipts of one exchange and 45 acknowledgements of one, as
exchanges that are signed one by one leave them behind, 3 denials, 2 voids, 2 requests of grants and
2 approvals; among 40 departments, 200 datasets and 500 grants at first. Blocks hold 500 records.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import plyvel

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "tests"):
    sys.path.insert(0, str(folder))

from branches import cosign  # noqa: E402
from builders import START_MS, Consortium  # noqa: E402
from recorded import dataset, grant_request, receipts  # noqa: E402

from audit.reading import _segments  # noqa: E402
from audit.replay import Replay  # noqa: E402
from audit.segments import Leaf, judge_segment, reread  # noqa: E402
from audit.sources.scratch_folder import ScratchFolder  # noqa: E402
from audit.verify import Audit, Level  # noqa: E402
from audit.workers import Cores  # noqa: E402
from contracts import exchanges, machine  # noqa: E402
from contracts.grants import GrantApprove  # noqa: E402
from contracts.machine import Candidate, Execution  # noqa: E402
from contracts.refusals import Refusal  # noqa: E402
from ledger import store_keys  # noqa: E402
from ledger.attachments import items_root  # noqa: E402
from ledger.blocks import BlockHeader, parse_any_leaf  # noqa: E402
from ledger.certificates import Certificate  # noqa: E402
from ledger.checkpoints import Checkpoint  # noqa: E402
from ledger.codec import encode  # noqa: E402
from ledger.records import Record, parse_leaf  # noqa: E402
from ledger.signatures import verify  # noqa: E402
from ledger.state_tree import StateTree  # noqa: E402
from ledger.types import Height  # noqa: E402

DEPARTMENTS, DATASETS, GRANTS, BLOCK_RECORDS = 40, 200, 500, 500
BULK_RECORD, BULK_BLOCK = 5_000, 8
LEVELS: tuple[Level, ...] = ("structure", "signatures", "full")


def batched(numbers: range, size: int) -> Iterator[range]:
    return (numbers[at : at + size] for at in range(0, len(numbers), size))


class Disk:
    """A ledger's leaves, attachments and certificate in LevelDB; a source, but no whole store."""

    whole = False

    def __init__(self, folder: Path) -> None:
        self.db = plyvel.DB(str(folder), create_if_missing=True)

    def get(self, key: bytes) -> bytes | None:
        return self.db.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.db.iterator(start=start, stop=stop))

    def damage(self) -> Iterable[tuple[str, str]]:
        return ()


class Maker:
    """Makes blocks of a certified ledger."""

    def __init__(self, consortium: Consortium, disk: Disk) -> None:
        self.consortium, self._disk = consortium, disk
        self._replay = Replay(consortium.genesis_file)
        self.records = 0

    def block(self, records: list[Record]) -> None:
        tip = self._replay.tip
        header = BlockHeader(
            version=1,
            ledger_id=self.consortium.ledger_id,
            height=tip.height + 1,
            previous_hash=tip.block_hash,
            term=1,
            entry_hash=bytes(32),
            time_ms=START_MS + 10_000 + 100 * tip.height,
            tree_size=tip.tree_size,
            tree_root=tip.tree().root(),
            state_root=bytes(32),
            voters=tip.voters,
            record_count=len(records),
        )
        made = self._replay.execute(header, records, [True] * len(records))
        assert not made.block.refused, made.block.refused[:3]
        with self._disk.db.write_batch() as writes:
            for key, value in made.stored:
                if key[:1] in (store_keys.LEAF, store_keys.ATTACHED):
                    writes.put(key, value)
        self.records += len(records)

    def certify(self) -> None:
        tip = self._replay.tip
        checkpoint = Checkpoint(
            self.consortium.ledger_id, tip.height, tip.tree_size, tip.tree().root()
        )
        founder = self.consortium.departments[0]
        certificate = Certificate.of(checkpoint, [cosign(self.consortium, founder, checkpoint)])
        key = store_keys.certificate_key(Height(tip.height))
        self._disk.db.put(key, certificate.to_bytes())


class Mix:
    """Records one after the other in the proportions that the module names."""

    def __init__(self, consortium: Consortium) -> None:
        self._consortium = consortium
        self._names = consortium.departments
        self._numbers = iter(range(1, 1 << 40))
        self._places = iter(range(1 << 40))
        self._grants: list[tuple[bytes, str, str]] = []
        self._open: list[tuple[bytes, str, str]] = []
        self._received: list[tuple[bytes, str, str, bytes]] = []

    def founding(self) -> Iterator[list[Record]]:
        """Blocks of datasets, requests and approvals."""
        offered = [
            dataset(self._consortium, self._names[at % DEPARTMENTS], f"table-{at}")
            for at in range(DATASETS)
        ]
        yield offered
        for _ in range(0, GRANTS, 250):
            yield [self._request() for _ in range(250)]
            yield [self._approval() for _ in range(250)]

    def block(self, count: int) -> list[Record]:
        """So many records."""
        return [self._record(next(self._places)) for _ in range(count)]

    def _record(self, number: int) -> Record:
        place = number % 100
        if place < 2:
            return self._request()
        if place < 4 and self._open:
            return self._approval()
        grant_id, consumer, provider = self._grants[number * 7919 % len(self._grants)]
        if place < 7:
            denial = exchanges.Denial(self._id(), consumer, self._id(), "rows-exhausted", 1)
            return self._lines(provider, "denials", exchanges.Denials, grant_id, denial)
        if place >= 53 and self._received:
            grant_id, consumer, provider, receipt = self._received.pop(0)
            half = exchanges.Acknowledgement(self._id(), receipt, self._id(), self._id())
            if place < 55:
                void = exchanges.Void(self._id(), receipt, 0, "the line went down")
                return self._lines(provider, "voids", exchanges.Voids, grant_id, void)
            kind = exchanges.Acknowledgements
            return self._lines(consumer, "acknowledgements", kind, grant_id, half)
        at = next(self._numbers)
        made = receipts(self._consortium, provider, grant_id, range(at, at + 1))
        self._received.append((grant_id, consumer, provider, made.record_id))
        return made

    def _lines(self, author: str, kind: str, form: type, grant_id: bytes, item: object) -> Record:
        items = (encode(item),)
        body = form((exchanges.Line(grant_id, 1, items_root(items)),))
        return self._consortium.record(
            author, f"exchange.{kind}", body, items=items, created_ms=START_MS + 9_000
        )

    def _request(self) -> Record:
        number = next(self._numbers)
        provider = self._names[number % DATASETS % DEPARTMENTS]
        consumer = self._names[(number % DATASETS + 1 + number % 7) % DEPARTMENTS]
        asked = grant_request(
            self._consortium, consumer, provider, f"table-{number % DATASETS}", self._nonce()
        )
        self._open.append((asked.record_id, consumer, provider))
        return asked

    def _approval(self) -> Record:
        grant_id, consumer, provider = self._open.pop(0)
        self._grants.append((grant_id, consumer, provider))
        body = GrantApprove(grant_id)
        return self._consortium.record(provider, "grant.approve", body, created_ms=START_MS + 9_000)

    def _id(self) -> bytes:
        return next(self._numbers).to_bytes(32, "big")

    def _nonce(self) -> bytes:
        return next(self._numbers).to_bytes(16, "big")


def make(folder: str, what: str, count: int) -> None:
    """Makes a ledger of so many records of the mix, or bulk receipts, below a folder."""
    consortium = bench_consortium()
    maker = Maker(consortium, Disk(Path(folder)))
    mix = Mix(consortium)
    for block in mix.founding():
        maker.block(block)
    if what == "mix":
        while maker.records < count:
            maker.block(mix.block(min(BLOCK_RECORDS, count - maker.records)))
    else:
        grant_id, _, provider = mix._grants[0]
        starts = range(1 << 32, (1 << 32) + count, BULK_RECORD)
        for block in batched(starts, BULK_BLOCK):
            maker.block(
                [
                    receipts(consortium, provider, grant_id, range(at, at + BULK_RECORD))
                    for at in block
                ]
            )
    maker.certify()


def bench_consortium() -> Consortium:
    return Consortium(tuple(f"department-{at:02}" for at in range(DEPARTMENTS)), voter_count=1)


class Used:
    """CPU seconds of this process and its ended children since it was made, and wall seconds."""

    def __init__(self) -> None:
        self._cpu, self._wall = self._now(), time.monotonic()

    def _now(self) -> float:
        parts = [
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        return sum(part.ru_utime + part.ru_stime for part in parts)

    def since(self) -> tuple[float, float]:
        return self._now() - self._cpu, time.monotonic() - self._wall


def verified(disk: Disk, level: Level, processes: int) -> tuple[float, float]:
    """CPU and wall seconds of verifying."""
    used = Used()
    with Cores(processes) as judge, ScratchFolder() as scratch:
        genesis = bench_consortium().genesis_file
        report = Audit(genesis, disk, level=level, judge=judge, scratch=scratch).run()
    assert report.holds, report.findings[:3]
    return used.since()


def signatures(disk: Disk, processes: int) -> tuple[float, float]:
    """CPU and wall seconds of the signature checks alone, by so many processes at once."""
    jobs = []
    for _, data in disk.scan(store_keys.LEAF, bytes([store_keys.LEAF[0] + 1])):
        if not isinstance(parse_any_leaf(data), BlockHeader):
            record = parse_leaf(data)
            jobs.append((record.header.key, record.statement(), record.signature))
    cpu = wall = 0.0
    context = get_context("fork")  # which passes what to check without pickling it
    shares = [jobs[at::processes] for at in range(processes)]
    barrier = context.Barrier(processes)
    results = context.SimpleQueue()

    def run(share: list[tuple[bytes, bytes, bytes]]) -> None:
        barrier.wait()
        began, started = time.process_time(), time.monotonic()
        assert all(verify(*job) for job in share)
        results.put((time.process_time() - began, time.monotonic() - started))

    workers = [context.Process(target=run, args=(share,)) for share in shares]
    for worker in workers:
        worker.start()
    for _ in workers:
        its_cpu, its_wall = results.get()
        cpu, wall = cpu + its_cpu, max(wall, its_wall)
    for worker in workers:
        worker.join()
    return cpu, wall


def kinds(disk: Disk) -> dict[str, tuple[int, float]]:
    """By kind: how many records, and the median of what the contracts take for one, in seconds."""
    spent: dict[str, list[float]] = {}
    judge = Execution.judge

    def timed(execution: Execution, entry: Candidate) -> Refusal | None:
        began = time.perf_counter()
        refusal = judge(execution, entry)
        assert entry.record is not None
        spent.setdefault(entry.record.header.kind, []).append(time.perf_counter() - began)
        return refusal

    Execution.judge = timed
    Audit(bench_consortium().genesis_file, disk).run()
    Execution.judge = judge
    return {kind: (len(times), sorted(times)[len(times) // 2]) for kind, times in spent.items()}


def parts(disk: Disk) -> dict[str, float]:
    """By part of verifying in full, but for signatures: CPU seconds, in this process."""
    spent: Counter[str] = Counter()

    def timed(label: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            began = time.process_time()
            made = work(*given, **named)
            spent[label] += time.process_time() - began
            return made

        return run

    replay = Replay(bench_consortium().genesis_file, derive=False)
    machine._judge_all = timed("contracts", machine._judge_all)
    StateTree.update = timed("state tree", StateTree.update)
    segments = _segments(disk, 0, signatures=False, attachments=True)
    read = timed("reading leaves and what is attached", partial(next, segments, None))
    judge = timed("canonical bytes, hashes, attachments", judge_segment)
    again = timed("decoding again", lambda *given: list(reread(*given)))
    execute = timed("execution", replay.execute_judged)
    block: list[Leaf] = []
    while (segment := read()) is not None:
        for leaf in again(segment, judge(segment)):
            if isinstance(leaf.parsed, BlockHeader):
                records = [Candidate(each.parsed, "", True, each.leaf_hash) for each in block]
                made = execute(leaf.parsed, records, attachments_judged=True)
                assert made.block.header_bytes == leaf.data
                block = []
            else:
                block.append(leaf)
    within = spent["contracts"] + spent["state tree"]
    spent["blocks, Merkle tree, nonces"] = spent.pop("execution") - within
    return dict(spent)


def peaks() -> tuple[int, int]:
    """MiB at the peak: this process, and the largest of its ended children."""
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
    )


def step(name: str, folder: str, *numbers: int, what: str = "mix") -> Any:
    """Carries out a step in a process of its own, so that memory counts for one thing alone."""
    command = [sys.executable, __file__, "step", name, folder, what, *map(str, numbers)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def carry_out(name: str, folder: str, what: str, *numbers: int) -> Any:
    """A step, in its own process."""
    match name:
        case "make":
            return make(folder, what, *numbers)
        case "alone":
            return signatures(Disk(Path(folder)), *numbers)
        case "kinds":
            return kinds(Disk(Path(folder)))
        case "parts":
            return parts(Disk(Path(folder)))
        case level:
            return (*verified(Disk(Path(folder)), level, *numbers), *peaks())


def main(arguments: list[str]) -> None:
    """Makes both ledgers, measures, and prints what it took."""
    if arguments and arguments[0] == "step":
        name, folder, what, *numbers = arguments[1:]
        print(json.dumps(carry_out(name, folder, what, *map(int, numbers))))
        return
    given = [int(each) for each in arguments]
    cores = len(os.sched_getaffinity(0))
    count, bulk, processes = given + [20_000, 200_000, cores][len(given) :]
    with tempfile.TemporaryDirectory(prefix="concordat-bench-") as parent:
        mixed, batches = f"{parent}/mix", f"{parent}/bulk"
        step("make", mixed, count)
        before = step("alone", mixed, processes)
        costs = [(level, *step(level, mixed, processes)) for level in LEVELS]
        after = step("alone", mixed, processes)
        alone, wall_alone = ((one + other) / 2 for one, other in zip(before, after, strict=True))
        print(
            f"{count} records, {processes} processes, load {os.getloadavg()[0]:.1f}; "
            f"signatures alone {alone / count * 1e6:.1f} us of CPU each "
            f"({before[0] / count * 1e6:.1f} before, {after[0] / count * 1e6:.1f} after), "
            f"{wall_alone:.1f} s\n"
        )
        print("                CPU us     beside   signatures' share            MiB at the peak")
        print("level           a record  signatures  of CPU  of wall    wall s  reading  judging")
        for level, cpu, wall, own, child in costs:
            print(
                f"{level:14} {cpu / count * 1e6:9.1f} {(cpu - alone) / count * 1e6:11.1f}"
                f" {alone / cpu:7.0%} {wall_alone / wall:8.0%} {wall:9.1f} {own:8} {child:8}"
            )
        step("make", batches, bulk, what="bulk")
        cpu, wall, own, child = step("full", batches, processes, what="bulk")
        name = f"{bulk} bulk"
        print(f"{name:14} {cpu / bulk * 1e6:9.2f} {wall:38.1f} {own:8} {child:8}\n")
        for part, spent in step("parts", mixed).items():
            print(f"  {part:38} {spent / count * 1e6:5.1f} us a record")
        print()
        for kind, (number, median) in sorted(step("kinds", mixed).items()):
            print(
                f"  {kind:26} {number / count:6.1%} of the records, contract {median * 1e6:.1f} us"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
