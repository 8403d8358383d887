"""The arrows of docs/ARCHITECTURE.md, checked at run time: what importing a core pulls in."""

import subprocess
import sys
from pathlib import Path

import pytest

SHELL = ("asyncio", "socket", "ssl", "plyvel", "fastapi", "duckdb", "networkx", "node")

CORES = ("ledger", "consensus", "contracts", "audit.verify")


def modules_of(package: str) -> list[str]:
    """Every module below a package, by its import name."""
    root = Path(__file__).resolve().parent.parent
    if "." in package:
        return [package]
    paths = sorted((root / package).rglob("*.py"))
    names = [".".join(path.relative_to(root).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names]


@pytest.mark.parametrize("core", CORES)
def test_importing_a_core_pulls_in_no_shell(core: str) -> None:
    program = "import sys\n" + "".join(f"import {name}\n" for name in modules_of(core))
    program += f"print([name for name in {SHELL!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_simulator_runs_without_the_shell() -> None:
    program = (
        "import sys; import node.replica; shell = ('asyncio', 'socket', 'plyvel', 'fastapi'); "
        "print([name for name in shell if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_packages_are_ours_and_no_others_stand_beside_them() -> None:
    root = Path(__file__).resolve().parent.parent
    found = {path.parent.name for path in root.glob("*/__init__.py")}
    assert found == {"ledger", "consensus", "contracts", "audit", "node", "cli"}
