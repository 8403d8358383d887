"""Rules of style as a test; each ban names what to use instead."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ledger", "consensus", "contracts", "audit", "node", "cli")
CORES = ("ledger", "consensus", "contracts")

MODULE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

BANNED_CALLS = {
    "print": "structlog in the node, cli.show in the command line",
    "eval": "a parser",
    "exec": "a function",
    "input": "click.prompt",
    "breakpoint": "a test",
}

BANNED_IN_CORES = {
    "hash": "hashlib",
    "id": "an identifier of the domain",
    "float": "integers with a unit",
    "open": "bytes from the caller",
}

BANNED_NAMES = {"utils", "common", "helpers", "misc", "manager", "stuff"}


def sources(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


ALL = sources(*PACKAGES)


@pytest.mark.parametrize("path", ALL, ids=named)
def test_modules_and_functions_are_short_and_documented(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MODULE_LINES_MAX, "split it by job, not by size"
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module opens with what it is for"
    for node in definitions(tree):
        assert node.end_lineno is not None
        length = node.end_lineno - node.lineno + 1
        if not isinstance(node, ast.ClassDef):
            assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines: split it"
        public = not node.name.startswith("_")
        assert not public or ast.get_docstring(node), f"{node.name} has no docstring"


def definitions(
    tree: ast.AST,
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Functions, classes and methods; neither what is private nor what is nested in a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield node
            if not node.name.startswith("_"):
                yield from definitions(node)


@pytest.mark.parametrize("path", ALL, ids=named)
def test_banned_calls_are_absent(path: Path) -> None:
    banned = dict(BANNED_CALLS)
    if path.relative_to(ROOT).parts[0] in CORES:
        banned |= BANNED_IN_CORES
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            instead = banned.get(node.func.id)
            assert instead is None, f"line {node.lineno}: {node.func.id}(): use {instead}"
        if isinstance(node, ast.Attribute) and node.attr == "sleep":
            in_loop_shell = named(path).startswith(("node/", "cli/"))
            assert in_loop_shell, f"line {node.lineno}: cores count ticks"


@pytest.mark.parametrize("path", sources(*CORES), ids=named)
def test_cores_iterate_no_set_unsorted(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.For | ast.comprehension):
            over = node.iter
            literal = isinstance(over, ast.Set | ast.SetComp)
            made = (
                isinstance(over, ast.Call)
                and isinstance(over.func, ast.Name)
                and over.func.id in ("set", "frozenset")
            )
            assert not literal and not made, "sort it: the order of a set is no order"


def test_no_module_is_named_for_nothing() -> None:
    for path in ALL:
        assert path.stem not in BANNED_NAMES, f"{named(path)}: name it for its one job"
        assert not BANNED_NAMES.intersection(path.parts), named(path)


def test_no_work_is_left_as_a_note() -> None:
    note = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    for path in [*ALL, *sorted((ROOT / "docs").rglob("*.md"))]:
        assert not note.search(path.read_text(encoding="utf-8")), named(path)


def test_the_lock_holds_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock and "--hash=sha256:" in lock


def test_what_records_addresses_of_an_index_is_not_committed() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    forbidden = {"uv.lock", "pylock.toml", "package-lock.json"}
    assert not [name for name in tracked if Path(name).name in forbidden]
    assert not [name for name in tracked if name.endswith((".key", ".db", ".log"))]


def test_every_path_of_tests_that_the_makefile_names_is_there() -> None:
    named_paths = re.findall(r"\btests/[\w/.]+", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert named_paths
    assert not [path for path in named_paths if not (ROOT / path).exists()]


def test_no_two_files_of_tests_outside_packages_share_a_name() -> None:
    seen: dict[str, Path] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if (path.parent / "__init__.py").exists():
            continue
        other = seen.setdefault(path.name, path)
        assert other is path, f"{named(path)} and {named(other)}: pytest imports only one of them"
