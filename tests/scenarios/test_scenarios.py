"""Every scripted cluster does what its file says; `--rewrite` writes down what it does now."""

import difflib
from pathlib import Path

import pytest

from scenarios.script import RULE, rewritten

FILES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scripted_cluster_does_what_its_file_says(
    path: Path, request: pytest.FixtureRequest
) -> None:
    written = path.read_text(encoding="utf-8")
    happens = rewritten(written)
    if request.config.getoption("--rewrite"):
        path.write_text(happens, encoding="utf-8")
        return
    differs = "\n".join(
        difflib.unified_diff(written.split("\n"), happens.split("\n"), "written", "happens", n=2)
    )
    assert not differs, differs


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scripted_cluster_says_what_it_shows(path: Path) -> None:
    prose = path.read_text(encoding="utf-8").partition(f"\n{RULE}\n")[0]
    assert len(prose.split()) >= 20, "the paragraph before the script says what it shows"
    assert max(map(len, prose.split("\n"))) <= 100
