"""What every test may ask for: the shared vectors, and tools that the machine may lack."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PROJECT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "concordat",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("concordat")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--rewrite`: golden files take what happens now; read the difference before committing it."""
    parser.addoption("--rewrite", action="store_true", help="rewrite tests/scenarios/*.txt")


UNCOUNTED = ("attacks", "exhaustive", "integration", "sim")
"""Folders whose tests run without coverage, which would make the longest ones four times as slow:
the lines of the cores are for the tests of each rule to take."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what runs without coverage."""
    for item in items:
        if item.path.relative_to(PROJECT / "tests").parts[0] in UNCOUNTED:
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public vectors and data beside this checkout; skips where it is absent."""
    folder = PROJECT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder of shared vectors is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of this checkout."""
    return PROJECT


def needs_tool(*names: str) -> None:
    """Skip where a program is missing, with its name; under CI=true that is a failure."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        unable(f"not installed: {', '.join(missing)}")


def needs_root() -> None:
    """Skip where this is not root: mounts, namespaces and devices need it."""
    if os.geteuid() != 0:
        unable("mounts, namespaces and devices need root")


def needs_device(path: str) -> None:
    """Skip where the kernel does not offer a device."""
    if not Path(path).exists():
        unable(f"this kernel has no {path}")


def needs_file(path: str) -> None:
    """Skip where a file that a package would bring is missing."""
    if not Path(path).exists():
        unable(f"not installed: {path}")


def unable(reason: str) -> None:
    """This machine cannot run the test: it is skipped, and under CI=true it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


SIMULATED = []
"""What the simulator met, once a test has noted something (`sim.reporting`)."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Counts what the simulator met, from whichever worker the report comes."""
    if any(name.startswith("simulated ") for name, _ in report.user_properties):
        from sim.reporting import Simulated

        if not SIMULATED:
            SIMULATED.append(Simulated())
        SIMULATED[0].add(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A kind of fault that a whole simulation never met fails the session."""
    if SIMULATED and SIMULATED[0].missing() and not hasattr(session.config, "workerinput"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the kinds of fault and how often they struck."""
    for simulated in SIMULATED:
        terminalreporter.section("simulated")
        for line in simulated.lines():
            terminalreporter.write_line(line)
