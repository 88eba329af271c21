"""Mallory uploads at alpha, Bob is at beta; Ada administers beta, Olga alpha."""

from __future__ import annotations

from tests.cast import Answer, Client
from tests.federation.conftest import BETA, Home, World

V1 = "/_synapse/admin/v1"
UPLOAD, DOWNLOAD = "/_matrix/media/v3/upload", "/_matrix/client/v1/media/download"
THUMBNAIL = "/_matrix/client/v1/media/thumbnail"


async def upload(client: Client, content: bytes) -> str:
    answer = await client.raw("POST", UPLOAD, data=content, headers={"Content-Type": "text/plain"})
    uri: str = answer.json()["content_uri"]
    return uri.removeprefix("mxc://")


async def download(client: Client, path: str) -> Answer:
    return await client.raw("GET", f"{DOWNLOAD}/{path}")


async def test_a_file_of_another_server_goes_into_quarantine_with_all_that_has_its_bytes(
    alpha: Home, beta: Home
) -> None:
    mallory, bob = await alpha.server.register("mallory"), await beta.server.register("bob")
    ada = await beta.server.administrator()
    path = await upload(mallory, b"nasty")
    assert (await download(bob, path)).status == 200
    await ada.post(f"{V1}/media/quarantine/{path}")
    assert (await download(bob, path)).status == 404
    # Under another name, and uploaded at beta.
    again, here = await upload(mallory, b"nasty"), await upload(bob, b"nasty")
    assert [(await download(bob, each)).status for each in (again, again, here)] == [404, 404, 404]
    await ada.post(f"{V1}/media/unquarantine/{path}")
    beta.server.clock.advance(minutes=2)
    assert [(await download(bob, each)).status for each in (path, again, here)] == [200, 200, 200]


async def test_what_is_in_quarantine_by_name_is_not_fetched(alpha: Home, beta: Home, world: World) -> None:
    mallory, bob = await alpha.server.register("mallory"), await beta.server.register("bob")
    ada = await beta.server.administrator()
    path = await upload(mallory, b"nasty")
    await ada.post(f"{V1}/media/quarantine/{path}")
    assert (await download(bob, path)).status == 404
    assert not list((world.folder / BETA / "media").glob("*/*/*"))


async def test_other_servers_do_not_get_what_is_in_quarantine_here(alpha: Home, beta: Home) -> None:
    mallory, bob = await alpha.server.register("mallory"), await beta.server.register("bob")
    olga = await alpha.server.administrator("olga")
    path = await upload(mallory, b"nasty")
    await olga.post(f"{V1}/media/quarantine/{path}")
    assert (await download(bob, path)).status == 404
    assert (await bob.raw("GET", f"{THUMBNAIL}/{path}", query={"width": 32, "height": 32})).status == 404


async def test_files_of_others_that_nobody_wants_are_purged_and_can_be_fetched_again(
    alpha: Home, beta: Home, world: World
) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    ada = await beta.server.administrator()
    old, new = await upload(alice, b"old"), await upload(alice, b"new")
    await download(bob, old)
    beta.server.clock.advance(hours=1)
    await download(bob, new)
    before = beta.server.clock.now_ms() - 1
    assert await ada.post(f"{V1}/purge_media_cache?before_ts={before}") == {"deleted": 1}
    assert len([each for each in (world.folder / BETA / "media").glob("*/*/*") if each.is_file()]) == 1
    assert (await download(bob, old)).body == b"old"
    await ada.post(f"{V1}/purge_media_cache", expect=(400, "M_MISSING_PARAM"))
