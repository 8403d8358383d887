"""`audit.scratch`: what a replay knows is the same in memory and in a scratch store."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from branches import Branch
from builders import START_MS, Consortium
from recorded import dataset, grant_request, receipts

from audit import scratch as bounds
from audit.scratch import Nonces, Table
from audit.sources.scratch_folder import ScratchFolder
from audit.verify import Audit, Unreadable
from contracts.grants import GrantApprove


class Memory:
    """A scratch store that counts."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.writes = 0

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(key for key in self.values if start <= key < stop):
            yield key, self.values[key]

    def write(self, puts: Mapping[bytes, bytes]) -> None:
        self.values.update(puts)
        self.writes += 1

    def clear(self, prefix: bytes) -> None:
        self.values = {key: value for key, value in self.values.items() if key[:1] != prefix}


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Almost nothing stays in memory."""
    for name, limit in (("UNSAVED_MAX", 3), ("RECENT_MAX", 2), ("RUN_PAIRS", 4)):
        monkeypatch.setattr(bounds, name, limit)
    monkeypatch.setattr(bounds, "CHUNK_PAIRS", 2)


@pytest.mark.usefixtures("tight")
def test_a_table_gives_back_what_was_put_wherever_it_lies() -> None:
    store = Memory()
    table = Table(store, b"v")
    expected: dict[bytes, bytes] = {}
    for number in range(60):
        key, value = b"%d" % (number % 13), b"%d" % number
        table.update({key: value})
        expected[key] = value
        assert {key: table.get(key) for key in expected} == expected
        assert dict(table.items()) == expected
        if table.is_full:
            store.write(table.unsaved())
    assert store.writes > 5
    assert table.get(b"absent") is None


@pytest.mark.usefixtures("tight")
def test_a_nonce_that_comes_again_is_seen_at_once_or_in_the_end() -> None:
    store = Memory()
    nonces = Nonces(store, b"n")
    for index in range(23):
        nonce = bytes(15) + bytes([index % 19])
        if nonces.seen(bytes(32), nonce):
            raise AssertionError("it lies in an older run")
        nonces.add(bytes(32), nonce, index)
        if nonces.is_full:
            store.write(nonces.unsaved())
    assert len(nonces.runs) == 5
    assert sorted(nonces.repeated()) == [19, 20, 21, 22]
    assert nonces.seen(bytes(32), bytes(15) + bytes([3]))
    assert not nonces.seen(bytes([1]) * 32, bytes(15) + bytes([3]))


@pytest.mark.usefixtures("tight")
def test_a_ledger_is_judged_alike_with_almost_nothing_in_memory(tmp_path: Path) -> None:
    consortium = Consortium(("health", "housing"), voter_count=1)
    branch = Branch(consortium)
    for number in range(8):
        branch.block(dataset(consortium, "health", f"table-{number}"))
    asked = grant_request(consortium, "housing", "health", "table-0")
    branch.block(asked)
    approval = GrantApprove(asked.record_id)
    branch.block(consortium.record("health", "grant.approve", approval, created_ms=START_MS + 9))
    for start in range(10):
        branch.block(receipts(consortium, "health", asked.record_id, range(start, start + 1)))
    branch.certify(("health",))
    with ScratchFolder(tmp_path / "scratch") as scratch:
        report = Audit(branch.genesis, branch, scratch=scratch).run()
        assert any(scratch.scan(b"n", b"o"))
    assert report == Audit(branch.genesis, branch).run()
    assert report.holds


def test_a_temporary_scratch_store_leaves_nothing_behind(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with ScratchFolder() as scratch:
        scratch.write({b"k": b"v"})
        assert scratch.get(b"k") == b"v"
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unreadable, match="scratch"):
        ScratchFolder(tmp_path / "file")


def test_records_without_end_are_not_gathered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    consortium = Consortium(("health", "housing"), voter_count=1)
    branch = Branch(consortium)
    for number in range(2):
        records = [dataset(consortium, "health", f"table-{number}-{at}") for at in range(4)]
        branch.block(*records)
    branch.certify(("health",))
    assert Audit(branch.genesis, branch).run().holds
    monkeypatch.setattr("audit.verify.ENTRY_RECORDS_MAX", 3)
    [finding] = Audit(branch.genesis, branch).run().findings
    assert (finding.code, finding.place) == ("incomplete-block", "leaf 0")
