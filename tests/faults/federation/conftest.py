"""One town for all stories of this folder, which use rooms and people of their own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.cast import Server
from tests.faults.federation.town import NAMES, Town
from tests.federation.authority import Authority
from tests.postgres import TestServer

SEED = int(os.environ.get("VOICECHAT_TEST_SEED", "4"))


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory, postgres_server: TestServer) -> Iterator[Town]:
    authority = Authority(tmp_path_factory.mktemp("town-authority"))
    town = Town(tmp_path_factory.mktemp("town"), authority, postgres_server, SEED)
    try:
        town.start()
        yield town
    finally:
        town.stop()
    assert town.complaints() == []


@pytest.fixture
async def servers(town: Town) -> AsyncIterator[list[Server]]:
    """Alpha, beta, gamma, for clients."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        yield [town.server(name, session) for name in NAMES]
    town.roads.heal()
