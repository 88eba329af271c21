"""What stories about several servers need: a certificate authority, a DNS of our own, and servers that talk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config.settings import FederationSettings, ListenerSettings
from homeserver.federation.addresses import AddressGuard
from homeserver.federation.client import FederationClient
from homeserver.federation.connections import Connections
from homeserver.federation.pauses import Pauses
from homeserver.federation.resolver import Resolver
from homeserver.federation.well_known import WellKnown
from homeserver.storage.database import Database
from homeserver.storage.unreachable_servers import UnreachableServerRows
from tests.cast import Server
from tests.clock import FakeClock
from tests.dns import FakeDns
from tests.federation.authority import Authority
from tests.federation.peers import Peer, running_peer, signing_key
from tests.homeserver import running_homeserver, server_settings
from tests.postgres import TestServer
from tests.voice.recording_backend import RecordingBackend

ALPHA, BETA = "alpha.example", "beta.example"
FEDERATION_PORT = 8448


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def dns() -> FakeDns:
    return FakeDns()


@dataclass(slots=True)
class Us:
    """The parts with which we speak to others, without a homeserver around them."""

    client: FederationClient
    connections: Connections
    well_known: WellKnown
    resolver: Resolver
    pauses: Pauses


@pytest.fixture
async def us(authority: Authority, dns: FakeDns, clock: FakeClock) -> AsyncIterator[Us]:
    """We are `us.example`, may contact this machine, and trust the authority of the test. Nothing is stored."""
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    connections = Connections(dns, AddressGuard(()), authority.ca_file)
    well_known = WellKnown(connections.page, clock)
    resolver = Resolver(dns, well_known, clock, lambda: 0.5)
    pauses = Pauses(database, UnreachableServerRows(), clock, lambda: 0.5, 10_000, 60_000)
    yield Us(
        FederationClient("us.example", signing_key(1, "us"), resolver, connections, pauses),
        connections,
        well_known,
        resolver,
        pauses,
    )
    await well_known.stop()
    await connections.close()


@pytest.fixture
async def peer(authority: Authority, dns: FakeDns) -> AsyncIterator[Peer]:
    """`peer.example`, found at port 8448 without further ado."""
    async with running_peer(authority.context("peer.example")) as peer:
        dns.point("peer.example", FEDERATION_PORT, peer.port)
        yield peer


@dataclass(slots=True, repr=False)
class Home:
    """A homeserver that other servers can talk to, and its SFU."""

    server: Server
    sfu: RecordingBackend


@asynccontextmanager
async def running_home(
    name: str, number: int, world: World, *, database: str | None = None, **changes: Any
) -> AsyncIterator[Home]:
    """With a database (of its own, or one that the caller keeps), a key and a certificate of its own."""
    kept, database = database is not None, database or await world.postgres.clone()
    values: dict[str, Any] = {
        "server_name": name,
        "listeners": (ListenerSettings(port=0), ListenerSettings(port=0, tls=world.authority.issue(name))),
        "federation": FederationSettings(ca_file=world.authority.ca_file, ip_denylist=()),
    }
    settings = server_settings(world.folder / name, **{**values, **changes})
    sfu = RecordingBackend(world.clock.now_ms, url=f"ws://sfu.{name}")
    key = signing_key(10 + number, f"key{number}")
    dsn = world.postgres.dsn_of(database)
    try:
        async with running_homeserver(settings, dsn, world.clock, sfu, dns=world.dns, signing_key=key) as server:
            world.dns.point(name, FEDERATION_PORT, server.ports[1])
            yield Home(server, sfu)
    finally:
        if not kept:
            await world.postgres.drop(database)


@dataclass(frozen=True, slots=True)
class World:
    """What servers share."""

    authority: Authority
    dns: FakeDns
    clock: FakeClock
    postgres: TestServer
    folder: Path


@pytest.fixture
def world(authority: Authority, dns: FakeDns, clock: FakeClock, postgres_server: TestServer, tmp_path: Path) -> World:
    return World(authority, dns, clock, postgres_server, tmp_path)


@pytest.fixture
async def alpha(world: World) -> AsyncIterator[Home]:
    async with running_home(ALPHA, 1, world) as home:
        yield home


@pytest.fixture
async def beta(world: World) -> AsyncIterator[Home]:
    async with running_home(BETA, 2, world) as home:
        yield home
