"""How a line of the product is broken for a while, in the running interpreter only."""

import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any


@dataclass(frozen=True, slots=True)
class Patch:
    """function: "module:qualified name". old: a text in its source, new: its replacement."""

    function: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Bug:
    """pitfall: of the list of known mistakes of Raft implementations, or one of our own.

    mode: the kind of run that catches it (`sim.modes`). temper: of the seeds that meet it most
    (`sim.options`), "" if any do. situation: the script that it is run in instead of ordinary seeds
    (`sim.situations`), "" if it needs none.
    """

    name: str
    pitfall: str
    patches: tuple[Patch, ...]
    mode: str
    temper: str
    situation: str


def bug(
    name: str,
    pitfall: str,
    *patches: tuple[str, str, str],
    mode: str = "crash",
    temper: str = "",
    situation: str = "",
) -> Bug:
    """A bug from its patches, each a function, what is in it and what stands there instead."""
    return Bug(name, pitfall, tuple(Patch(*patch) for patch in patches), mode, temper, situation)


@contextmanager
def seeded(which: Bug) -> Iterator[None]:
    """The product with the bug in it."""
    undo: list[tuple[Any, str, Any]] = []
    try:
        for patch in which.patches:
            undo.append(_apply(patch))
        yield
    finally:
        for owner, name, original in reversed(undo):
            made = getattr(owner, name)
            setattr(owner, name, original)
            _rebind(made, original)


def _apply(patch: Patch) -> tuple[Any, str, Any]:
    module_name, _, path = patch.function.partition(":")
    module = importlib.import_module(module_name)
    owner: Any = module
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original = owner.__dict__[name] if outer else getattr(module, name)
    plain: FunctionType = original
    source = _SOURCES.get((patch.function, id(plain))) or inspect.getsource(plain)
    assert patch.old in source, f"{patch.old!r} is not in {patch.function}"
    changed = source.replace(patch.old, patch.new, 1)
    space: dict[str, Any] = {}
    text = "if True:\n" + changed if outer else changed
    exec(compile(text, f"<bug in {patch.function}>", "exec"), vars(module), space)
    made = space[name]
    _SOURCES[(patch.function, id(made))] = changed
    setattr(owner, name, made)
    if not outer:
        _rebind(original, made)
    return owner, name, original


def _rebind(original: Any, made: Any) -> None:
    """A function that other modules imported by name is replaced there too, for as long."""
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", {})
        for name, value in list(names.items()):
            if value is original:
                setattr(module, name, made)


_SOURCES: dict[tuple[str, int], str] = {}
