"""One changed byte anywhere in a store is found by the auditor, who names the place."""

import shutil
from pathlib import Path
from random import Random

import pytest
from builders import Consortium
from recorded import record_ledger

from audit.sources.directory import DirectorySource
from audit.sources.leveldb_files import uncovered
from audit.verify import Audit, Report, Unreadable

POSITIONS = 200


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Consortium]:
    folder = tmp_path_factory.mktemp("ledger") / "data"
    return folder, record_ledger(folder)


def verify(folder: Path, consortium: Consortium) -> Report:
    with DirectorySource(folder) as source:
        return Audit(consortium.genesis_file, source).run()


def test_an_untouched_store_holds(ledger: tuple[Path, Consortium]) -> None:
    folder, consortium = ledger
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    report = verify(folder, consortium)
    assert report.findings == [] and report.certified is not None
    assert report.certified.height == report.height > 160
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def positions(folder: Path) -> list[tuple[str, int]]:
    """Places to change: spread over kinds of files, and within each over its regions."""
    dice = Random(20261123)
    exempt = {name for name, _ in uncovered(folder)}
    kinds: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.name not in exempt and path.stat().st_size:
            kinds.setdefault(path.suffix or path.name.partition("-")[0], []).append(path)
    assert set(kinds) == {".ldb", ".log", "CURRENT", "MANIFEST"}
    chosen: set[tuple[str, int]] = set()
    counts = {".ldb": 90, ".log": 80, "MANIFEST": 20, "CURRENT": 10}
    for kind, paths in kinds.items():
        wanted = len(chosen) + counts[kind]
        while len(chosen) < wanted:
            path = dice.choice(paths)
            size = path.stat().st_size
            region = dice.choice(["start", "end", "anywhere"])
            reach = min(size, 64)
            place = {
                "start": dice.randrange(reach),
                "end": size - 1 - dice.randrange(reach),
                "anywhere": dice.randrange(size),
            }[region]
            chosen.add((path.name, place))
    return sorted(chosen)


def test_every_changed_byte_is_found_and_its_place_named(
    ledger: tuple[Path, Consortium], tmp_path: Path
) -> None:
    folder, consortium = ledger
    dice = Random(7)
    chosen = positions(folder)
    assert len(chosen) == POSITIONS
    for number, (name, place) in enumerate(chosen):
        copy = tmp_path / str(number)
        shutil.copytree(folder, copy)
        content = bytearray((copy / name).read_bytes())
        content[place] ^= 1 << dice.randrange(8)
        (copy / name).write_bytes(content)
        places = found_places(copy, consortium)
        assert places, f"nothing found after byte {place} of {name} changed"
        assert any(name in found for found in places), (name, place, places)
        shutil.rmtree(copy)


def found_places(folder: Path, consortium: Consortium) -> list[str]:
    """Where the auditor finds something; what it cannot even open is found as a whole."""
    try:
        return [finding.place for finding in verify(folder, consortium).findings]
    except Unreadable as error:
        return [str(error)]


def test_what_no_promise_covers_is_listed_with_the_reason(
    ledger: tuple[Path, Consortium],
) -> None:
    folder, consortium = ledger
    listed = uncovered(folder)
    assert listed and all(reason for _, reason in listed)
    for name, _ in listed:
        path = folder / name
        path.write_bytes(b"\xff" + path.read_bytes())
    assert verify(folder, consortium).findings == []
