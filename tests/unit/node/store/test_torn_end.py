"""`node.store.torn_end`: a torn end is cut and kept, damage is refused and left as it is (P43)."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.errors import StoreCorrupt, StoreInUse
from node.ports import Batch, Watermark
from node.store import leveldb
from node.store.leveldb import LevelStore
from node.store.torn_end import cut_torn_end

PAGE = 4_096
LARGE = 100_000
"""Bytes of a value whose record reaches over several of a log's blocks of 32 KiB."""


def batch(number: int, size: int) -> Batch:
    value = bytes((number + at) % 251 for at in range(size))
    return Batch(number, {b"key": value}, (), Watermark(number, 1, None, 0))


def closed_store(folder: Path, *sizes: int) -> tuple[Path, list[int]]:
    """A store's log, and where each of its batches ends."""
    store = LevelStore(folder)
    log = next(folder.glob("*.log"))
    ends = [0]
    for number, size in enumerate(sizes, 1):
        store.write(batch(number, size))
        ends.append(log.stat().st_size)
    store.close()
    return log, ends


def reopened(folder: Path) -> int:
    """How many batches are left."""
    store = LevelStore(folder)
    number = store.batch_number
    value = store.get(b"key")
    store.close()
    assert value == (batch(number, len(value)).puts[b"key"] if value is not None else None)
    return number


def test_a_whole_store_is_left_alone(tmp_path: Path) -> None:
    log, _ = closed_store(tmp_path / "data", 1_000, LARGE)
    before = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    assert cut_torn_end(tmp_path / "data") == []
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    assert cut_torn_end(tmp_path) == [], "there is no store yet"
    assert log.name in before


@pytest.mark.parametrize("present", [0b00, 0b01, 0b10, 0b0110, 0b1010_1010, -1 << 1, -1 << 9])
def test_whatever_pages_of_the_last_batch_are_missing_it_alone_is_gone(
    tmp_path: Path, present: int
) -> None:
    """present: a bit for each page of the last batch, set if it reached the disk."""
    log, ends = closed_store(tmp_path / "data", 1_000, 2_000, LARGE)
    content = bytearray(log.read_bytes())
    torn = bytes(content[ends[2] :])
    for number, start in enumerate(range(ends[2], ends[3], PAGE)):
        if not present >> number & 1:
            stop = min(start + PAGE, ends[3])
            content[start:stop] = bytes(stop - start)
    log.write_bytes(content)
    assert reopened(tmp_path / "data") == 2
    kept = tmp_path / "data" / f"{log.name}.torn-{ends[2]}"
    assert kept.read_bytes() == bytes(content[ends[2] :]) != torn
    assert kept.stat().st_mode & 0o777 == 0o600
    assert reopened(tmp_path / "data") == 2, "and it stays so"


@pytest.mark.parametrize("left", [1, 6, 7, 8, PAGE, 40_000, LARGE])
def test_a_log_that_ends_within_the_last_batch_loses_that_alone(tmp_path: Path, left: int) -> None:
    log, ends = closed_store(tmp_path / "data", 1_000, LARGE)
    with log.open("r+b") as file:
        file.truncate(ends[1] + left)
    [cut] = cut_torn_end(tmp_path / "data")
    assert (cut.file, cut.offset, cut.size) == (log.name, ends[1], left)
    assert reopened(tmp_path / "data") == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content, ends: content.__setitem__(ends[1] + 50, content[ends[1] + 50] ^ 1),
        lambda content, ends: content.__setitem__(ends[1] + 4, content[ends[1] + 4] ^ 0xFF),
        lambda content, ends: content.__setitem__(slice(0, 2_000), bytes(2_000)),
        lambda content, ends: content.__setitem__(slice(ends[2], ends[2] + PAGE), bytes(PAGE)),
    ],
    ids=["a bit of a batch", "a batch's length", "two batches zero", "a page of a large batch"],
)
def test_damage_with_batches_behind_it_is_refused_and_left_as_it_is(
    tmp_path: Path, spoil: Callable[[bytearray, list[int]], None]
) -> None:
    """LevelDB itself would skip some of this in silence, with all that stands behind it."""
    log, ends = closed_store(tmp_path / "data", 1_000, 1_000, LARGE, 3_000)
    content = bytearray(log.read_bytes())
    spoil(content, ends)
    log.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="whole records follow"):
        LevelStore(tmp_path / "data")
    assert log.read_bytes() == content
    assert not list((tmp_path / "data").glob("*.torn-*"))


def two_logs(folder: Path) -> tuple[Path, Path]:
    """A store as a death leaves it while a full log is being made a table."""
    (old, _), (new, _) = (closed_store(folder.parent / name, 1_000, 2_000) for name in "ab")
    (folder.parent / "a").rename(folder)
    later = folder / f"{int(old.stem) + 1:06d}.log"
    later.write_bytes(new.read_bytes())
    return folder / old.name, later


def test_only_the_newest_log_can_be_torn(tmp_path: Path) -> None:
    old, new = two_logs(tmp_path / "data")
    content = old.read_bytes()
    with old.open("r+b") as file:
        file.truncate(len(content) - 1)
    with pytest.raises(StoreCorrupt, match="ends within a record"):
        LevelStore(tmp_path / "data")
    old.write_bytes(content)
    with new.open("r+b") as file:
        file.truncate(len(content) - 1)
    assert [cut.file for cut in cut_torn_end(tmp_path / "data")] == [new.name]


def test_a_torn_manifest_goes_back_to_the_log_before_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    closed_store(folder, 1_000)
    manifest = next(folder.glob("MANIFEST-*"))
    whole = manifest.read_bytes()
    manifest.write_bytes(whole + b"\x07" * 40)
    [cut] = cut_torn_end(folder)
    assert (cut.file, cut.offset, cut.size) == (manifest.name, len(whole), 40)
    assert reopened(folder) == 1


def test_a_manifest_whose_end_was_acknowledged_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edit that made the first log a table is damaged, and that log is gone already."""
    monkeypatch.setattr(leveldb, "WRITE_BUFFER_BYTES", 64 * 1024)
    store = LevelStore(tmp_path / "data")
    for number in range(1, 7):  # the third log waits until the first is a table
        store.write(batch(number, 40_000))
    store.close()
    assert list((tmp_path / "data").glob("*.ldb")), "a log was made a table"
    manifest = next((tmp_path / "data").glob("MANIFEST-*"))
    content = bytearray(manifest.read_bytes())
    content[-1] ^= 1
    manifest.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="is gone"):
        LevelStore(tmp_path / "data")


def in_another_process(call: Callable[[Path], object], path: Path) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as others:
        others.submit(call, path).result()


def test_a_store_that_is_open_elsewhere_is_not_touched(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "data")
    with pytest.raises(StoreInUse):
        in_another_process(cut_torn_end, tmp_path / "data")
    store.close()


@pytest.mark.parametrize("current", [b"", b"\xff\n", b"MANIFEST-999999\n", b"../x\n"])
def test_a_store_without_its_manifest_is_refused(tmp_path: Path, current: bytes) -> None:
    closed_store(tmp_path / "data", 1_000)
    (tmp_path / "data" / "CURRENT").write_bytes(current)
    with pytest.raises(StoreCorrupt):
        LevelStore(tmp_path / "data")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, list[int]]:
    folder = tmp_path_factory.mktemp("store") / "data"
    log, ends = closed_store(folder, 1_000, 40_000)
    return log, log.read_bytes(), ends


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=300), zeros=st.integers(0, 40_000))
def test_whatever_follows_what_was_acknowledged_none_of_that_is_lost(
    written: tuple[Path, bytes, list[int]], tail: bytes, zeros: int
) -> None:
    log, content, ends = written
    log.write_bytes(content + bytes(zeros) + tail)
    cut_torn_end(log.parent)
    assert log.read_bytes()[: ends[2]] == content
    assert not cut_torn_end(log.parent)
