"""The disk of the data folder fills up, and is emptied again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.cast import Server
from tests.faults.crowd import Sender
from tests.faults.process import ServerProcess, free_port

DISK_MEBIBYTES = 256


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEBIBYTES}m", "none", str(disk)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("a small disk can only be mounted by root on Linux")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    stuffing = disk / "stuffing"
    with stuffing.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            pass
    return stuffing


async def test_a_full_disk_answers_503_and_heals_by_itself(small_disk: Path) -> None:
    small_disk.chmod(0o755)
    process = ServerProcess(small_disk, free_port())
    await asyncio.to_thread(process.start)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            server = Server(session, process.base_url, "faults.test")
            alice = await server.register("alice")
            sender = Sender(alice, await alice.create_room())
            assert await sender.attempt("before") is not None
            stuffing = fill(small_disk)
            for number in range(400):
                # Large enough to need new blocks soon.
                if await sender.attempt(f"full-{number}", padding=20_000) is None:
                    break
            assert sender.statuses[503], sender.statuses
            stuffing.unlink()
            async with asyncio.timeout(60):
                while await sender.attempt("after") is None:
                    await asyncio.sleep(0.2)
    finally:
        process.stop()
