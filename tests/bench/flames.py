"""Flame graphs of running nodes as text, by `py-spy` where it is installed: `make bench FLAMES=…`.

Samples count while a thread holds the interpreter: neither waiting nor what C code does beside it
(signature checks, synced writes) is in them. A line is a function under its caller, the dearest
first, with its share in all samples of that node and the share spent in itself.
"""

import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

SAMPLES_PER_S = 250

SHARE_MIN = 0.015
"""Share below which a call is not shown."""

DEPTH_MAX = 30

END_S_MAX = 30.0

Stack = tuple[str, ...]


class Flames:
    """Samples processes until it ends; one graph for each, `<name>.txt` in the folder.

    Does nothing where `py-spy` is not installed.
    """

    def __init__(self, folder: Path, pids: Mapping[str, int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._samplers: dict[str, subprocess.Popen[bytes]] = {}
        program = shutil.which("py-spy")
        for name, pid in pids.items() if program is not None else ():
            command = [program, "record", "--gil", "--nonblocking", "--full-filenames"]
            command += ["--rate", str(SAMPLES_PER_S), "--duration", "86400", "--format", "raw"]
            command += ["--output", str(self._raw(name)), "--pid", str(pid)]
            with (folder / "py-spy.log").open("ab") as log:
                self._samplers[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def end(self) -> None:
        """Ends the samplers, while the processes still run, and draws."""
        for sampler in self._samplers.values():
            sampler.send_signal(signal.SIGINT)
        for name, sampler in self._samplers.items():
            sampler.wait(END_S_MAX)
            if self._raw(name).exists():
                graph = drawn(self._raw(name).read_text(encoding="utf-8").splitlines())
                (self._folder / f"{name}.txt").write_text(graph, encoding="utf-8")
                self._raw(name).unlink()
        self._samplers.clear()

    def _raw(self, name: str) -> Path:
        return self._folder / f"{name}.raw"


_FRAME = re.compile(r"(?P<function>.*) \((?P<path>.*?)(?::\d+)?\)")
_OUTSIDE = re.compile(r".*/(?:site-packages|python3\.\d+)/")
_STARTING = re.compile(r"Runner\.run |_bootstrap|Thread\.run |run \(")
"""Frames above the event loop's callbacks, or a thread's work, that say nothing."""


def drawn(lines: Iterable[str]) -> str:
    """The graph of folded stacks: each line `outermost;…;innermost samples`."""
    stacks: Counter[Stack] = Counter()
    for line in lines:
        frames, _, samples = line.rpartition(" ")
        names = frames.split(";")
        first = max((at for at, name in enumerate(names) if _STARTING.match(name)), default=-1)
        stacks[tuple(map(_short, names[first + 1 :])) or ("the event loop itself",)] += int(samples)
    total = stacks.total() or 1
    shown = [f"{total} samples; share with callees, share in itself, function"]
    _draw(stacks, 0, total, shown)
    return "\n".join(shown) + "\n"


def _short(frame: str) -> str:
    found = _FRAME.fullmatch(frame)
    if found is None:
        return frame
    path = found["path"]
    if _OUTSIDE.match(path):
        return f"{_OUTSIDE.sub('', path)} {found['function']}"
    return f"{'/'.join(Path(path).parts[-2:])} {found['function']}"


def _draw(stacks: Counter[Stack], depth: int, total: int, shown: list[str]) -> None:
    below: dict[str, Counter[Stack]] = {}
    for stack, samples in stacks.items():
        if len(stack) > depth:
            below.setdefault(stack[depth], Counter())[stack] += samples
    for name in sorted(below, key=lambda each: (-below[each].total(), each)):
        share = below[name].total() / total
        if share < SHARE_MIN or depth == DEPTH_MAX:
            continue
        own = sum(count for stack, count in below[name].items() if len(stack) == depth + 1)
        shown.append(f"{share:6.1%} {own / total:6.1%}  {'  ' * depth}{name}")
        _draw(below[name], depth + 1, total, shown)
