"""Ada, the administrator, takes files away that Mallory has sent."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

from PIL import Image

from homeserver.services.media.removal import GIVEN_UP_MS
from tests.cast import Answer, Client, Server

V1 = "/_synapse/admin/v1"
UPLOAD = "/_matrix/media/v3/upload"
NEW, LEGACY = "/_matrix/client/v1/media", "/_matrix/media/v3"


async def upload(client: Client, content: bytes, content_type: str = "text/plain") -> str:
    answer = await client.raw("POST", UPLOAD, data=content, headers={"Content-Type": content_type})
    assert answer.status == 200, answer
    uri: str = answer.json()["content_uri"]
    return uri.removeprefix("mxc://")


async def download(client: Client, path: str, base: str = NEW) -> Answer:
    return await client.raw("GET", f"{base}/download/{path}")


async def statuses(client: Client, *paths: str) -> list[int]:
    return [(await download(client, path)).status for path in paths]


def picture() -> bytes:
    output = io.BytesIO()
    Image.new("RGB", (1000, 500), "red").save(output, "PNG")
    return output.getvalue()


def blobs(tmp_path: Path) -> list[str]:
    return sorted(each.name for each in (tmp_path / "media").glob("*/*/*") if each.is_file())


async def test_what_is_in_quarantine_is_served_to_nobody(server: Server, ada: Client) -> None:
    mallory, bob = await server.register("mallory"), await server.register("bob")
    path = await upload(mallory, picture(), "image/png")
    size = {"width": 96, "height": 96, "method": "crop"}
    assert (await bob.raw("GET", f"{NEW}/thumbnail/{path}", query=size)).status == 200
    await ada.post(f"{V1}/media/quarantine/{path}")
    for reader in (bob, mallory, ada):
        answer = await download(reader, path)
        assert (answer.status, answer.json()["errcode"]) == (404, "M_NOT_FOUND")
        assert (await reader.raw("GET", f"{NEW}/thumbnail/{path}", query=size)).status == 404
    assert (await download(server.anonymous(), path, LEGACY)).status == 404
    etag = f'"{path.partition("/")[2]}"'
    answer = await bob.raw("GET", f"{NEW}/download/{path}", headers={"If-None-Match": etag})
    assert answer.status == 404
    await ada.post(f"{V1}/media/unquarantine/{path}")
    assert (await download(bob, path)).status == 200


async def test_the_same_bytes_uploaded_again_are_in_quarantine_too(server: Server, ada: Client) -> None:
    mallory = await server.register("mallory")
    before = await upload(mallory, b"nasty")
    path = await upload(mallory, b"nasty")
    other = await upload(mallory, b"nice")
    await ada.post(f"{V1}/media/quarantine/{path}")
    after = await upload(mallory, b"nasty")
    assert await statuses(mallory, before, path, after, other) == [404, 404, 404, 200]
    # Also where the file itself is gone.
    await ada.delete(f"{V1}/media/{path}")
    assert await statuses(mallory, after, await upload(mallory, b"nasty")) == [404, 404]
    await ada.post(f"{V1}/media/unquarantine/{after}")
    assert await statuses(mallory, before, path, after) == [200, 404, 200]


async def test_a_protected_file_stays(server: Server, ada: Client) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    sticker, copy = await upload(alice, b"sticker"), await upload(mallory, b"sticker")
    media_id = sticker.partition("/")[2]
    await ada.post(f"{V1}/media/protect/{media_id}")
    await ada.post(f"{V1}/media/quarantine/{sticker}", expect=(403, "M_FORBIDDEN"))
    assert await ada.post(f"{V1}/user/{alice.user_id}/media/quarantine") == {"num_quarantined": 0}
    await ada.post(f"{V1}/media/quarantine/{copy}")
    assert await statuses(alice, sticker, copy) == [200, 404]
    await ada.post(f"{V1}/media/unprotect/{media_id}")
    assert await statuses(alice, sticker) == [404]
    await ada.post(f"{V1}/media/protect/nothing", expect=404)


async def test_all_files_of_a_user(server: Server, ada: Client) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    good, bad, worse = await upload(alice, b"good"), await upload(mallory, b"bad"), await upload(mallory, b"worse")
    assert await ada.post(f"{V1}/user/{mallory.user_id}/media/quarantine") == {"num_quarantined": 2}
    assert await ada.post(f"{V1}/user/{mallory.user_id}/media/quarantine") == {"num_quarantined": 0}
    assert await statuses(alice, good, bad, worse) == [200, 404, 404]


async def test_all_files_of_a_room(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    image, small, elsewhere = (
        await upload(alice, b"image"),
        await upload(alice, b"small"),
        await upload(alice, b"other"),
    )
    info = {"thumbnail_url": f"mxc://{small}"}
    await alice.send(room_id, {"msgtype": "m.image", "body": "x", "url": f"mxc://{image}", "info": info})
    await alice.send(
        room_id, {"msgtype": "m.file", "body": "mxc://remote.example/abc", "url": "mxc://remote.example/a_b-9"}
    )
    await alice.send(room_id, {"msgtype": "m.file", "body": "x", "url": "mxc://not a server/abc"})
    assert await ada.get(f"{V1}/room/{room_id}/media") == {
        "local": sorted([f"mxc://{image}", f"mxc://{small}"]),
        "remote": ["mxc://remote.example/a_b-9", "mxc://remote.example/abc"],
    }
    assert await ada.post(f"{V1}/room/{room_id}/media/quarantine") == {"num_quarantined": 4}
    assert await ada.post(f"{V1}/quarantine_media/{room_id}") == {"num_quarantined": 0}
    assert await statuses(alice, image, small, elsewhere, "remote.example/abc") == [404, 404, 200, 404]
    await ada.post(f"{V1}/room/!nowhere:test/media/quarantine", expect=(404, "M_NOT_FOUND"))


async def test_what_is_known_of_a_file(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    path = await upload(alice, b"hello")
    media_id = path.partition("/")[2]
    info = (await ada.get(f"{V1}/media/{path}"))["media_info"]
    assert info == {
        "media_origin": None,
        "media_id": media_id,
        "user_id": alice.user_id,
        "media_type": "text/plain",
        "media_length": 5,
        "upload_name": None,
        "created_ts": info["created_ts"],
        "last_access_ts": None,
        "quarantined_by": None,
        "safe_from_quarantine": False,
        "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    }
    await download(alice, path)
    await ada.post(f"{V1}/media/quarantine/{path}")
    info = (await ada.get(f"{V1}/media/{path}"))["media_info"]
    assert (info["quarantined_by"], info["last_access_ts"]) == (ada.user_id, server.clock.now_ms())
    await ada.get(f"{V1}/media/test/nothing", expect=(404, "M_NOT_FOUND"))
    await ada.get(f"{V1}/media/remote.example/nothing", expect=(404, "M_NOT_FOUND"))


async def test_a_deleted_file_leaves_the_disk_with_its_thumbnails(server: Server, ada: Client, tmp_path: Path) -> None:
    alice = await server.register("alice")
    path, kept = await upload(alice, picture(), "image/png"), await upload(alice, b"kept")
    for width, height, method in ((96, 96, "crop"), (320, 240, "scale")):
        query = {"width": width, "height": height, "method": method}
        assert (await alice.raw("GET", f"{NEW}/thumbnail/{path}", query=query)).status == 200
    assert len(blobs(tmp_path)) == 4
    media_id = path.partition("/")[2]
    assert await ada.delete(f"{V1}/media/{path}") == {"deleted_media": [media_id], "total": 1}
    assert blobs(tmp_path) == [kept.partition("/")[2]]
    assert (await download(alice, path)).status == 404
    await ada.delete(f"{V1}/media/{path}", expect=(404, "M_NOT_FOUND"))
    await ada.delete(f"{V1}/media/remote.example/abc", expect=(400, "M_INVALID_PARAM"))


async def test_old_and_large_files_go_and_pictures_of_people_and_rooms_stay(
    server: Server, ada: Client, tmp_path: Path
) -> None:
    alice = await server.register("alice")
    avatar, room_avatar = await upload(alice, b"a" * 100), await upload(alice, b"r" * 100)
    old, used, small = await upload(alice, b"o" * 100), await upload(alice, b"u" * 100), await upload(alice, b"s")
    await alice.put(f"profile/{alice.user_id}/avatar_url", {"avatar_url": f"mxc://{avatar}"})
    room_id = await alice.create_room()
    await alice.set_state(room_id, "m.room.avatar", {"url": f"mxc://{room_avatar}"})
    server.clock.advance(hours=2)
    await download(alice, used)
    new = await upload(alice, b"n" * 100)
    before = server.clock.now_ms() - 1
    removed = await ada.post(f"{V1}/media/delete?before_ts={before}&size_gt=10")
    assert removed == {"deleted_media": [old.partition("/")[2]], "total": 1}
    assert await statuses(alice, avatar, room_avatar, old, used, small, new) == [200, 200, 404, 200, 200, 200]
    # They have been looked at just now.
    server.clock.advance(hours=2)
    before = server.clock.now_ms() - 1
    removed = await ada.post(f"{V1}/media/test/delete?before_ts={before}&keep_profiles=false")
    assert removed["total"] == 5
    assert blobs(tmp_path) == []


async def test_nonsense_deletes_nothing(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    path = await upload(alice, b"hello")
    for query in (
        "", "before_ts=abc", "before_ts=-1", "before_ts=0", "before_ts=1&size_gt=-1", "before_ts=1&keep_profiles=2",
    ):  # fmt: skip
        await ada.post(f"{V1}/media/delete?{query}", expect=400)
    assert await statuses(alice, path) == [200]


async def test_a_removal_that_was_interrupted_is_finished(server: Server, ada: Client, tmp_path: Path) -> None:
    alice = await server.register("alice")
    media_id = (await upload(alice, b"hello")).partition("/")[2]
    removal = server.application.moderation.remove_media
    # The server is killed here.
    await removal.rows.condemn(removal.database, [media_id], server.clock.now_ms())
    await removal.tidy()
    assert blobs(tmp_path) == [media_id]
    server.clock.advance(ms=GIVEN_UP_MS + 1)
    await removal.tidy()
    assert blobs(tmp_path) == []
    assert await removal.database.fetchval("SELECT count(*) FROM condemned_blobs") == 0


async def test_it_is_written_down_who_did_it(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    path = await upload(alice, b"hello")
    await ada.post(f"{V1}/media/quarantine/{path}")
    await ada.delete(f"{V1}/media/{path}")
    rows = await server.application.base.database.fetch("SELECT who, action, target FROM audit_log ORDER BY 2")
    found = [tuple(row) for row in rows if row["action"].startswith("media.")]
    assert found == [
        (ada.user_id, "media.delete", f"mxc://{path}"),
        (ada.user_id, "media.quarantine", f"mxc://{path}"),
    ]


async def test_only_administrators_may(server: Server) -> None:
    mallory = await server.register("mallory")
    room_id, file = await mallory.create_room(), await upload(mallory, b"hello")
    media_id = file.partition("/")[2]
    for method, path in (
        ("GET", f"media/test/{media_id}"), ("GET", f"room/{room_id}/media"), ("POST", f"media/quarantine/test/{media_id}"),
        ("POST", f"media/unquarantine/test/{media_id}"), ("POST", f"room/{room_id}/media/quarantine"),
        ("POST", f"quarantine_media/{room_id}"), ("POST", "user/@mallory:test/media/quarantine"),
        ("POST", f"media/protect/{media_id}"), ("POST", f"media/unprotect/{media_id}"), ("DELETE", f"media/test/{media_id}"),
        ("POST", "media/delete?before_ts=1"), ("POST", "media/test/delete?before_ts=1"),
        ("POST", "purge_media_cache?before_ts=1"),
    ):  # fmt: skip
        await mallory.request(method, f"{V1}/{path}", json={}, expect=(403, "M_FORBIDDEN"))
        await server.anonymous().request(method, f"{V1}/{path}", json={}, expect=(401, "M_MISSING_TOKEN"))


async def test_hostile_names_are_no_files(ada: Client) -> None:
    names = ("a%00b", "%F0%9F%92%A9", "x" * 256, "..%2F..%2Fetc", "a%20b", "'--")
    requests = (
        ("GET", "media/test/{}"),
        ("POST", "media/quarantine/test/{}"),
        ("POST", "media/unquarantine/test/{}"),
        ("POST", "media/protect/{}"),
        ("DELETE", "media/test/{}"),
        ("POST", "media/quarantine/{}/abc"),
        ("POST", "user/{}/media/quarantine"),
    )
    for name, (method, path) in itertools.product(names, requests):
        answer = await ada.raw(method, f"{V1}/{path.format(name)}", data=b"{}", encoded=True)
        assert answer.status < 500, (method, path, name, answer)
