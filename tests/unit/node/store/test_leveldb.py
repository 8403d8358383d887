"""`node.store.leveldb`: whole batches, a chain over them, one owner."""

from pathlib import Path

import pytest

from ledger import store_keys
from node.errors import StoreCorrupt, StoreInUse, Unavailable
from node.ports import Batch, Watermark
from node.store.leveldb import LevelStore, batch_digest


def batch(number: int, puts: dict[bytes, bytes], deletes: tuple[bytes, ...] = ()) -> Batch:
    return Batch(number, puts, deletes, Watermark(number, 1, None, 0))


def test_batches_are_all_or_nothing_and_come_back(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "data")
    store.write(batch(1, {b"a": b"1", b"b": b"2"}))
    snapshot = store.snapshot()
    store.write(batch(2, {b"c": b"3"}, (b"a",)))
    assert snapshot.get(b"a") == b"1" and snapshot.get(b"c") is None
    assert list(snapshot.scan(b"a", b"d")) == [(b"a", b"1"), (b"b", b"2")]
    snapshot.close()
    store.close()
    store = LevelStore(tmp_path / "data")
    assert store.batch_number == 2 and store.get(b"a") is None
    assert next(iter(store.scan(b"a", b"z", reverse=True)))[0] == store_keys.BATCH_MARK
    assert list(store.scan(b"a", b"d")) == [(b"b", b"2"), (b"c", b"3")]
    with pytest.raises(AssertionError, match="without gaps"):
        store.write(batch(4, {}))
    store.close()


def test_the_chain_depends_on_every_byte_of_every_batch(tmp_path: Path) -> None:
    marks = []
    for number, value in enumerate([b"1", b"2"]):
        store = LevelStore(tmp_path / str(number))
        store.write(batch(1, {b"a": value}))
        store.write(batch(2, {b"b": b"same"}))
        marks.append(store.get(store_keys.BATCH_MARK))
        store.close()
    assert marks[0] is not None and marks[0] != marks[1] and marks[0][:8] == marks[1][:8]
    digests = {
        batch_digest(batch(1, {b"a": b"bc"})),
        batch_digest(batch(1, {b"ab": b"c"})),
        batch_digest(batch(1, {}, (b"a",))),
        batch_digest(batch(1, {}, (b"a", b"b"))),
    }
    assert len(digests) == 4


def test_a_store_has_one_owner(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "data")
    with pytest.raises(StoreInUse, match="another process"):
        LevelStore(tmp_path / "data")
    store.close()


def test_a_place_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        LevelStore(tmp_path / "file")


def test_a_damaged_log_is_refused_not_repaired(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "data")
    for number in range(1, 4):
        store.write(batch(number, {b"key": bytes(1_000)}))
    store.close()
    log = next((tmp_path / "data").glob("*.log"))
    content = bytearray(log.read_bytes())
    content[1_200] ^= 1
    log.write_bytes(content)
    with pytest.raises(StoreCorrupt):
        LevelStore(tmp_path / "data")
