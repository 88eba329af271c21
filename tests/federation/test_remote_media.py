"""Alice uploads at alpha, Bob looks at it from beta."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from config.settings import FederationSettings, MediaSettings
from homeserver.protocol.x_matrix import sign_request
from tests.cast import Answer, Client
from tests.federation.conftest import ALPHA, BETA, Home, World, running_home
from tests.federation.foreign_servers import ForeignServer
from tests.federation.peers import Peer

UPLOAD = "/_matrix/media/v3/upload"
DOWNLOAD, THUMBNAIL = "/_matrix/client/v1/media/download", "/_matrix/client/v1/media/thumbnail"
LEGACY = "/_matrix/media/v3/download"
SERVED = "/_matrix/federation/v1/media"
MEBIBYTE = 1024 * 1024


async def upload(client: Client, content: bytes, content_type: str = "text/plain", **query: Any) -> str:
    answer = await client.raw("POST", UPLOAD, data=content, headers={"Content-Type": content_type}, query=query)
    uri: str = answer.json()["content_uri"]
    return uri.removeprefix("mxc://")


async def download(client: Client, path: str, base: str = DOWNLOAD, **query: Any) -> Answer:
    return await client.raw("GET", f"{base}/{path}", query=query)


def picture() -> bytes:
    output = io.BytesIO()
    Image.new("RGB", (1000, 500), "red").save(output, "PNG")
    return output.getvalue()


def lose_touch(home: Home) -> None:
    """From now on alpha counts as unreachable."""
    home.server.application.federation.client.pauses.failed(ALPHA)


def blobs_of(world: World, name: str) -> list[Path]:
    """Without those that are being written."""
    return [each for each in (world.folder / name / "media").glob("*/*/*") if each.is_file()]


@pytest.fixture
async def small(world: World) -> AsyncIterator[Home]:
    """Beta keeps a megabyte of other servers' files."""
    media = MediaSettings(remote_cache=MEBIBYTE, max_upload=MEBIBYTE)
    async with running_home(BETA, 2, world, media=media) as home:
        yield home


async def test_bob_gets_a_file_of_another_server_and_it_is_fetched_once(alpha: Home, beta: Home, world: World) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    content = bytes(range(256)) * 5000
    path = await upload(alice, content, "image/png", filename="kaffee ☕.png")
    answers = await asyncio.gather(*(download(bob, path) for _ in range(5)))
    for answer in (*answers, await download(bob, path)):
        assert (answer.status, answer.body) == (200, content)
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["Content-Disposition"] == "inline; filename*=utf-8''kaffee%20%E2%98%95.png"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert len(blobs_of(world, BETA)) == 1
    # Its own server is no longer needed.
    lose_touch(beta)
    assert (await download(bob, path)).status == 200


async def test_an_empty_file_and_one_that_looks_like_a_boundary(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    for content in (b"", b"\r\n--", b"--" * 100_000, b"\r\n\r\n--x\r\n"):
        assert (await download(bob, await upload(alice, content))).body == content


async def test_bob_gets_a_thumbnail_made_by_his_own_server(alpha: Home, beta: Home, world: World) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    path = await upload(alice, picture(), "image/png")
    answer = await download(bob, path, THUMBNAIL, width=96, height=96, method="crop")
    assert Image.open(io.BytesIO(answer.body)).size == (96, 96)
    assert [name.name for name in blobs_of(world, ALPHA) if "96x96" in name.name] == []
    again = await download(bob, path, THUMBNAIL, width=96, height=96, method="crop")
    assert again.body == answer.body


async def test_without_a_token_there_are_no_files_of_others(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    path = await upload(alice, b"hello")
    assert (await download(beta.server.anonymous(), path, LEGACY)).status == 404
    assert (await download(bob, path)).status == 200
    assert (await download(beta.server.anonymous(), path, LEGACY)).status == 404
    assert (await download(beta.server.anonymous(), path)).status == 401


async def test_what_is_not_there_is_not_asked_for_again_at_once(alpha: Home, beta: Home, world: World) -> None:
    bob = await beta.server.register("bob")
    for path in (f"{ALPHA}/nothing", f"{ALPHA}/..%2F..%2Fetc", "no server/abc", f"{ALPHA}/" + "a" * 300):
        assert (await download(bob, path)).status == 404, path
    lose_touch(beta)
    assert (await download(bob, f"{ALPHA}/nothing")).status == 404
    world.clock.advance(ms=61_000)
    lose_touch(beta)
    answer = await download(bob, f"{ALPHA}/nothing")
    assert (answer.status, answer.json()["errcode"]) == (502, "M_CONNECTION_FAILED")


async def test_bob_waits_for_a_file_that_is_being_uploaded(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    uri = (await alice.post("/_matrix/media/v1/create"))["content_uri"].removeprefix("mxc://")
    answer = await download(bob, uri, timeout_ms=0)
    assert (answer.status, answer.json()["errcode"]) == (504, "M_NOT_YET_UPLOADED")
    waiting = asyncio.create_task(download(bob, uri, timeout_ms=10_000))
    arrivals = alpha.server.application.media.downloads.arrivals
    async with asyncio.timeout(5):
        while not arrivals._waiting:
            await asyncio.sleep(0.01)
    await alice.raw("PUT", f"/_matrix/media/v3/upload/{uri}", data=b"late", headers={"Content-Type": "text/plain"})
    assert (await waiting).body == b"late"


async def test_old_files_make_room_for_new_ones(alpha: Home, small: Home, world: World) -> None:
    alice, bob = await alpha.server.register("alice"), await small.server.register("bob")
    first, second, third = [await upload(alice, bytes([n]) * (400 * 1024)) for n in range(3)]
    for path in (first, second):
        assert (await download(bob, path)).status == 200
        world.clock.advance(ms=60 * 60_000)
    assert (await download(bob, first)).status == 200
    assert (await download(bob, third)).status == 200
    assert len(blobs_of(world, BETA)) == 2
    lose_touch(small)
    assert [(await download(bob, path)).status for path in (first, third)] == [200, 200]
    assert (await download(bob, second)).status == 502


async def test_thumbnails_count_and_go_with_their_files(alpha: Home, small: Home, world: World) -> None:
    alice, bob = await alpha.server.register("alice"), await small.server.register("bob")
    path = await upload(alice, picture(), "image/png")
    await download(bob, path, THUMBNAIL, width=96, height=96)
    assert len(blobs_of(world, BETA)) == 2
    database = small.server.application.base.database
    total, size = await database.fetchrow("SELECT bytes, size FROM remote_media")
    assert total > size
    world.clock.advance(ms=1000)
    assert (await download(bob, await upload(alice, b"x" * (MEBIBYTE - 10)))).status == 200
    assert len(blobs_of(world, BETA)) == 1
    assert await database.fetchval("SELECT count(*) FROM remote_media_thumbnails") == 0
    assert (await download(bob, path, THUMBNAIL, width=96, height=96)).status == 200


async def test_a_file_that_is_too_large_is_not_fetched(alpha: Home, small: Home, world: World) -> None:
    alice, bob = await alpha.server.register("alice"), await small.server.register("bob")
    for size in (MEBIBYTE + 1, 3 * MEBIBYTE):
        answer = await download(bob, await upload(alice, b"x" * size))
        assert (answer.status, answer.json()["errcode"]) == (502, "M_TOO_LARGE")
    assert blobs_of(world, BETA) == []
    assert await small.server.application.base.database.fetchval("SELECT count(*) FROM remote_media") == 0


async def test_what_a_crash_left_behind_is_tidied(alpha: Home, beta: Home, world: World) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    path, other = await upload(alice, b"hello"), await upload(alice, b"hello")
    assert (await download(bob, path)).status == (await download(bob, other)).status == 200
    database = beta.server.application.base.database
    await database.execute("UPDATE remote_media SET standing = 'arriving' WHERE media_id = $1", path.split("/")[1])
    await database.execute("UPDATE remote_media SET standing = 'going' WHERE media_id = $1", other.split("/")[1])
    world.clock.advance(ms=3 * 60 * 60_000)
    async with asyncio.timeout(5):
        while await database.fetchval("SELECT count(*) FROM remote_media"):
            await asyncio.sleep(0.01)
    assert blobs_of(world, BETA) == []
    assert (await download(bob, path)).body == b"hello"


async def test_a_server_must_sign_and_gets_only_our_files(alpha: Home, peer: Peer) -> None:
    alice = await alpha.server.register("alice")
    media_id = (await upload(alice, picture(), "image/png", filename="a.png")).partition("/")[2]
    asker = ForeignServer(peer)
    uri = f"{SERVED}/download/{media_id}"
    assert (await alpha.server.anonymous().raw("GET", uri)).status == 401
    answer = await asker.raw(alpha.server, "GET", uri)
    assert answer.status == 200
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    boundary = answer.headers["Content-Type"].removeprefix("multipart/mixed; boundary=").encode()
    before, about, file, after = answer.body.split(b"\r\n--" + boundary)
    assert (before, about, after) == (b"", b"\r\nContent-Type: application/json\r\n\r\n{}", b"--\r\n")
    headers, _, content = file.partition(b"\r\n\r\n")
    assert headers == b"\r\nContent-Type: image/png\r\nContent-Disposition: inline; filename=a.png"
    assert content == picture()
    small = await asker.raw(alpha.server, "GET", f"{SERVED}/thumbnail/{media_id}?width=32&height=32&method=crop")
    assert b"Content-Type: image/jpeg" in small.body
    for bad in (f"{SERVED}/download/nothing", f"{SERVED}/thumbnail/nothing?width=1&height=1"):
        assert (await asker.raw(alpha.server, "GET", bad)).status == 404
    assert (await asker.raw(alpha.server, "GET", f"{SERVED}/thumbnail/{media_id}")).json()[
        "errcode"
    ] == "M_MISSING_PARAM"


async def test_a_signature_for_another_file_does_not_count(alpha: Home, peer: Peer) -> None:
    asker = ForeignServer(peer)
    header = sign_request(asker.key, "GET", f"{SERVED}/download/a", asker.name, ALPHA, None)
    answer = await alpha.server.anonymous().raw("GET", f"{SERVED}/download/b", headers={"Authorization": header})
    assert answer.status == 401


async def test_who_does_not_federate_has_no_files_of_others(world: World) -> None:
    async with running_home(BETA, 2, world, federation=FederationSettings(enabled=False)) as home:
        bob = await home.server.register("bob")
        assert (await download(bob, f"{ALPHA}/abc")).status == 404
        assert (await home.server.anonymous().raw("GET", f"{SERVED}/download/abc")).status in (401, 403, 404)
