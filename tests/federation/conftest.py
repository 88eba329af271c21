"""What stories about several servers need: a certificate authority, a DNS of our own, and servers that talk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
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
async def us(authority: Authority, dns: FakeDns, clock: FakeClock, database: Database) -> AsyncIterator[Us]:
    """We are `us.example`, may contact this machine, and trust the authority of the test."""
    connections = Connections(dns, AddressGuard(()), authority.ca_file)
    await connections.open()
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


@dataclass(slots=True)
class Both:
    """Two homeservers in one process, each with a database, a key and a certificate of its own."""

    alpha: Server
    beta: Server
    alpha_sfu: RecordingBackend
    beta_sfu: RecordingBackend
    dns: FakeDns


@pytest.fixture
async def both(
    authority: Authority, dns: FakeDns, clock: FakeClock, postgres_server: TestServer, tmp_path: Path
) -> AsyncIterator[Both]:
    async with AsyncExitStack() as stack:
        servers: list[Any] = []
        for number, name in enumerate((ALPHA, BETA), start=1):
            database = await postgres_server.clone()
            stack.push_async_callback(postgres_server.drop, database)
            settings = server_settings(
                tmp_path / name,
                server_name=name,
                listeners=(ListenerSettings(port=0), ListenerSettings(port=0, tls=authority.issue(name))),
                federation=FederationSettings(ca_file=authority.ca_file, ip_denylist=()),
            )
            sfu = RecordingBackend(clock.now_ms, url=f"ws://sfu.{name}")
            running = running_homeserver(
                settings,
                postgres_server.dsn_of(database),
                clock,
                sfu,
                dns=dns,
                signing_key=signing_key(10 + number, f"key{number}"),
            )
            server = await stack.enter_async_context(running)
            dns.point(name, FEDERATION_PORT, server.ports[1])
            servers += [server, sfu]
        alpha, alpha_sfu, beta, beta_sfu = servers
        yield Both(alpha, beta, alpha_sfu, beta_sfu, dns)
