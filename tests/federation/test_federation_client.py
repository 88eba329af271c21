"""Requests to another server, over real TLS."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from homeserver.federation.addresses import AddressGuard
from homeserver.federation.client import Call, Limits, request_uri
from homeserver.federation.connections import Connections
from homeserver.federation.dns import Service
from homeserver.federation.errors import BadAnswer, DestinationPaused, RemoteRefused
from homeserver.protocol.errors import ConnectionFailed, ConnectionTimeout, Forbidden, InvalidParam
from homeserver.protocol.signing import verify_bytes
from homeserver.protocol.x_matrix import parse_x_matrix, signed_bytes
from tests.clock import FakeClock
from tests.dns import FakeDns
from tests.federation.authority import Authority
from tests.federation.conftest import Us
from tests.federation.peers import Peer, running_peer, signing_key

PATH = "/_matrix/federation/v1/x"


async def test_a_request_is_signed_and_arrives_as_signed(us: Us, peer: Peer) -> None:
    peer.says("/_matrix/federation/v1/x/a%2Fb", {"ok": True})
    peer.says("/_matrix/federation/v1/x/a/b", {"ok": True})
    uri = request_uri(PATH, "a/b", query={"c": "d e&"})
    assert uri == "/_matrix/federation/v1/x/a%2Fb?c=d+e%26"
    assert await us.client.put("peer.example", uri, {"content": "é"}) == {"ok": True}
    heard = peer.heard[0]
    assert (heard.method, heard.uri, heard.host, heard.sni) == ("PUT", uri, "peer.example", "peer.example")
    assert heard.authorization is not None
    claims = parse_x_matrix(heard.authorization)
    assert (claims.origin, claims.destination, claims.key_id) == ("us.example", "peer.example", "ed25519:us")
    message = signed_bytes("PUT", uri, "us.example", "peer.example", {"content": "é"})
    verify_bytes(message, claims.signature, signing_key(1, "us").verify_key)


async def test_an_unsigned_request_names_nobody(us: Us, peer: Peer) -> None:
    peer.says(PATH, {})
    await us.client.call("peer.example", Call("GET", PATH, signed=False))
    assert peer.heard[0].authorization is None


@pytest.mark.parametrize("names", [("other.example",), ("127.0.0.1",)])
async def test_a_certificate_for_another_name_is_not_accepted(
    us: Us, authority: Authority, dns: FakeDns, names: tuple[str, ...]
) -> None:
    async with running_peer(authority.context(*names)) as mallory:
        mallory.says(PATH, {})
        dns.point("peer.example", 8448, mallory.port)
        with pytest.raises(ConnectionFailed):
            await us.client.get("peer.example", PATH)
        assert mallory.heard == []


async def test_a_certificate_of_an_unknown_authority_is_not_accepted(us: Us, dns: FakeDns, tmp_path: Any) -> None:
    async with running_peer(Authority(tmp_path).context("peer.example")) as mallory:
        dns.point("peer.example", 8448, mallory.port)
        with pytest.raises(ConnectionFailed):
            await us.client.get("peer.example", PATH)
        assert mallory.heard == []


async def test_an_ip_address_needs_a_certificate_for_itself_and_gets_no_sni(us: Us, authority: Authority) -> None:
    async with running_peer(authority.context("127.0.0.1")) as peer:
        peer.says(PATH, {})
        await us.client.get(f"127.0.0.1:{peer.port}", PATH)
        assert (peer.heard[0].host, peer.heard[0].sni) == (f"127.0.0.1:{peer.port}", None)


async def test_the_target_of_an_srv_record_must_prove_that_it_is_the_domain(
    us: Us, authority: Authority, dns: FakeDns
) -> None:
    """And the connection to it is not taken for another domain that points to the same place."""
    async with running_peer(authority.context("one.example")) as peer:
        peer.says(PATH, {})
        dns.point("shared.example", 99, peer.port)
        for domain in ("one.example", "two.example"):
            dns.srv[f"_matrix-fed._tcp.{domain}"] = [Service("shared.example", 99)]
        await us.client.get("one.example", PATH)
        assert (peer.heard[0].host, peer.heard[0].sni) == ("one.example", "one.example")
        with pytest.raises(ConnectionFailed):
            await us.client.get("two.example", PATH)


async def test_the_next_target_is_tried_when_one_is_down(us: Us, authority: Authority, dns: FakeDns) -> None:
    async with running_peer(authority.context("one.example")) as peer:
        peer.says(PATH, {})
        dns.point("up.example", 2, peer.port)
        dns.srv["_matrix-fed._tcp.one.example"] = [Service("down.example", 1, 0), Service("up.example", 2, 1)]
        assert await us.client.get("one.example", PATH) == {}


async def test_a_well_known_is_fetched_over_tls_and_followed(us: Us, authority: Authority, dns: FakeDns) -> None:
    async with (
        running_peer(authority.context("domain.example")) as website,
        running_peer(authority.context("hs.example")) as peer,
    ):
        website.says("/.well-known/matrix/server", {"m.server": "hs.example:443"})
        peer.says(PATH, {"here": 1})
        dns.point("domain.example", 443, website.port)
        dns.point("hs.example", 443, peer.port)
        for _ in range(2):
            assert await us.client.get("domain.example", PATH) == {"here": 1}
        assert website.paths() == ["/.well-known/matrix/server"]
        assert peer.heard[0].host == "hs.example:443"
        claims = parse_x_matrix(peer.heard[0].authorization or "")
        assert claims.destination == "domain.example"  # "the server names from before delegation"


async def test_a_well_known_that_is_too_large_is_none(us: Us, authority: Authority, dns: FakeDns) -> None:
    async with running_peer(authority.context("domain.example")) as website:
        website.says("/.well-known/matrix/server", {"m.server": "hs.example:443", "x": "x" * 60_000})
        dns.point("domain.example", 443, website.port)
        assert (await us.resolver.resolve("domain.example")).host_header == "domain.example"


async def test_nothing_leads_to_a_denied_address(authority: Authority, dns: FakeDns, peer: Peer) -> None:
    """Neither a name, nor an address, nor a redirect of a well-known."""
    connections = Connections(dns, AddressGuard(["127.0.0.0/8"]), authority.ca_file)
    try:
        inside = ("peer.example:8448", f"127.0.0.1:{peer.port}", f"[::ffff:127.0.0.1]:{peer.port}")
        for url in (f"https://{each}/" for each in inside):
            with pytest.raises(OSError, match="ClientConnectorError"):
                await connections.page(url, 1000)
    finally:
        await connections.close()
    assert peer.heard == []


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b'"x"', b"\xff", b"[" * 5000])
async def test_an_answer_that_is_no_object_is_none(us: Us, peer: Peer, body: bytes) -> None:
    peer.says(PATH, body)
    with pytest.raises(BadAnswer):
        await us.client.get("peer.example", PATH)


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_answer_that_is_too_large_is_not_read_to_its_end(us: Us, peer: Peer, chunked: bool) -> None:
    sent = 0

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        if not chunked:
            response.content_length = 10**9
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b"x" * 100_000)
            sent += 100_000
        return response

    peer.answers[PATH] = endless
    with pytest.raises(BadAnswer):
        await us.client.get("peer.example", PATH, limits=Limits(max_bytes=10_000))
    assert sent < 50_000_000


async def test_a_server_that_does_not_answer_is_given_up(us: Us, peer: Peer) -> None:
    async def silent(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    peer.answers[PATH] = silent
    with pytest.raises(ConnectionTimeout):
        await us.client.get("peer.example", PATH, limits=Limits(timeout_ms=300))


async def test_redirects_are_not_followed(us: Us, peer: Peer) -> None:
    peer.says(PATH, {}, 302, Location="https://peer.example:8448/other")
    with pytest.raises(RemoteRefused):
        await us.client.get("peer.example", PATH)
    assert peer.paths() == [PATH]


async def test_a_refusal_is_not_mistaken_for_ours(us: Us, peer: Peer) -> None:
    """M_UNKNOWN_TOKEN of another server must not log our client out."""
    peer.says(PATH, {"errcode": "M_FORBIDDEN", "error": "no"}, 403)
    with pytest.raises(RemoteRefused) as caught:
        await us.client.get("peer.example", PATH)
    assert (caught.value.status, caught.value.errcode) == (502, "M_UNKNOWN")
    assert isinstance(caught.value.remote, Forbidden)


async def test_a_server_that_failed_is_left_alone_for_a_while(us: Us, peer: Peer, clock: FakeClock) -> None:
    peer.says(PATH, {"errcode": "M_UNKNOWN", "error": "?"}, 500)
    for pause_ms in (10_000, 20_000, 40_000, 60_000, 60_000):
        with pytest.raises(RemoteRefused):
            await us.client.get("peer.example", PATH)
        heard = len(peer.heard)
        clock.advance(ms=pause_ms - 1)
        with pytest.raises(DestinationPaused):
            await us.client.get("peer.example", PATH)
        assert len(peer.heard) == heard
        clock.advance(ms=1)
    peer.says(PATH, {})
    await us.client.get("peer.example", PATH)
    assert us.pauses.retry_at_ms("peer.example") == 0


async def test_a_refusal_says_that_the_server_is_well(us: Us, peer: Peer) -> None:
    for _ in range(3):
        with pytest.raises(RemoteRefused):
            await us.client.get("peer.example", "/unknown")
    assert len(peer.heard) == 3


async def test_questions_of_strangers_are_held_against_nobody(us: Us) -> None:
    for _ in range(3):
        with pytest.raises(ConnectionFailed):
            await us.client.call("nobody.example", Call("GET", PATH, signed=False, probe=True))
    assert us.pauses.memory_usage() == {"failing": 0}


async def test_a_name_that_is_none_is_asked_nothing(us: Us) -> None:
    with pytest.raises(InvalidParam):
        await us.client.get("no name/", PATH)
    assert us.pauses.memory_usage() == {"failing": 0}
