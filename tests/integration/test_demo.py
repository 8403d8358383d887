"""The demonstration as a newcomer runs it, and the README's word on how it ends."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from planted import betrayed, written

from cli.demo import sources
from cli.demo.cluster import program

pytestmark = pytest.mark.demo

README = Path(__file__).resolve().parent.parent.parent / "README.md"

FIGURES = re.compile(r"[0-9a-f]{16}…|[0-9]+\.ldb|[0-9]+\.log|[\d.,]+")
NAMES = re.compile(r"(civil-affairs|health|housing|tourism|transport)(, (?=[a-z]))?")


def shape(line: str) -> str:
    """A line without what differs from run to run: figures, and which departments."""
    line = FIGURES.sub("#", NAMES.sub("", line))
    return " ".join(re.sub(r"(CURRENT|MANIFEST-#)", "#", line).split())


def expected_lines() -> list[str]:
    text = README.read_text(encoding="utf-8")
    part = text.partition("<!-- demo output -->")[2].partition("<!-- end -->")[0]
    return [line.strip() for line in part.strip().splitlines()]


def processes_of(folder_prefix: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if folder_prefix in command:
            found.append(command)
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder that also the user of PostgreSQL can reach."""
    made = Path(tempfile.mkdtemp(prefix="demo-test-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.mark.timeout(240)
def test_the_demo_tells_its_thirteen_scenes_and_ends_as_the_readme_says(folder: Path) -> None:
    done = subprocess.run(
        program("concordat", "demo", "--keep"),
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(folder), "COLUMNS": "200"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kept = re.search(r"stop it with: kill ([\d ]+); rm -r (\S+)", done.stdout)
    assert kept is not None, done.stdout
    for pid in kept[1].split():
        os.kill(int(pid), signal.SIGTERM)
    shown = {shape(line) for line in done.stdout.splitlines()}
    for line in expected_lines():
        assert shape(line) in shown, line
    deadline = time.monotonic() + 20
    while processes_of(str(folder)):
        assert time.monotonic() < deadline, "processes are left"
    assert_nobody_is_betrayed(Path(kept[2]))


def assert_nobody_is_betrayed(folder: Path) -> None:
    """No disk of a node holds whom the demonstration's exchanges were about, nor a digest of it.

    What the departments keep beside their nodes, their own sources, is not looked into; so it is
    known to hold what is looked for.
    """
    people = sources.people()[:180]
    planted = ["demo case", *(each.id_number for each in people[:100])]
    planted += sorted({each.address for each in people if len(each.address) > 16})[:50]
    planted += sorted({each.born for each in people})[:49]
    assert len(set(planted)) == 200
    own = ("residents.db", "vaccinations.db", "postgres", "tenancies.csv")
    assert planted[1].encode() in (folder / "civil-affairs" / own[0]).read_bytes()
    searched, found = betrayed(written(folder, without=own), planted)
    assert found == [] and searched > 1_000_000


@pytest.mark.timeout(120)
def test_an_interrupted_demo_cleans_up(folder: Path) -> None:
    demo = subprocess.Popen(
        program("concordat", "demo"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith(" 4/13"):
            break
    demo.send_signal(signal.SIGINT)
    rest = demo.stdout.read()
    demo.stdout.close()
    assert demo.wait() == 130, rest
    deadline = time.monotonic() + 20
    while processes_of(str(folder)):
        assert time.monotonic() < deadline, "processes are left"
    assert [path.name for path in folder.glob("concordat-*")] == []
