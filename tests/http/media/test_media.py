"""Alice sends a file, Bob looks at it, Mallory tries to make it something else."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from config.settings import MediaSettings, Settings
from homeserver.services.media import thumbnails
from tests.cast import Answer, Client, Server
from tests.homeserver import server_settings

UPLOAD = "/_matrix/media/v3/upload"
NEW = "/_matrix/client/v1/media"
LEGACY = "/_matrix/media/v3"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, media=MediaSettings(max_upload=200_000))


async def upload(client: Client, content: bytes, content_type: str | None = "text/plain", **query: Any) -> str:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await client.raw("POST", UPLOAD, data=content, headers=headers, query=query)
    assert answer.status == 200, answer
    uri: str = answer.json()["content_uri"]
    return uri.removeprefix("mxc://")


async def download(client: Client, path: str, base: str = NEW, **query: Any) -> Answer:
    return await client.raw("GET", f"{base}/download/{path}", query=query)


def picture(width: int = 1000, height: int = 500, kind: str = "PNG", mode: str = "RGB") -> bytes:
    output = io.BytesIO()
    Image.new(mode, (width, height), "red").save(output, kind)
    return output.getvalue()


async def test_bob_gets_what_alice_uploaded(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    path = await upload(alice, b"hello", filename="note.txt")
    answer = await download(bob, path)
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Content-Disposition"] == "inline; filename=note.txt"
    assert answer.headers["Content-Length"] == "5"


async def test_the_legacy_door_needs_no_token_and_the_new_one_does(server: Server) -> None:
    alice = await server.register("alice")
    path = await upload(alice, b"hello")
    assert (await download(server.anonymous(), path, LEGACY)).body == b"hello"
    assert (await download(server.anonymous(), path)).status == 401


async def test_an_empty_file_is_a_file(server: Server) -> None:
    alice = await server.register("alice")
    answer = await download(alice, await upload(alice, b"", None))
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"] == "application/octet-stream"


async def test_a_page_can_only_be_saved(server: Server) -> None:
    mallory = await server.register("mallory")
    path = await upload(mallory, b"<script>", "text/html", filename='a";evil=".html')
    answer = await download(mallory, path)
    assert answer.headers["Content-Disposition"].startswith("attachment; filename*=utf-8''a%22%3Bevil")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_content_type_that_is_none_becomes_bytes(server: Server) -> None:
    mallory = await server.register("mallory")
    path = await upload(mallory, b"x", "text/html, <b>")
    assert (await download(mallory, path)).headers["Content-Type"] == "application/octet-stream"


async def test_the_name_in_the_path_wins(server: Server) -> None:
    alice = await server.register("alice")
    path = await upload(alice, b"x", filename="a.txt")
    answer = await download(alice, f"{path}/%E2%98%95.txt")
    assert answer.headers["Content-Disposition"] == "inline; filename*=utf-8''%E2%98%95.txt"


async def test_too_large_is_refused_before_and_while_reading(server: Server) -> None:
    alice = await server.register("alice")
    await_answer = await alice.raw("POST", UPLOAD, data=b"x" * 200_001)
    assert (await_answer.status, await_answer.json()["errcode"]) == (413, "M_TOO_LARGE")
    assert (await alice.get(f"{NEW}/config"))["m.upload.size"] == 200_000


async def test_nothing_is_there_for_made_up_ids(server: Server) -> None:
    alice = await server.register("alice")
    assert (await download(alice, "elsewhere.org/abc")).status == 502
    assert (await download(server.anonymous(), "elsewhere.org/abc", LEGACY)).status == 404
    for path in ("test/nothing", "test/..%2F..%2Fetc%2Fpasswd", "test/" + "a" * 300):
        assert (await download(alice, path)).status == 404, path


async def test_guests_may_look_but_not_upload(server: Server) -> None:
    alice, guest = await server.register("alice"), await server.guest()
    path = await upload(alice, b"hello")
    assert (await download(guest, path)).status == 200
    assert (await guest.raw("POST", UPLOAD, data=b"x")).status == 403


async def test_a_client_that_has_it_does_not_get_it_again(server: Server) -> None:
    alice = await server.register("alice")
    path = await upload(alice, b"hello")
    etag = (await download(alice, path)).headers["ETag"]
    answer = await alice.raw("GET", f"{NEW}/download/{path}", headers={"If-None-Match": etag}, check=False)
    assert answer.status == 304


# --- Two steps ---


async def create(client: Client) -> str:
    uri: str = (await client.post("/_matrix/media/v1/create"))["content_uri"]
    return uri.removeprefix("mxc://")


async def test_bob_waits_for_a_file_that_is_on_its_way(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    path = await create(alice)
    waiting = asyncio.create_task(download(bob, path))
    while not server.application.media.downloads.arrivals._waiting:
        await asyncio.sleep(0.01)
    await alice.put(f"{UPLOAD}/{path}", {"late": True})
    assert (await waiting).json() == {"late": True}


async def test_who_does_not_wait_is_told_to_come_back(server: Server) -> None:
    alice = await server.register("alice")
    answer = await download(alice, await create(alice), timeout_ms=0)
    assert (answer.status, answer.json()["errcode"]) == (504, "M_NOT_YET_UPLOADED")


async def test_a_place_is_filled_once_by_its_owner_and_in_time(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    path = await create(alice)
    await mallory.put(f"{UPLOAD}/{path}", {}, expect=(403, "M_FORBIDDEN"))
    await alice.put(f"{UPLOAD}/{path}", {"first": True})
    await alice.put(f"{UPLOAD}/{path}", {"second": True}, expect=(409, "M_CANNOT_OVERWRITE_MEDIA"))
    assert (await download(alice, path)).json() == {"first": True}
    late = await create(alice)
    server.clock.advance(hours=25)
    await alice.put(f"{UPLOAD}/{late}", {}, expect=(404, "M_NOT_FOUND"))


async def test_places_are_limited(server: Server) -> None:
    mallory = await server.register("mallory")
    for _ in range(100):
        await create(mallory)
    await mallory.post("/_matrix/media/v1/create", expect=(429, "M_LIMIT_EXCEEDED"))


# --- Thumbnails ---


async def thumbnail(client: Client, path: str, **query: Any) -> Answer:
    return await client.raw("GET", f"{NEW}/thumbnail/{path}", query=query)


def size_of(answer: Answer) -> tuple[int, int]:
    with Image.open(io.BytesIO(answer.body)) as opened:
        return opened.size


async def test_thumbnails_fit_or_fill_and_are_made_once(server: Server) -> None:
    alice = await server.register("alice")
    path = await upload(alice, picture(), "image/png")
    scaled = await thumbnail(alice, path, width=300, height=200)
    assert scaled.headers["Content-Type"] == "image/jpeg"
    assert size_of(scaled) == (320, 160)
    assert size_of(await thumbnail(alice, path, width=50, height=50, method="crop")) == (96, 96)
    assert (await thumbnail(alice, path, width=320, height=240)).body == scaled.body


async def test_a_thumbnail_is_never_larger_than_its_picture(server: Server) -> None:
    alice = await server.register("alice")
    path = await upload(alice, picture(40, 30, mode="RGBA"), "image/png")
    answer = await thumbnail(alice, path, width=800, height=600)
    assert size_of(answer) == (40, 30)
    assert answer.headers["Content-Type"] == "image/png"


@pytest.mark.parametrize("content", [b"not a picture", b"\x89PNG\r\n\x1a\n" + bytes(100), picture()[:500]])
async def test_what_is_no_picture_has_no_thumbnail(server: Server, content: bytes) -> None:
    alice = await server.register("alice")
    path = await upload(alice, content, "image/png")
    assert (await thumbnail(alice, path, width=32, height=32)).status == 400


async def test_a_decompression_bomb_is_refused(server: Server) -> None:
    mallory = await server.register("mallory")
    bomb = picture(20_000, 20_000, mode="1")
    assert len(bomb) < 200_000
    path = await upload(mallory, bomb, "image/png")
    assert (await thumbnail(mallory, path, width=32, height=32)).status == 400


@pytest.mark.parametrize(
    "query",
    [{"width": 32}, {"height": 32}, {"width": 0, "height": 1}, {"width": -5, "height": 5}, {"width": "x", "height": 1},
     {"width": 32, "height": 32, "method": "stretch"}],
)  # fmt: skip
async def test_sizes_that_make_no_sense_are_refused(server: Server, query: dict[str, Any]) -> None:
    alice = await server.register("alice")
    path = await upload(alice, picture(10, 10), "image/png")
    assert (await thumbnail(alice, path, **query)).status == 400


def count_processes(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by one with each picture that is looked at."""
    started: list[object] = []
    run = thumbnails._run_thumbnailer

    async def counted(source: bytes, size: thumbnails.Size) -> tuple[str, bytes]:
        started.append(size)
        return await run(source, size)

    monkeypatch.setattr(thumbnails, "_run_thumbnailer", counted)
    return started


async def test_a_thumbnail_that_many_ask_for_at_once_is_made_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await server.register("alice")
    path = await upload(alice, picture(), "image/png")
    started = count_processes(monkeypatch)
    query = {"width": "96", "height": "96", "method": "crop"}
    answers = await asyncio.gather(*(alice.raw("GET", f"{NEW}/thumbnail/{path}", query=query) for _ in range(8)))
    assert {answer.status for answer in answers} == {200}
    assert len(started) <= thumbnails.MAX_AT_ONCE


async def test_what_is_no_picture_is_looked_at_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    mallory = await server.register("mallory")
    path = await upload(mallory, b"\x89PNG but no picture", "image/png")
    started = count_processes(monkeypatch)
    for width in ("32", "640", "32"):
        query = {"width": width, "height": width}
        assert (await mallory.raw("GET", f"{NEW}/thumbnail/{path}", query=query)).status == 400
    assert len(started) == 1
