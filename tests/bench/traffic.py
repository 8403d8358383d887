"""Bytes between processes, as the system counts them for each TCP connection (`ss`, iproute2)."""

import re
import shutil
import subprocess
from collections.abc import Collection

_ADDRESSES = re.compile(r":(\d+) +\S+:(\d+) ")
_SENT = re.compile(r"\bbytes_sent:(\d+)")


def sent_bytes(ports: Collection[int]) -> int | None:
    """What both ends of the open connections to these ports have sent so far, TLS included.

    None where `ss` is not installed. A connection that has ended meanwhile counts no more.
    """
    if shutil.which("ss") is None:
        return None
    shown = subprocess.run(
        ["ss", "--tcp", "--info", "--no-header", "--numeric", "--oneline"],
        capture_output=True,
        text=True,
        check=True,
    )
    total = 0
    for line in shown.stdout.splitlines():
        addresses, sent = _ADDRESSES.search(line), _SENT.search(line)
        if addresses and sent and not set(map(int, addresses.groups())).isdisjoint(ports):
            total += int(sent[1])
    return total
