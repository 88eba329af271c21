"""Limits at the edge: whose address counts, how often one may guess, and how long one may take to read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from multidict import CIMultiDict

from config.settings import RateLimitSettings, Settings
from homeserver.http.edge import Edge
from homeserver.http.endpoint import Auth, endpoint, endpoints_of
from homeserver.http.limits import ClientAddresses
from homeserver.http.query import Query
from homeserver.http.request import Request
from homeserver.http.responses import Response, Stream
from homeserver.http.router import Router
from homeserver.http.server import EdgeServer
from homeserver.protocol.errors import InvalidParam, LimitExceeded, Unrecognized
from homeserver.services.rate_limits import BucketRateLimiter, NoRateLimiter, Rate, network_of
from tests.cast import Server
from tests.clock import FakeClock
from tests.homeserver import server_settings

# --- Addresses ----------------------------------------------------------------------------------------------------


def resolved(peer: str, *forwarded: str) -> str:
    headers = CIMultiDict([("X-Forwarded-For", value) for value in forwarded])
    return ClientAddresses().resolve(peer, headers)


def test_only_a_trusted_proxy_says_where_a_request_comes_from() -> None:
    assert resolved("198.51.100.1", "192.0.2.1") == "198.51.100.1"
    assert resolved("127.0.0.1", "192.0.2.1") == "192.0.2.1"
    assert resolved("127.0.0.1") == "127.0.0.1"


def test_what_mallory_wrote_in_front_of_the_proxys_entry_is_not_believed() -> None:
    assert resolved("127.0.0.1", "127.0.0.1, 192.0.2.66") == "192.0.2.66"


def test_a_proxy_that_adds_a_header_of_its_own_is_understood_too() -> None:
    """HAProxy does: what Mallory sent stays as the first of two headers."""
    assert resolved("127.0.0.1", "127.0.0.1", "192.0.2.66") == "192.0.2.66"


def test_one_network_of_ipv6_is_one_person() -> None:
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("no:address") == "no:address"


def test_mallorys_many_ipv6_addresses_have_one_bucket(clock: FakeClock) -> None:
    limiter = BucketRateLimiter(clock, {"login": Rate(burst=3, interval_ms=1000)})
    for number in range(3):
        limiter.check("login", None, f"2001:db8::{number}")
    with pytest.raises(LimitExceeded):
        limiter.check("login", None, "2001:db8::77")


def test_looking_whether_there_is_something_left_takes_nothing(clock: FakeClock) -> None:
    limiter = BucketRateLimiter(clock, {"login": Rate(burst=1, interval_ms=1000)})
    for _ in range(5):
        limiter.check_left("login", "192.0.2.1")
    limiter.count("login", "192.0.2.1")
    with pytest.raises(LimitExceeded):
        limiter.check_left("login", "192.0.2.1")


# --- Tokens that nobody has ---------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, rate_limits=RateLimitSettings(enabled=True))


async def test_guessing_tokens_soon_asks_the_database_nothing(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    await alice.get("account/whoami")
    mallory = server.anonymous()
    for number in range(100):
        mallory.access_token = f"guess{number}"
        await mallory.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    database = server.application.base.database
    before = database.statements
    await mallory.get("account/whoami", expect=(429, "M_LIMIT_EXCEEDED"))
    assert database.statements == before
    # Alice comes from the same address; her token is known.
    await alice.get("account/whoami")
    clock.advance(seconds=1)
    await mallory.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))


# --- Text that is none --------------------------------------------------------------------------------------------


def test_raw_bytes_beside_percent_encoding_are_no_text() -> None:
    """aiohttp's own parser refuses them; the one in pure Python hands them on as lone surrogates."""
    with pytest.raises(InvalidParam):
        Query("a=%41\udcff").string("a")
    with pytest.raises(Unrecognized):
        Router(endpoints_of(Endless())).find("GET", "/%41\udcff")


# --- Slow readers -------------------------------------------------------------------------------------------------


class Endless:
    """Sends more than any buffer holds."""

    def __init__(self) -> None:
        self.given_up = asyncio.Event()

    @endpoint("GET", "/endless", auth=Auth.NONE, limit="none", time_limit_ms=200)
    async def endless(self, request: Request[None]) -> Response:
        return Stream(self._pieces(), "text/plain")

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65_536
        finally:
            self.given_up.set()


async def test_who_does_not_read_an_answer_is_cut_off() -> None:
    holder = Endless()
    limiter = NoRateLimiter()
    edge = Edge(Router(endpoints_of(holder)), None, limiter)  # type: ignore[arg-type]  # nobody signs in here
    runner = web.ServerRunner(EdgeServer(edge))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1], limit=1024)
        writer.write(b"GET /endless HTTP/1.1\r\nHost: test\r\n\r\n")
        await asyncio.wait_for(holder.given_up.wait(), 10)
        # The connection ends, and not as an answer ends that is complete.
        received = await asyncio.wait_for(reader.read(-1), 10)
        assert not received.endswith(b"0\r\n\r\n")
        writer.close()
    finally:
        await runner.cleanup()


async def test_people_brought_along_into_new_rooms_are_counted(server: Server, clock: FakeClock) -> None:
    mallory = await server.register("mallory")
    crowd = [f"@victim{number}:test" for number in range(200)]
    for _ in range(2):
        await mallory.create_room(invite=crowd)
    await mallory.post("createRoom", {"invite": crowd}, expect=(429, "M_LIMIT_EXCEEDED"))
    clock.advance(minutes=10)
    await mallory.create_room(invite=crowd)
