"""Scenarios in another implementation's language come out as their files say; `--rewrite` too."""

import ast
import inspect
from pathlib import Path

import pytest

import consensus
from scenarios import adapter

FILES = sorted((Path(__file__).parent / "commands").glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_in_foreign_commands_comes_out_as_its_file_says(
    path: Path, request: pytest.FixtureRequest
) -> None:
    written = path.read_text(encoding="utf-8")
    happens = adapter.replayed(written)
    if request.config.getoption("--rewrite"):
        path.write_text(happens, encoding="utf-8")
        return
    assert written == happens


def test_every_command_of_the_table_is_in_some_scenario() -> None:
    named = {name for name in vars(adapter.Play) if not name.startswith("_")}
    said = {
        line.split()[0].replace("-", "_")
        for path in FILES
        for line in path.read_text(encoding="utf-8").splitlines()
        if line
    }
    assert named - {"run", "raft"} <= said


def test_the_adapter_uses_public_names_of_the_core_alone() -> None:
    tree = ast.parse(inspect.getsource(adapter))
    imported = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("consensus")
        for alias in node.names
    }
    modules = {module for module, _ in imported}
    assert modules == {"consensus", "consensus.memory"}
    assert {name for module, name in imported if module == "consensus"} <= set(consensus.__all__)
    private = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_")
    }
    assert private <= {"__name__", "__class__", "_execute", "_install"}
