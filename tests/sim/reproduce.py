"""`PYTHONPATH=tests .venv/bin/python -m sim.reproduce WHAT`: one run again, to the byte.

WHAT is the tape of a failing seed, or a seed. `--mode` names the kind of run of a seed, `--steps`
its length; `--shrink` cuts the tape down while it keeps failing and writes it beside the first.
"""

import argparse
from pathlib import Path

from sim.bugs import seeded_by_name
from sim.modes import MODES
from sim.runs import STEPS, Result, read_recording, run_recording, run_seed
from sim.shrink import shrink


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="sim.reproduce", description=__doc__)
    parser.add_argument("what")
    parser.add_argument("--mode", default=MODES[0], choices=MODES)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--shrink", action="store_true")
    given = parser.parse_args()
    if given.what.isdigit():
        show(run_seed(int(given.what), mode=given.mode, steps=given.steps))
        return
    path = Path(given.what)
    recording = read_recording(path)
    with seeded_by_name(recording.bug):
        if given.shrink:
            smaller = shrink(recording)
            target = path.with_suffix(".small.tape")
            target.write_text(smaller.to_text(), encoding="ascii")
            print(f"{len(recording.frames)} frames became {len(smaller.frames)}: {target}")
            recording = smaller
        show(run_recording(recording))


def show(result: Result) -> None:
    """A run that held."""
    world = result.world
    print(f"holds: {len(world.history.acknowledged)} records, {len(world.watch.leaders)} terms")
    print(f"digest {result.digest().hex()}")


if __name__ == "__main__":
    main()
