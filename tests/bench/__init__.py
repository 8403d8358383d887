"""Speed, measured on real node processes through their public interfaces: `make bench`.

    python -m bench [--quick] [--workload NAME] [--json FILE] [--profile FOLDER]

A workload drives a cluster that it founds itself, after a warm-up, several times; each figure is
the median of its runs with their spread. In the same run stand the pure costs of what the work
needs (signature checks, synced writes), so a figure can be read as a ratio to the limit, and, where
they are installed, other systems with clients of their own on the same work. Nothing fails for
being slow: speed is reported here and asserted nowhere.

Modules: `wire` a plain HTTP client · `machine` what processes and primitives cost · `traffic` what
goes between processes · `cluster` the nodes · `drive` clients and times · `measure` a figure ·
`report` tables and JSON · `records`, `bulk`, `exchanges`, `reading`, `growth`, `ledgers` workloads
· `others` peers · `profiled` a node under a profiler · `flames` where nodes spend their time.
`__main__` names the workloads.
"""
