"""One of our servers and one Synapse, as processes, for all stories of this folder."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.faults.federation.roads import Roads
from tests.federation.authority import Authority
from tests.interop import environments
from tests.interop.federation.people import Person
from tests.interop.federation.servers import HOSTS, FederatedServer, make_server
from tests.interop.target import free_port

SEED = 4
"""Which connections outlive a time apart."""
MakePerson = Callable[[str, FederatedServer], Awaitable[Person]]


@dataclass(frozen=True, slots=True)
class Pair:
    """`ours` and `theirs`; `home` is where the room of the story is made, `away` the other one."""

    ours: FederatedServer
    theirs: FederatedServer
    roads: Roads

    def home_and_away(self, home: str) -> tuple[FederatedServer, FederatedServer]:
        return (self.ours, self.theirs) if home == "ours" else (self.theirs, self.ours)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Meanwhile neither hears of the other, and connections just hang."""
        self.roads.part(["voicechat"], ["synapse"])
        try:
            yield
        finally:
            self.roads.heal()


@pytest.fixture(scope="session")
def interop_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("interop-authority"))


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory, interop_authority: Authority) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("pair")
    try:
        environments.synapse_python()
    except environments.Unavailable as error:
        pytest.skip(str(error))
    roads = Roads(random.Random(SEED))
    ports = {kind: free_port() for kind in HOSTS}
    roads.start(ports)
    leads_to = {"voicechat": roads.ports_of("synapse")["voicechat"], "synapse": roads.ports_of("voicechat")["synapse"]}
    servers = [make_server(kind, folder / kind, interop_authority, ports[kind], leads_to[kind]) for kind in HOSTS]
    ours, theirs = servers
    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(FederatedServer.start, servers))
        yield Pair(ours, theirs, roads)
    finally:
        for server in servers:
            server.stop()
        roads.stop()
    assert ours.complaints() == []


@pytest_asyncio.fixture
async def person() -> AsyncIterator[MakePerson]:
    """Registers somebody at a server: `alice = await person("alice", pair.ours)`."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:

        async def make(name: str, server: FederatedServer) -> Person:
            person = Person(session, server.base_url, server.name)
            await person.register(name)
            return person

        yield make


@pytest.fixture(params=["ours", "theirs"])
def home(request: pytest.FixtureRequest) -> str:
    """At which of the two the room is made."""
    return str(request.param)
