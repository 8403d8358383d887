"""One figure of a running system: warm up, run several times, and see what its processes used."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from bench.drive import Run
from bench.machine import Usage
from bench.report import Figure, summary
from bench.settings import Settings
from bench.wire import Connection


class System(Protocol):
    """What is measured. begin: once, before the first counted run.

    syncs, wire_bytes: so far, if known.
    """

    def begin(self) -> None: ...
    def usage(self) -> Usage: ...
    def syncs(self) -> float | None: ...
    def wire_bytes(self) -> int | None: ...


async def measured(
    system: System,
    settings: Settings,
    *,
    workload: str,
    setting: str,
    run: Callable[[float], Awaitable[Run]],
    connections: Sequence[Connection],
    before_run: Callable[[], None] = lambda: None,
    limit_rate: float | None = None,
) -> Figure:
    """Warms up, then runs several times. run(seconds); before_run: makes what a run will send."""
    before_run()
    await run(settings.warm_up_s)
    system.begin()
    runs: list[Run] = []
    cpu_s, written, wire, syncs = 0.0, 0, 0, 0.0
    counted = system.syncs() is not None
    for _ in range(settings.runs):
        before_run()
        before, synced, sent = system.usage(), system.syncs(), system.wire_bytes()
        runs.append(await run(settings.seconds))
        after = system.usage()
        cpu_s += after.cpu_s - before.cpu_s
        written += after.written_bytes - before.written_bytes
        syncs += (system.syncs() or 0) - (synced or 0)
        wire += (system.wire_bytes() or 0) - (sent or 0)
    operations = sum(each.operations for each in runs)
    for connection in connections:
        connection.close()
    return Figure(
        workload=workload,
        setting=setting,
        cpu_s_per_1000=cpu_s / operations * 1000,
        rss_max_mb=system.usage().rss_max_bytes / 1e6,
        syncs_per_s=syncs / sum(each.seconds for each in runs) if counted else None,
        disk_bytes_per_operation=written / operations,
        wire_bytes_per_operation=None if sent is None else wire / operations,
        limit_rate=limit_rate,
        **summary(runs),
    )
