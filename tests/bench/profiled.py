"""A node under a profiler: `python -m bench.profiled FILE concordat-node …`.

The profile begins with the first SIGUSR1, so that starting is not in it, and is written to FILE,
for `pstats`, when the node ends. Seconds are processor time of the event loop's thread: waiting
costs nothing, and neither does another process that has the core.
"""

import cProfile
import runpy
import signal
import sys
import time
from types import FrameType


def main(path: str, program: list[str]) -> None:
    """Runs the program as if it had been called directly."""
    profile = cProfile.Profile(time.thread_time)

    def begin(_number: int, _frame: FrameType | None) -> None:
        profile.enable()

    signal.signal(signal.SIGUSR1, begin)
    sys.argv = program
    try:
        runpy.run_path(program[0], run_name="__main__")
    finally:
        profile.disable()
        profile.dump_stats(path)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
