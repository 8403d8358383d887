"""`python -m exhaustive [NAME …]`: explores the large bounds, or those that are named."""

import sys
import time

from exhaustive.bounds import LARGE, SMALL, Bounds
from exhaustive.explore import Exploration


def explore(name: str, bounds: Bounds) -> None:
    """Explores everything within bounds, and says how much that was."""
    began = time.process_time()
    exploration = Exploration(bounds)
    explored = exploration.run()
    seconds = time.process_time() - began
    pairs = exploration.check_spent() + exploration.check_same()
    print(
        f"{name}: exhausted within bounds ({bounds}): {explored.states:,} states, "
        f"{explored.moves:,} moves, {explored.node_states:,} states of nodes, "
        f"{explored.core_runs:,} runs of the core, {explored.letters:,} messages, "
        f"{pairs:,} pairs proved for what was left out; {seconds:.0f} s",
        flush=True,
    )


def main() -> None:
    """Explores what is named, by default everything that is large."""
    known = SMALL | LARGE
    for name in sys.argv[1:] or LARGE:
        explore(name, known[name])


if __name__ == "__main__":
    main()
