"""Fixtures of the fault tests: a server process that may be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.cast import Server
from tests.faults.process import ServerProcess, free_port


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path, free_port())
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def faulty(process: ServerProcess) -> AsyncIterator[Server]:
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        yield Server(session, process.base_url, "faults.test")
