"""`python -m bench.cores`: messages a second that cores alone carry out, in a storm, on one core.

What one core of this machine does for a simulation: every message that arrives is carried out with
all that follows from it (entries hashed, writes to a store in memory, executed), and the running
invariants are checked.
"""

import statistics
import time

from scenarios.storm import Storm, Weather

STEPS = 60_000
RUNS = 5


def rate(nodes: int, seed: int) -> float:
    """Messages delivered a second of processor time."""
    storm = Storm(nodes, seed, Weather())
    began = time.process_time()
    for _ in range(STEPS):
        storm.step()
    return storm.delivered / (time.process_time() - began)


def main() -> None:
    """Prints the median of some runs for 3 and 5 nodes, and their spread."""
    for nodes in (3, 5):
        rates = sorted(rate(nodes, seed) for seed in range(RUNS))
        median = statistics.median(rates)
        print(f"{nodes} nodes: {median:,.0f} messages/s ({rates[0]:,.0f} to {rates[-1]:,.0f})")


if __name__ == "__main__":
    main()
