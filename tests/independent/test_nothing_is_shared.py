"""What the checkers here import: nothing of the product's, where they check.

A module may import the product only within a fixture or a test, to have something to judge. The
checking code, and everything at the top of a module, knows the standard library, `msgpack` and
`cryptography` alone. `test_witness.py` is not a checker of ledgers but a log and a client of ours;
it has to import the witness that it talks to.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CHECKERS = ("test_export.py", "test_record_proof.py")
ALLOWED = {"msgpack", "cryptography", "pytest"}
OURS = ("ledger", "contracts", "audit", "consensus", "node", "cli")


def imported(tree: ast.AST) -> Iterator[str]:
    """The top names of every import below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None
            yield node.module.split(".")[0]


def is_given(node: ast.stmt) -> bool:
    """Whether a function is a test or a fixture, which may run the product."""
    if not isinstance(node, ast.FunctionDef):
        return False
    fixture = any("fixture" in ast.unparse(each) for each in node.decorator_list)
    return fixture or node.name.startswith("test_")


@pytest.mark.parametrize("name", CHECKERS)
def test_a_checker_imports_nothing_but_the_standard_library_and_two_packages(name: str) -> None:
    tree = ast.parse((HERE / name).read_text(encoding="utf-8"))
    checking = [node for node in tree.body if not is_given(node)]
    names = {each for node in checking for each in imported(node)}
    assert names, "it imports something"
    beyond = {each for each in names if each not in sys.stdlib_module_names} - ALLOWED
    assert beyond == set()


@pytest.mark.parametrize("name", CHECKERS)
def test_importing_a_checker_loads_nothing_of_ours(name: str) -> None:
    lines = (
        "import sys",
        f"sys.path[:0] = [{str(HERE.parent.parent)!r}, {str(HERE)!r}]",
        f"import {name.removesuffix('.py')}",
        f"print(*sorted({{each.split('.')[0] for each in sys.modules}} & set({OURS!r})))",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_every_checker_is_among_those_looked_at() -> None:
    found = {path.name for path in HERE.glob("test_*.py")}
    assert found == {*CHECKERS, "test_witness.py", Path(__file__).name}


@pytest.mark.parametrize("name", CHECKERS)
def test_a_checker_is_of_few_lines(name: str) -> None:
    """Short enough to be read before it is trusted: a hundred lines and their imports."""
    text = (HERE / name).read_text(encoding="utf-8")
    tree = ast.parse(text)
    lines = sum(
        node.end_lineno - node.lineno + 1
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not is_given(node)
    )
    assert 0 < lines <= 120
