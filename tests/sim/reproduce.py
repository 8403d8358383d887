"""`PYTHONPATH=tests .venv/bin/python -m sim.reproduce SEED`: one failing run again."""

import sys

from sim.runs import run_seed

if __name__ == "__main__":
    world = run_seed(int(sys.argv[1]))
    print(f"holds: {len(world.acknowledged)} records, {len(world.leaders)} terms with a leader")
