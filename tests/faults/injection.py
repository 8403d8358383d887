"""Faults in the system calls of a node, by strace."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from cli.demo.cluster import Department, program


@contextmanager
def injected(node: Department, injection: str) -> Iterator[None]:
    """A fault in a running node's system calls; the tracer lets go at the end."""
    assert node.process is not None
    tracer = subprocess.Popen(
        [
            "strace",
            *("-f", "-qq", "-o", "/dev/null", "-p", str(node.process.pid)),
            *("-e", "trace=fdatasync,fsync", "-e", injection),
        ],
        start_new_session=True,
    )
    try:
        yield
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)
        tracer.wait(30)


def start_traced(department: Department, *injection: str) -> subprocess.Popen[bytes]:
    """Starts a node under strace with a fault injected into its system calls; the tracer."""
    with (department.folder / "node.log").open("ab") as log:
        department.process = subprocess.Popen(
            [
                "strace",
                *("-f", "-qq", "-o", str(department.folder / "strace.log"), *injection),
                *program("concordat-node", "run", "--config", str(department.folder / "node.toml")),
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return department.process


def end_with_its_node(tracer: subprocess.Popen[bytes]) -> None:
    """Ends a tracer and what it traces: alone it would leave the node running."""
    if tracer.poll() is None:
        os.killpg(tracer.pid, signal.SIGKILL)
    tracer.wait()
