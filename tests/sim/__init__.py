"""The simulator: a whole cluster of production replicas on virtual time, from one seed.

It runs `node/replica.py` itself. Everything around it is simulated: `world` clocks, wires and
processes; `disk` disks; `clients` who uses it; `faults` what strikes; `options` what a seed draws.
Every random choice goes through one `tape`, so a seed, or a tape, is one run to the byte.

A run has two phases (`runs`): some thousand steps with every fault of the seed, then a majority is
healed and must have a leader within 10 election timeouts and have converged within 20.

What must hold is checked as it changes by `watch` (the table there lists the invariants), by
`history` for what clients saw, and at the end by `ledgers` (one ledger, byte for byte) and
`verdicts` (nobody honest is accused). `seeds` runs many seeds and counts; a kind of fault that
never struck fails the run.

A failing seed writes its tape and prints the one command that repeats it:

    PYTHONPATH=tests .venv/bin/python -m sim.reproduce .simulator/crash-1234.tape
    PYTHONPATH=tests .venv/bin/python -m sim.reproduce .simulator/crash-1234.tape --shrink

`shrink` cuts a tape down while it fails in the same way. The tape of every bug that was found stays
in `tapes/` with its cause, and is run for ever.

Does the simulator see anything? `bugs` breaks lines of the product on purpose, one for each known
pitfall, and `catching` says how many seeds it takes until an invariant speaks.
"""
