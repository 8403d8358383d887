"""A switch between TAP devices in user space: cuts, delays, loses and slows what it carries.

A program of its own (`python switch.py DEVICE …`). It makes the devices, writes a line "ready",
and then takes one JSON array a line: every link that is not perfect, as `[from, to, fault]`,
replacing what was there before. It answers "ok" to each. The devices go when its input ends.

A fault is an object: `cut` (nothing passes), `loss` (per cent), `delay_ms` and `jitter_ms` (each
frame waits delay_ms plus up to jitter_ms at random, so frames overtake each other), `bytes_per_s`
(a slow line, whose queue holds QUEUE_S and drops what comes on top). Links have a direction.
"""

import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

TUNSETIFF = 0x400454CA
TAP_WITHOUT_HEADER = 0x1002
FRAME_BYTES_MAX = 2048
FRAMES_A_WAKE_MAX = 64
DELAYED_FRAMES_MAX = 50_000
"""Frames that wait at once; what comes on top is dropped."""

QUEUE_S = 0.2


@dataclass(slots=True)
class Link:
    """What happens from one device to another. free_at_s: when a slow line has sent all it has."""

    cut: bool = False
    loss: int = 0
    delay_ms: float = 0
    jitter_ms: float = 0
    bytes_per_s: float = 0
    free_at_s: float = 0


def mac_address(port: int) -> bytes:
    """The address that the device of this number has to be given."""
    return bytes([2, 0, 0, 0, 0xC0, port])


class Switch:
    """The devices, the links between them, and what is on its way."""

    def __init__(self, devices: Sequence[str]) -> None:
        self._dice = random.Random(20261201)
        self._names = {name: port for port, name in enumerate(devices)}
        self._files = [open_device(name) for name in devices]
        self._ports = {mac_address(port): port for port in range(len(devices))}
        self._links: dict[tuple[int, int], Link] = {}
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._order = count()

    def run(self) -> None:
        """Carries frames until standard input ends."""
        poll = select.epoll()
        number = {file: port for port, file in enumerate(self._files)}
        for file in self._files:
            poll.register(file, select.EPOLLIN)
        poll.register(sys.stdin, select.EPOLLIN)
        print("ready", flush=True)
        while True:
            due_s = self._waiting[0][0] - time.monotonic() if self._waiting else 1.0
            for file, _ in poll.poll(max(0.0, due_s)):
                if file != sys.stdin.fileno():
                    self._take(number[file])
                    continue
                line = sys.stdin.readline()
                if not line:
                    return
                self._links = {
                    (self._names[source], self._names[target]): Link(**fault)
                    for source, target, fault in json.loads(line)
                }
                print("ok", flush=True)
            now_s = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now_s:
                _, _, port, frame = heapq.heappop(self._waiting)
                self._give(port, frame)

    def _take(self, source: int) -> None:
        for _ in range(FRAMES_A_WAKE_MAX):
            try:
                frame = os.read(self._files[source], FRAME_BYTES_MAX)
            except OSError:  # nothing is left, or the device is not up yet
                return
            port = self._ports.get(frame[:6])
            if port is not None:
                self._carry(source, port, frame)
            elif frame[0] & 1:
                for each in range(len(self._files)):
                    if each != source:
                        self._carry(source, each, frame)

    def _carry(self, source: int, target: int, frame: bytes) -> None:
        link = self._links.get((source, target))
        if link is None:
            self._give(target, frame)
            return
        if link.cut or self._dice.randrange(100) < link.loss:
            return
        now_s = due_s = time.monotonic()
        if link.bytes_per_s:
            due_s = max(now_s, link.free_at_s) + len(frame) / link.bytes_per_s
            if due_s > now_s + QUEUE_S:
                return
            link.free_at_s = due_s
        due_s += (link.delay_ms + self._dice.random() * link.jitter_ms) / 1000
        if len(self._waiting) < DELAYED_FRAMES_MAX:
            heapq.heappush(self._waiting, (due_s, next(self._order), target, frame))

    def _give(self, port: int, frame: bytes) -> None:
        try:
            os.write(self._files[port], frame)
        except OSError:  # the device is down, or its host takes no more: a switch drops it
            return


def open_device(name: str) -> int:
    """Makes a TAP device that lives as long as the file."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP_WITHOUT_HEADER))
    return file


if __name__ == "__main__":
    Switch(sys.argv[1:]).run()
