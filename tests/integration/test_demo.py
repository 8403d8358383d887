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
        program("concordat", "demo"),
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(folder), "COLUMNS": "200"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = {shape(line) for line in done.stdout.splitlines()}
    for line in expected_lines():
        assert shape(line) in shown, line
    assert [path.name for path in folder.glob("concordat-*")] == []
    assert processes_of(str(folder)) == []


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
