"""Cuts a failing tape down while it keeps failing in the same way.

Frames are emptied and taken out in ever smaller chunks, the tail first, then single choices are
set to 0. Whatever is left is what the failure needs.
"""

from collections.abc import Callable

from sim.runs import run_recording
from sim.tape import Recording

TRIES_MAX = 2_000

Frames = tuple[tuple[int, ...], ...]


def failure_of(recording: Recording) -> str | None:
    """What speaks against a tape; None if it holds. Numbers are left out: they shift."""
    try:
        run_recording(recording)
    except Exception as error:  # noqa: BLE001 - whatever speaks is what is looked for
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        return "".join(letter for letter in words if not letter.isdigit())
    return None


class Shrinker:
    """One tape being cut. fails(frames): whether it still fails as the first one did."""

    def __init__(self, frames: Frames, fails: Callable[[Frames], bool], tries_max: int) -> None:
        self.frames = frames
        self._fails = fails
        self._left = tries_max

    def _try(self, frames: Frames) -> bool:
        if frames == self.frames or self._left <= 0:
            return False
        self._left -= 1
        if not self._fails(frames):
            return False
        self.frames = frames
        return True

    def run(self) -> Frames:
        """The shortest tape that was found."""
        before: Frames = ()
        while before != self.frames and self._left > 0:
            before = self.frames
            self._in_chunks(lambda frames, at, end: frames[:at])
            self._in_chunks(lambda frames, at, end: frames[:at] + ((),) * (end - at) + frames[end:])
            self._in_chunks(lambda frames, at, end: frames[:at] + frames[end:])
            self._zero_choices()
        return self.frames

    def _in_chunks(self, cut: Callable[[Frames, int, int], Frames]) -> None:
        size = len(self.frames) // 2
        while size >= 1 and self._left > 0:
            at = len(self.frames) - size
            while at >= 1:
                self._try(cut(self.frames, at, min(at + size, len(self.frames))))
                at -= size
            size //= 2 if size > 8 or len(self.frames) < 300 else 9

    def _zero_choices(self) -> None:
        for at in range(len(self.frames)):
            for place, value in enumerate(self.frames[at]):
                if value and self._left > 0:
                    frame = self.frames[at][:place] + (0,) + self.frames[at][place + 1 :]
                    self._try(self.frames[:at] + (frame,) + self.frames[at + 1 :])


def shrink(
    recording: Recording,
    *,
    tries_max: int = TRIES_MAX,
    failure: Callable[[Recording], str | None] = failure_of,
) -> Recording:
    """A tape that fails as the given one does, and is no longer."""

    def with_frames(frames: Frames) -> Recording:
        return Recording(recording.mode, recording.bug, recording.steps, frames, recording.cause)

    wanted = failure(recording)
    if wanted is None:
        return recording
    shrinker = Shrinker(
        recording.frames, lambda frames: failure(with_frames(frames)) == wanted, tries_max
    )
    return with_frames(shrinker.run())
