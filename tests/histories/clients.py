"""Clients that write and read through every node's public interface, and note what they saw.

Most are patient: they repeat an operation with the same `Idempotency-Key` until its outcome is
known, as an app should. Some give up at the first silence; theirs are the unknown outcomes.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx2

from cli.demo.cluster import Cluster, Department
from histories.operations import Operation, Recorder

PATIENCE_S = 40.0
"""How long a patient client repeats itself."""

ATTEMPT_S = 12.0
"""How long one request may take: more than the node's own `http.wait_timeout_ms`."""

IMPATIENT_PERCENT = 4
IMPATIENT_S = 1.0
OPERATIONS_A_KEY = 250
LIST_PAGE = 40

Answer = dict[str, Any]


@dataclass(slots=True)
class Registers:
    """The register of each department that is in use; a new one every OPERATIONS_A_KEY operations.

    A history of one key stays short, so that the search for its order does.
    """

    current: dict[str, tuple[str, int]] = field(default_factory=dict)
    created: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, department: str) -> tuple[str, bool]:
        """A register's name, and whether the caller has to create it."""
        with self.lock:
            name, used = self.current.get(department, ("", OPERATIONS_A_KEY))
            if used % OPERATIONS_A_KEY == 0:
                self.created += 1
                self.current[department] = (name, used + 1)
                return f"r-{self.created}", True
            self.current[department] = (name, used + 1)
            return name, False

    def put(self, department: str, name: str) -> None:
        """The register exists: it is the one in use."""
        with self.lock:
            self.current[department] = (name, 1)


class HistoryClient:
    """One client, with a thread of its own: writes to its department's node, reads from any."""

    def __init__(
        self, number: int, cluster: Cluster, registers: Registers, recorder: Recorder
    ) -> None:
        names = sorted(cluster.departments)
        self._number = number
        self._home = cluster[names[number % len(names)]]
        self._nodes = [cluster[name] for name in names]
        self._registers = registers
        self._recorder = recorder
        self._dice = Random(number)
        self._http = httpx2.Client(trust_env=False, timeout=ATTEMPT_S)
        self._count = 0
        self._cursor: str | None = None
        self._position = 0

    def run(self, done: threading.Event) -> None:
        """Operations until told to stop."""
        works = [self._write_register, self._read_register, self._append, self._read_list]
        try:
            while not done.is_set():
                self._dice.choices(works, weights=(35, 40, 15, 10))[0]()
        finally:
            self._http.close()

    def _write_register(self) -> None:
        name, is_new = self._registers.take(self._home.name)
        if not name:
            return
        value = self._next_value()
        offer = _offer(name, value)
        method, path = ("POST", "/v1/datasets") if is_new else ("PUT", f"/v1/datasets/{name}")
        args = {"key": f"{self._home.name}/{name}", "value": value}
        headers = {"Idempotency-Key": f"history {value}"}
        result = self._do(
            "write", args, self._home, method, path, _leaf_index, json=offer, headers=headers
        )
        if is_new and "ok" in result:
            self._registers.put(self._home.name, name)

    def _read_register(self) -> None:
        department = self._dice.choice(self._nodes).name
        name, is_new = self._registers.take(department)
        if is_new or not name:
            return
        key = f"{department}/{name}"
        node = self._dice.choice(self._nodes)
        path = f"/v1/datasets/{key}"
        self._do("read", {"key": key}, node, "GET", path, _title, params={"consistent": "true"})

    def _append(self) -> None:
        name = f"a-{self._next_value()}"
        headers = {"Idempotency-Key": f"history {name}"}
        args = {"value": name}
        offer = _offer(name, name)
        path = "/v1/datasets"
        self._do("append", args, self._home, "POST", path, _leaf_index, json=offer, headers=headers)

    def _read_list(self) -> None:
        params: dict[str, str] = {
            "kind": "dataset.publish",
            "consistent": "true",
            "limit": str(LIST_PAGE),
        }
        if self._cursor is not None:
            params["cursor"] = self._cursor
        node = self._dice.choice(self._nodes)
        following: list[str | None] = []

        def values(answer: Answer) -> dict[str, Any]:
            following.append(answer["next"])
            published = [item["body"]["name"] for item in answer["items"]]
            return {"values": appended(published), "more": answer["next"] is not None}

        args = {"from": self._position}
        result = self._do("read-list", args, node, "GET", "/v1/records", values, params=params)
        if "ok" in result and following[-1] is not None:
            self._cursor = following[-1]
            self._position += len(result["ok"]["values"])

    def _next_value(self) -> str:
        self._count += 1
        return f"v-{self._number}-{self._count}"

    def _do(
        self,
        op: str,
        args: dict[str, Any],
        node: Department,
        method: str,
        path: str,
        parse: Callable[[Answer], Any],
        **request: Any,
    ) -> dict[str, Any]:
        """Asks until the answer is known or patience ends; notes the operation."""
        token = {"Authorization": f"Bearer {node.tokens['steward']}"}
        request["headers"] = request.get("headers", {}) | token
        is_patient = self._dice.randrange(100) >= IMPATIENT_PERCENT
        if not is_patient:
            request["timeout"] = IMPATIENT_S
        start_ns = time.monotonic_ns()
        while True:
            result = self._ask(node.url + path, method, parse, request)
            waited_s = (time.monotonic_ns() - start_ns) / 1e9
            if "unknown" not in result or not is_patient or waited_s > PATIENCE_S:
                break
            threading.Event().wait(0.05)
        end_ns = time.monotonic_ns()
        self._recorder.add(Operation(self._number, op, args, start_ns, end_ns, result))
        return result

    def _ask(
        self, url: str, method: str, parse: Callable[[Answer], Any], request: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            answer = self._http.request(method, url, **request)
            content = answer.json()
        except httpx2.HTTPError as error:
            return {"unknown": type(error).__name__}
        if answer.is_success:
            return {"ok": parse(content)}
        kind = content["type"].rpartition(":")[2]
        if kind in ("unknown-outcome", "busy", "no-leader"):
            return {"unknown": kind}
        if kind == "not-found" and method == "GET":
            return {"ok": None}
        assert kind == "refused", content
        return {"refused": content["code"]}


def appended(published: Iterable[str]) -> list[str]:
    """The datasets that stand for appended values, among all that were published."""
    return [name for name in published if name.startswith("a-")]


def _offer(name: str, title: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "fields": [{"name": "id", "type": "text", "meaning": "number"}],
        "classification": "internal",
        "sharing": "open",
    }


def _leaf_index(answer: Answer) -> int:
    return int(answer["leaf_index"])


def _title(answer: Answer) -> str:
    return str(answer["title"])
