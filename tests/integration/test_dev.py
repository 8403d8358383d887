"""`concordat-node dev`: a consortium in one process, for developers of apps."""

import subprocess
from pathlib import Path

import httpx2
from faults.load import wait_for

from cli.demo.cluster import Cluster, program


def test_a_developers_consortium_is_up_and_serves_an_exchange(tmp_path: Path) -> None:
    port = Cluster(tmp_path, {"x": "x"}).spare_ports[0]
    with (tmp_path / "log").open("wb") as log:
        dev = subprocess.Popen(
            program(
                "concordat-node", "dev", str(tmp_path / "dev"), "--http-listen", f"127.0.0.1:{port}"
            ),
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: "grant " in (tmp_path / "log").read_text(), "the consortium to be up")
        words = dict(
            line.split(" ", 1)
            for line in (tmp_path / "log").read_text().splitlines()
            if line.startswith(("token ", "grant "))
        )
        body = {
            "grant_id": words["grant"],
            "purpose": "dpv:ResearchAndDevelopment",
            "case": "A-1",
            "query": {"where": {"id_number": "SYN-0001"}},
        }

        def served() -> bool:
            try:
                answer = httpx2.post(
                    f"http://127.0.0.1:{port}/v1/exchanges",
                    json=body,
                    headers={"Authorization": f"Bearer {words['token']}"},
                    trust_env=False,
                )
            except httpx2.HTTPError:
                return False
            return bool(answer.json()["rows"] == [["SYN-0001", "Ada Example", True]])

        wait_for(served, "an exchange")
    finally:
        dev.terminate()
        dev.wait()
