"""Mallory serves files: without an end, in thousands of parts, from addresses that are none of our business."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from config.settings import FederationSettings, ListenerSettings, MediaSettings
from homeserver.federation.addresses import AddressGuard
from homeserver.federation.connections import Streamed
from tests.cast import Answer, Client
from tests.federation.conftest import BETA, FEDERATION_PORT, Home, World, running_home
from tests.federation.peers import Peer, running_peer

NEW = "/_matrix/federation/v1/media/download"
OLD = "/_matrix/media/v3/download/peer.example"
LIMIT = 256 * 1024
MIXED = {"Content-Type": "multipart/mixed; boundary=b"}
ABOUT = b"--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\n"
"""Up to the headers of the file."""


@pytest.fixture
async def beta(world: World) -> AsyncIterator[Home]:
    """Takes files up to a quarter of a megabyte."""
    async with running_home(BETA, 2, world, media=MediaSettings(max_upload=LIMIT)) as home:
        yield home


@pytest.fixture
async def bob(beta: Home) -> Client:
    return await beta.server.register("bob")


@pytest.fixture
async def storage(world: World, authority: Any) -> AsyncIterator[Peer]:
    """`files.example`, a web server that has nothing to do with Matrix."""
    async with running_peer(authority.context("files.example")) as peer:
        world.dns.point("files.example", 443, peer.port)
        yield peer


async def download(client: Client, media_id: str, **query: Any) -> Answer:
    return await client.raw("GET", f"/_matrix/client/v1/media/download/peer.example/{media_id}", query=query)


async def nothing_is_left(home: Home, world: World) -> bool:
    files = [each for each in (world.folder / BETA / "media").rglob("*") if each.is_file()]
    rows = await home.server.application.base.database.fetchval("SELECT count(*) FROM remote_media")
    return not files and rows == 0


def endless(piece: bytes, begin: bytes = b"", **headers: str) -> Any:
    """An answer that goes on for as long as somebody reads it."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={**MIXED, **headers})
        await response.prepare(request)
        await response.write(begin)
        while True:
            await response.write(piece)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(endless(b"x" * 65536), id="a preamble without an end"),
        pytest.param(endless(b"x" * 65536, b"--b\r\n\r\n"), id="a first part without an end"),
        pytest.param(endless(b"X-Header: x\r\n" * 1000, b"--b\r\n"), id="headers without an end"),
        pytest.param(endless(b"X-Header: x\r\n" * 1000, ABOUT), id="headers of the file without an end"),
        pytest.param(endless(b"x" * 65536, ABOUT + b"X: "), id="a header without an end"),
        pytest.param(endless(b"x" * 65536, ABOUT + b"\r\n"), id="a file without an end"),
        pytest.param(endless(b"\r\n--" * 10_000, ABOUT + b"\r\n"), id="nearly boundaries"),
    ],
)
async def test_what_has_no_end_is_given_up(beta: Home, bob: Client, peer: Peer, world: World, answer: Any) -> None:
    peer.answers[f"{NEW}/abc"] = answer
    async with asyncio.timeout(5):
        found = await download(bob, "abc")
    assert found.status == 502
    assert await nothing_is_left(beta, world)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"hello", id="no parts"),
        pytest.param(b"--b--\r\n", id="only an end"),
        pytest.param(b"--b\r\n\r\n{}\r\n--b--\r\n", id="one part"),
        pytest.param(ABOUT + b"Content-Type: text/plain\r\n\r\nhel", id="a file that breaks off"),
        pytest.param(ABOUT + b"Content-Type: text/plain\r\n\r\nhello\r\n--", id="an end that breaks off"),
        pytest.param(ABOUT + b"Content-Type: text/plain", id="headers that break off"),
        pytest.param(b"--bc\r\n\r\n{}\r\n--bc\r\n\r\nhello\r\n--bc--", id="another boundary"),
    ],
)
async def test_what_is_not_two_parts_is_no_file(beta: Home, bob: Client, peer: Peer, world: World, body: bytes) -> None:
    peer.says(f"{NEW}/abc", body, **MIXED)
    found = await download(bob, "abc")
    assert (found.status, found.json()["errcode"]) == (502, "M_UNKNOWN")
    assert await nothing_is_left(beta, world)


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param("application/json", id="not multipart"),
        pytest.param("multipart/mixed", id="no boundary"),
        pytest.param('multipart/mixed; boundary=""', id="an empty boundary"),
        pytest.param("multipart/form-data; boundary=b", id="another kind"),
        pytest.param("multipart/mixed; boundary=" + "b" * 3000, id="a boundary without an end"),
    ],
)
async def test_the_answer_has_to_be_multipart_mixed(bob: Client, peer: Peer, content_type: str) -> None:
    peer.says(f"{NEW}/abc", ABOUT + b"\r\nhello\r\n--b--", **{"Content-Type": content_type})
    assert (await download(bob, "abc")).status == 502


async def test_further_parts_are_not_looked_at(bob: Client, peer: Peer) -> None:
    peer.answers[f"{NEW}/abc"] = endless(b"\r\n--b\r\n\r\nmore" * 5_000, ABOUT + b"\r\nhello\r\n--b\r\n")
    async with asyncio.timeout(5):
        assert (await download(bob, "abc")).body == b"hello"


async def test_a_multipart_inside_is_just_a_file(bob: Client, peer: Peer) -> None:
    inner = b"--c\r\nLocation: https://files.example/\r\n\r\n--c--"
    peer.says(
        f"{NEW}/abc", ABOUT + b"Content-Type: multipart/mixed; boundary=c\r\n\r\n" + inner + b"\r\n--b--", **MIXED
    )
    found = await download(bob, "abc")
    assert (found.status, found.body) == (200, inner)
    assert found.headers["Content-Disposition"] == "attachment"


async def test_what_mallory_says_of_a_file_runs_nowhere(bob: Client, peer: Peer) -> None:
    for number, (claim, content_type) in enumerate(
        (
            (b"text/html", "text/html"),
            (b"image/png\x00\r\nSet-Cookie: a=b", "application/octet-stream"),
            (b"text/html, <script>", "application/octet-stream"),
            (b"\xff\xfe", "application/octet-stream"),
            (b"x" * 5000, "application/octet-stream"),
        )
    ):
        disposition = b'inline; filename="a\\"b;.html"; filename=evil.exe'
        head = b"Content-Type: " + claim + b"\r\nContent-Disposition: " + disposition + b"\r\n\r\n"
        peer.says(f"{NEW}/abc{number}", ABOUT + head + b"<script>\r\n--b--", **MIXED)
        found = await download(bob, f"abc{number}")
        assert (found.status, found.headers["Content-Type"]) == (200, content_type)
        assert found.headers["Content-Disposition"] == "attachment; filename*=utf-8''a%22b%3B.html"
        assert "sandbox" in found.headers["Content-Security-Policy"]
        assert found.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in found.headers


async def test_lengths_are_counted_not_believed(beta: Home, bob: Client, peer: Peer, world: World) -> None:
    async def short(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={**MIXED, "Content-Length": "1000"})
        await response.prepare(request)
        await response.write(ABOUT + b"\r\nhello")
        assert request.transport is not None
        request.transport.close()
        return response

    peer.answers[f"{NEW}/short"] = short
    assert (await download(bob, "short")).status == 502
    peer.says(f"{NEW}/long", b"x", **{**MIXED, "Content-Length": str(10**12)})
    found = await download(bob, "long")
    assert (found.status, found.json()["errcode"]) == (502, "M_TOO_LARGE")
    assert await nothing_is_left(beta, world)


async def test_who_sends_nothing_any_more_is_given_up(
    beta: Home, bob: Client, peer: Peer, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Streamed.pieces, "__defaults__", (0.1,))
    gone = asyncio.Event()

    async def stalls(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers=MIXED)
        await response.prepare(request)
        await response.write(ABOUT + b"\r\nhel")
        await gone.wait()
        return response

    peer.answers[f"{NEW}/abc"] = stalls
    found = await download(bob, "abc")
    gone.set()
    assert (found.status, found.json()["errcode"]) == (504, "M_CONNECTION_TIMEOUT")
    assert await nothing_is_left(beta, world)


# --- Where the file is elsewhere ---


async def test_a_file_elsewhere_is_fetched_there_unsigned(bob: Client, peer: Peer, storage: Peer) -> None:
    peer.says(f"{NEW}/abc", ABOUT + b"Location: https://files.example/x?sig=1\r\n\r\n\r\n--b--", **MIXED)
    storage.says("/x", b"hello", **{"Content-Type": "text/plain", "Content-Disposition": "inline; filename=a.txt"})
    found = await download(bob, "abc")
    assert (found.status, found.body, found.headers["Content-Type"]) == (200, b"hello", "text/plain")
    assert found.headers["Content-Disposition"] == "inline; filename=a.txt"
    assert [(each.uri, each.authorization) for each in storage.heard] == [("/x?sig=1", None)]
    assert peer.heard[-1].authorization is not None


@pytest.mark.parametrize(
    "location",
    [
        "http://files.example/x",
        "file:///etc/passwd",
        "https:///x",
        "/x",
        "",
        "https://user:password@files.example/x",
        "https://[::1/x",
        "https://files.example/" + "x" * 9000,
        "https://nobody.example/x",
    ],
)
async def test_where_mallory_may_not_send_us(bob: Client, peer: Peer, storage: Peer, location: str) -> None:
    storage.says("/x", b"hello")
    peer.says(f"{NEW}/abc", ABOUT + f"Location: {location}\r\n\r\n\r\n--b--".encode(), **MIXED)
    assert (await download(bob, "abc")).status == 502
    assert storage.heard == []


async def test_we_are_sent_elsewhere_only_once(bob: Client, peer: Peer, storage: Peer) -> None:
    peer.says(f"{NEW}/abc", ABOUT + b"Location: https://files.example/x\r\n\r\n\r\n--b--", **MIXED)
    storage.says("/x", b"", status=302, Location="https://files.example/y")
    storage.says("/y", b"hello")
    assert (await download(bob, "abc")).status == 502
    assert [each.uri for each in storage.heard] == ["/x"]


async def test_a_file_elsewhere_without_an_end(
    beta: Home, bob: Client, peer: Peer, storage: Peer, world: World
) -> None:
    peer.says(f"{NEW}/abc", ABOUT + b"Location: https://files.example/x\r\n\r\n\r\n--b--", **MIXED)
    storage.answers["/x"] = endless(b"x" * 65536, **{"Content-Type": "text/plain"})
    async with asyncio.timeout(5):
        found = await download(bob, "abc")
    assert (found.status, found.json()["errcode"]) == (502, "M_TOO_LARGE")
    assert await nothing_is_left(beta, world)


async def test_private_addresses_are_not_contacted(world: World, peer: Peer, storage: Peer) -> None:
    """The peer has an address that is allowed, the place it sends us to has not."""
    networks = ("10.0.0.0/8", "169.254.0.0/16")
    federation = FederationSettings(ca_file=world.authority.ca_file, ip_denylist=networks)
    async with running_home(BETA, 2, world, federation=federation, listeners=(ListenerSettings(port=0),) * 2) as home:
        bob = await home.server.register("bob")
        storage.says("/x", b"hello")
        world.dns.point("files.example", 443, storage.port, ip="10.0.0.1")
        for number, place in enumerate(("files.example", "169.254.169.254", "[::ffff:10.0.0.1]")):
            peer.says(f"{NEW}/abc{number}", ABOUT + f"Location: https://{place}/x\r\n\r\n\r\n--b--".encode(), **MIXED)
            assert (await download(bob, f"abc{number}")).status == 502
        assert storage.heard == []
        assert not AddressGuard(networks).allows("::ffff:10.0.0.1")


# --- Servers from before v1.11 ---


async def test_an_older_server_is_asked_as_it_understands(bob: Client, peer: Peer) -> None:
    peer.says(f"{OLD}/abc", b"hello", **{"Content-Type": "text/plain", "Content-Disposition": "inline; filename=a.txt"})
    found = await download(bob, "abc", timeout_ms=5)
    assert (found.status, found.body) == (200, b"hello")
    assert found.headers["Content-Disposition"] == "inline; filename=a.txt"
    asked = [(each.uri, each.authorization is None) for each in peer.heard if "media" in each.uri]
    assert asked == [(f"{NEW}/abc?timeout_ms=5", False), (f"{OLD}/abc?allow_remote=false&timeout_ms=5", True)]


async def test_who_has_the_new_way_is_not_asked_in_the_old_one(bob: Client, peer: Peer) -> None:
    peer.says(f"{OLD}/abc", b"hello")
    peer.says(f"{NEW}/abc", {"errcode": "M_NOT_FOUND", "error": "?"}, status=404)
    assert (await download(bob, "abc")).status == 404
    assert len([each for each in peer.heard if "media" in each.uri]) == 1
    # Remembered for a minute.
    assert (await download(bob, "abc")).status == 404
    assert len([each for each in peer.heard if "media" in each.uri]) == 1


@pytest.mark.parametrize(
    ("status", "errcode", "ours"),
    [
        (403, "M_FORBIDDEN", (502, "M_UNKNOWN")),
        (401, "M_UNKNOWN_TOKEN", (502, "M_UNKNOWN")),
        (502, "M_TOO_LARGE", (502, "M_TOO_LARGE")),
        (504, "M_NOT_YET_UPLOADED", (504, "M_NOT_YET_UPLOADED")),
        (307, "M_UNKNOWN", (502, "M_UNKNOWN")),
    ],
)
async def test_refusals_become_ours(bob: Client, peer: Peer, status: int, errcode: str, ours: tuple[int, str]) -> None:
    peer.says(f"{NEW}/abc", {"errcode": errcode, "error": "?"}, status=status, Location="https://peer.example:8448/")
    found = await download(bob, "abc")
    assert (found.status, found.json()["errcode"]) == ours


async def test_an_error_without_an_end(bob: Client, peer: Peer) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(status=404)
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    peer.answers[f"{NEW}/abc"] = answer
    async with asyncio.timeout(5):
        assert (await download(bob, "abc")).status == 404


async def test_a_slow_server_keeps_nobody_from_the_others(beta: Home, bob: Client, peer: Peer, world: World) -> None:
    go_on = asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await go_on.wait()
        return web.Response(body=ABOUT + b"\r\nhello\r\n--b--", headers=MIXED)

    for number in range(40):
        peer.answers[f"{NEW}/abc{number}"] = slow
    waiting = [asyncio.create_task(download(bob, f"abc{number}")) for number in range(40)]
    async with running_peer(world.authority.context("other.example")) as other:
        world.dns.point("other.example", FEDERATION_PORT, other.port)
        other.says(f"{NEW}/abc", ABOUT + b"\r\nhello\r\n--b--", **MIXED)
        answer = await bob.raw("GET", "/_matrix/client/v1/media/download/other.example/abc")
    assert answer.body == b"hello"
    go_on.set()
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}
