"""Power loss of every node at once: what was acknowledged was on the disk.

All data lies in a loop-mounted ext4 image. The file system is shut down without flushing its log
(EXT4_IOC_SHUTDOWN), as if the power went; what was not synced is gone.
"""

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from conftest import needs_root, needs_tool

from cli.demo.cluster import Cluster
from faults.load import Load, check_all

pytestmark = pytest.mark.faults

LOSSES = 10
IMAGE_BYTES = 1 << 30
SHUTDOWN = 0x8004587D
WITHOUT_FLUSH = 2
TITLES = {"housing": "Housing Bureau", "tourism": "Tourism Bureau", "transport": "Transport Bureau"}


class Disk:
    """A file system of its own that can lose its power."""

    def __init__(self, folder: Path) -> None:
        self._image = folder / "disk.img"
        self.path = folder / "disk"
        self.path.mkdir()
        with self._image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.path))

    def lose_power(self) -> None:
        """From now on nothing reaches the disk any more."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        finally:
            os.close(handle)

    def unmount(self) -> None:
        _run("umount", str(self.path))

    def change_image(self) -> None:
        """Goes on with a copy of what is on the disk.

        A process in another mount namespace may still hold the file system that lost its power, and
        whoever mounts that image again meets the dead one.
        """
        copy = self._image.with_name("copy.img")
        _run("cp", "--sparse=always", str(self._image), str(copy))
        copy.replace(self._image)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    needs_tool("mkfs.ext4", "mount", "umount")
    needs_root()
    made = Disk(tmp_path)
    try:
        yield made
    finally:
        made.unmount()


@pytest.mark.timeout(900)
def test_ten_power_losses_lose_nothing_that_was_acknowledged(disk: Disk) -> None:
    dice = Random(20261124)
    cluster = Cluster(disk.path / "cluster", TITLES)
    load = Load(cluster, clients=6)
    try:
        cluster.folder.mkdir()
        cluster.found()
        os.sync()
        for _ in range(LOSSES):
            cluster.start()
            load.begin()
            load.wait_for_more(dice.randrange(20, 80))
            disk.lose_power()
            for department in cluster.departments.values():
                department.kill()
            load.end()
            disk.unmount()
            disk.change_image()
            disk.mount()
        cluster.start()
        genesis = disk.path.parent / "genesis.json"
        shutil.copyfile(cluster.genesis, genesis)
        check_all(cluster, load.acknowledged)
    finally:
        load.close()
        cluster.close()
    print(f"{LOSSES} power losses, {len(load.acknowledged)} acknowledged records, none lost")
