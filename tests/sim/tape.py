"""The choice tape: every random choice of a run, in frames, so that a run can be told and cut.

A frame holds the choices of one event of the world. While a seed is *drawn*, choices come from one
random source and are noted. While a tape is *replayed*, they come from the tape; whatever a frame
does not hold is 0, and each question is asked so that 0 is the harmless answer: no fault, the
shortest delay, the first of a list. So a tape stays a valid run however a shrinker cuts it.

A tape file is text: `# cause` lines, `mode name`, `bug name` (if the product was broken on
purpose), `steps n`, then a line a frame; `*n` stands for n empty frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

Item = TypeVar("Item")

FINE = 10_000
"""Parts into which a probability is divided."""


class Tape:
    """Choices drawn from a seed, or replayed from frames."""

    __slots__ = ("_fair", "_frame", "_place", "_random", "_recorded", "frames")

    def __init__(self, *, seed: int = 0, recorded: Sequence[Sequence[int]] | None = None) -> None:
        self._random = Random(seed).random
        self._recorded = recorded
        self._frame: list[int] = []
        self._place = 0
        self._fair = 0
        self.frames: list[list[int]] = [self._frame]

    @property
    def ended(self) -> bool:
        """Whether a replayed tape has no more frames."""
        return self._recorded is not None and len(self.frames) > len(self._recorded)

    def begin(self) -> None:
        """The next event begins."""
        self._frame = []
        self.frames.append(self._frame)
        self._place = 0

    def below(self, limit: int) -> int:
        """An integer, 0 ≤ it < limit."""
        value = self._next(limit)
        self._frame.append(value)
        return value

    def _next(self, limit: int) -> int:
        if self._recorded is None:
            return int(self._random() * limit)
        place = self._place
        self._place = place + 1
        number = len(self.frames) - 1
        if number < len(self._recorded) and place < len(self._recorded[number]):
            return self._recorded[number][place] % limit
        return 0

    def chance(self, probability: float) -> bool:
        """True as often as that; nothing is drawn where it never is."""
        return probability > 0 and self.below(FINE) >= FINE - int(probability * FINE)

    def between(self, low: int, high: int) -> int:
        """An integer, low ≤ it ≤ high; `low` is the harmless one."""
        return low + self.below(high - low + 1) if high > low else low

    def choice(self, items: Sequence[Item]) -> Item:
        """One of the items; the first is the harmless one."""
        return items[self.below(len(items))]

    def fair(self, limit: int) -> int:
        """For election timeouts: an integer that stays spread out where a tape holds nothing.

        If all nodes drew 0 they would campaign together for ever. So a tape holds one more than
        what was drawn, and 0 stands for a number of its own each time.
        """
        number = self.below(limit + 1) if self._recorded is not None else 1 + self._next(limit)
        if number == 0:
            self._fair += 1
            number = 1 + (self._fair * 0x9E3779B1 >> 7) % limit
        if self._recorded is not None:
            self._frame.pop()
        self._frame.append(number)
        return number - 1


@dataclass(frozen=True, slots=True)
class Recording:
    """A tape as it is kept: what it is about, and its frames. bug: "" if the product is whole."""

    mode: str
    bug: str
    steps: int
    frames: tuple[tuple[int, ...], ...]
    cause: tuple[str, ...] = ()

    def to_text(self) -> str:
        """The file's text."""
        lines = [f"# {line}" for line in self.cause]
        lines += [f"mode {self.mode}", f"steps {self.steps}"]
        if self.bug:
            lines.append(f"bug {self.bug}")
        empty = 0
        for frame in self.frames:
            numbers = list(frame)
            while numbers and numbers[-1] == 0:
                numbers.pop()
            if not numbers:
                empty += 1
                continue
            if empty:
                lines.append(f"*{empty}")
                empty = 0
            lines.append(" ".join(map(str, numbers)))
        return "\n".join(lines) + "\n"


def parse_recording(text: str) -> Recording:
    """A tape file's content."""
    named = {"mode": "", "bug": "", "steps": "0"}
    cause: list[str] = []
    frames: list[tuple[int, ...]] = []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "#":
            cause.append(rest)
        elif word in named:
            named[word] = rest
        elif word.startswith("*"):
            frames += [()] * int(word[1:])
        else:
            frames.append(tuple(map(int, line.split())))
    return Recording(named["mode"], named["bug"], int(named["steps"]), tuple(frames), tuple(cause))
