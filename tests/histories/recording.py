"""A whole run: five nodes on hosts of their own, clients, faults, the history and its verdict."""

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from faults.load import check_all, settled, wait_for
from faults.network import Network

from cli.demo.cluster import Cluster
from histories.appends import faults_of_list
from histories.clients import HistoryClient, Registers, appended
from histories.operations import Operation, Recorder, read_history
from histories.registers import broken_registers
from histories.trouble import Trouble

CLIENTS = 15


def record_run(
    network: Network, cluster: Cluster, folder: Path, *, operations: int, faults: int, seed: int
) -> dict[str, Any]:
    """Runs until there are so many operations and faults; writes all to `folder`; the figures.

    Files: history.jsonl, faults.jsonl, list.json (the appended values in the ledger's order).
    Asserts that every ledger verifies, holds every acknowledged record once, and equals the others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(folder / "history.jsonl")
    registers = Registers()
    clients = [HistoryClient(number, cluster, registers, recorder) for number in range(CLIENTS)]
    trouble = Trouble(network, cluster, seed)
    done = threading.Event()
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        try:
            running = [pool.submit(client.run, done) for client in clients]
            for kind in order_of_faults(list(trouble.kinds), faults, seed):
                trouble.make(kind)
            wait_for_count(recorder, operations)
        finally:
            done.set()
        for future in running:
            future.result()
    recorder.close()
    took_s = time.monotonic() - began
    lines = "".join(json.dumps(fault) + "\n" for fault in trouble.log)
    (folder / "faults.jsonl").write_text(lines, encoding="utf-8")
    wait_for(lambda: settled(cluster), "all nodes to agree")
    final = final_list(cluster)
    (folder / "list.json").write_text(json.dumps(final), encoding="utf-8")
    check_all(cluster, [])
    return figures(list(read_history(folder / "history.jsonl")), took_s) | {
        "faults": len(trouble.log),
        "kinds of faults": len({fault["fault"] for fault in trouble.log}),
    }


def order_of_faults(kinds: list[str], count: int, seed: int) -> list[str]:
    """Every kind once, in an order drawn from the seed, then all again, until there are `count`."""
    dice = Random(seed)
    order: list[str] = []
    while len(order) < count:
        order += dice.sample(kinds, len(kinds))
    return order[:count]


def wait_for_count(recorder: Recorder, count: int) -> None:
    """Until so many operations have ended."""
    while recorder.count < count:
        target = min(count, recorder.count + 100)
        wait_for(lambda target=target: recorder.count >= target, "more operations")


def final_list(cluster: Cluster) -> list[str]:
    """The appended values in the ledger's order, the same at every node."""
    lists = []
    for node in cluster.departments.values():
        records = node.client("auditor").pages("/v1/records", kind="dataset.publish", limit=500)
        lists.append(appended(item["body"]["name"] for item in records))
    assert all(each == lists[0] for each in lists), "nodes have the list in different orders"
    return lists[0]


def verdict(folder: Path) -> list[str]:
    """What the checkers find wrong in a recorded run."""
    history = list(read_history(folder / "history.jsonl"))
    final = json.loads((folder / "list.json").read_text(encoding="utf-8"))
    broken = [f"register {key} is not linearizable" for key in broken_registers(history)]
    return broken + faults_of_list(history, final)


def figures(history: list[Operation], took_s: float) -> dict[str, Any]:
    """Numbers of a run."""
    count = Counter(each.op for each in history)
    outcomes = Counter(next(iter(each.result)) for each in history)
    return {
        "operations": len(history),
        "by operation": dict(sorted(count.items())),
        "unknown": outcomes["unknown"],
        "unknown percent": round(100 * outcomes["unknown"] / len(history), 2),
        "refused": outcomes["refused"],
        "seconds": round(took_s),
        "longest seconds": round(max(each.end_ns - each.start_ns for each in history) / 1e9, 1),
    }
