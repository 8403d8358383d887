"""`concordat audit compare`, `blame` and `check`, on directories and files of old checkpoints."""

import json
from pathlib import Path

import pytest
from branches import Branch, write_store
from builders import Consortium
from click.testing import CliRunner, Result
from recorded import dataset

from audit.memory import CheckpointMemory
from cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores that share five blocks and then go on differently, and their notes."""
    folder = tmp_path_factory.mktemp("forks")
    consortium = Consortium()
    trunk = Branch(consortium)
    for number in range(5):
        trunk.block(dataset(consortium, "health", f"table-{number}"))
    trunk.certify(consortium.departments)
    write_store(trunk, folder / "trunk")
    (folder / "genesis.json").write_bytes(consortium.genesis_file.to_json())
    CheckpointMemory(folder).remember(trunk.checkpoint)
    for name, third in (("one", "housing"), ("other", "tourism")):
        branch = trunk.copy()
        branch.block(dataset(consortium, "health", name), log=False)
        certificate = branch.certify(("health", "transport", third))
        write_store(branch, folder / name)
        (folder / f"{name}.note").write_bytes(certificate.to_note().to_bytes())
        (folder / f"{name}.certificate").write_bytes(certificate.to_bytes())
    stranger = Branch(Consortium(settings=(("record-skew-ms", 4_000),)))
    stranger.block()
    write_store(stranger, folder / "stranger")
    return folder


def run(folder: Path, command: str, *names: str, genesis: bool = False) -> Result:
    targets = [str(folder / name) if not name.startswith("-") else name for name in names]
    trusted = ["--genesis", str(folder / "genesis.json")] if genesis else []
    return CliRunner().invoke(main, ["audit", command, *targets, *trusted])


def memory(folder: Path) -> str:
    return next(path.name for path in folder.glob("*.json") if len(path.stem) == 64)


@pytest.mark.parametrize(
    ("one", "other", "relation", "exit_code"),
    [
        ("trunk", "trunk", "same", 0),
        ("trunk", "one", "prefix", 0),
        ("one", "other", "fork", 1),
        ("one.note", "one", "same", 0),
        ("one", "one.certificate", "same", 0),
        ("one.note", "other", "fork", 1),
        ("one.note", "trunk", "unknown", 1),
        ("one.note", "one.certificate", "same", 0),
        ("one.note", "other.note", "fork", 1),
        ("memory", "one", "prefix", 0),
        ("memory", "other.note", "unknown", 1),
    ],
)
def test_two_of_anything_are_compared(
    folder: Path, one: str, other: str, relation: str, exit_code: int
) -> None:
    names = [memory(folder) if name == "memory" else name for name in (one, other)]
    done = run(folder, "compare", *names, "--json")
    assert json.loads(done.output)["relation"] == relation
    assert done.exit_code == exit_code
    assert run(folder, "compare", *names).exit_code == exit_code


def test_a_fork_is_shown_with_its_place_and_what_to_do(folder: Path) -> None:
    done = run(folder, "compare", "one", "other")
    assert "FORKED" in done.output and "audit blame" in done.output
    assert "common height      5" in done.output and "differs at leaf    10" in done.output


def test_different_ledgers_and_unreadable_files_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"{")
    for pair in (("one", "stranger"), ("one", "absent"), ("one", str(tmp_path / "junk"))):
        done = run(folder, "compare", *pair)
        assert done.exit_code == 1 and "what to do" in done.output, done.output


def test_blame_writes_a_file_that_check_confirms(folder: Path, tmp_path: Path) -> None:
    evidence = tmp_path / "evidence.json"
    done = run(folder, "blame", "one", "other", "-o", str(evidence), genesis=True)
    assert done.exit_code == 1 and "named: health, transport" in done.output, done.output
    done = run(folder, "check", str(evidence), genesis=True)
    assert done.exit_code == 0 and "named: health, transport" in done.output, done.output
    done = run(folder, "check", str(evidence), "--json", genesis=True)
    shown = json.loads(done.output)
    assert (shown["proved"], shown["departments"]) == (True, ["health", "transport"])
    again = run(folder, "blame", "one", "other", "-o", str(evidence), genesis=True)
    assert "nothing is overwritten" in again.output
    evidence.write_bytes(evidence.read_bytes()[:-1])
    assert run(folder, "check", str(evidence), genesis=True).exit_code == 1


def test_two_notes_are_enough_to_blame(folder: Path) -> None:
    done = run(folder, "blame", "one.note", "other.certificate", "--json", genesis=True)
    assert json.loads(done.output)["departments"] == ["health", "transport"]
    assert done.exit_code == 1


def test_nobody_is_named_where_nobody_lied(folder: Path) -> None:
    for names in (("trunk", "one"), ("one",), ("one.note", "trunk")):
        done = run(folder, "blame", *names, genesis=True)
        assert done.exit_code == 0 and "Nobody" in done.output
        done = run(folder, "blame", *names, "--json", genesis=True)
        assert json.loads(done.output)["departments"] == []
