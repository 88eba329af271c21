"""matrix-js-sdk signs in by OAuth; Alice agrees on our own pages, in a real browser."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from tests.interop.calls.chromium import Chromium, find_chromium
from tests.interop.conftest import Cast
from tests.interop.player import ClientError, Player
from tests.interop.scenes import eventually
from tests.interop.target import Target
from tests.interop.web_forms import SECONDS, Person

PASSWORD = "north wind and the sun"


@pytest_asyncio.fixture
async def alice(homeserver_under_test: Target, tmp_path: Path) -> AsyncIterator[Person]:
    """She has an account, and a browser in which nobody is signed in."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium; or VOICECHAT_TEST_CHROMIUM)")
    username = f"alice-{secrets.token_hex(4)}"
    body = {"username": username, "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    register = f"{homeserver_under_test.base_url}/_matrix/client/v3/register"
    async with aiohttp.ClientSession() as session, session.post(register, json=body) as response:
        assert response.status == 200
    browser = await Chromium.start(program, tmp_path / "profile")
    yield Person(browser, username, PASSWORD)
    await browser.close()


@pytest_asyncio.fixture
async def js(client_commands: Callable[[str], list[str]], tmp_path: Path) -> AsyncIterator[Player]:
    """The SDK, in which nobody is signed in."""
    player = await Player.start("js", client_commands("js"), tmp_path / "js.log")
    yield player
    await player.close()


@pytest_asyncio.fixture
async def came_back() -> AsyncIterator[tuple[str, asyncio.Future[dict[str, str]]]]:
    """Where a native application waits for its answer, and the answer."""
    answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    async def callback(request: web.Request) -> web.Response:
        answer.set_result(dict(request.query))
        return web.Response(text="You can go back to your application.")

    application = web.Application()
    application.router.add_get("/callback", callback)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/callback", answer
    await runner.cleanup()


async def enter(js: Player, homeserver: str, **how: str) -> dict[str, Any]:
    """The end of a sign-in: the client syncs afterwards."""
    known: dict[str, Any] = await js.ask("oauth_finish", homeserver=homeserver, **how)
    js.user_id, js.device_id = known["user_id"], known["device_id"]
    return known


async def sign_in(
    js: Player, alice: Person, homeserver: str, came_back: tuple[str, asyncio.Future[dict[str, str]]]
) -> None:
    redirect_uri, answer = came_back
    begun = await js.ask("oauth_begin", homeserver=homeserver, redirect_uri=redirect_uri)
    await alice.browser.open(begun["url"])
    await alice.sign_in()
    await alice.reads("Allow js to use your account?")
    await alice.press("Allow")
    came = await asyncio.wait_for(answer, SECONDS)
    assert came["state"] == "a state of ours"
    await enter(js, homeserver, code=came["code"])


async def test_alice_signs_in_and_out_by_oauth(
    homeserver_under_test: Target, alice: Person, js: Player, came_back: tuple[str, asyncio.Future[dict[str, str]]]
) -> None:
    homeserver = homeserver_under_test.base_url
    await sign_in(js, alice, homeserver, came_back)
    assert js.user_id == f"@{alice.username}:interop.test"
    room_id = await js.ask("create_room", name="Signed in", invite=[])
    await js.ask("wait_member", room_id=room_id, user_id=js.user_id)
    await js.ask("send", room_id=room_id, body="I am here.")

    fresh = await js.ask("oauth_refresh")
    await js.ask("oauth_revoke", access_token=fresh["access_token"])
    with pytest.raises(ClientError, match="Refresh"):
        await js.ask("oauth_refresh")
    assert alice.violations() == []


async def test_a_stolen_refresh_token_ends_the_session(
    homeserver_under_test: Target, alice: Person, js: Player, came_back: tuple[str, asyncio.Future[dict[str, str]]]
) -> None:
    await sign_in(js, alice, homeserver_under_test.base_url, came_back)
    await js.ask("oauth_refresh")
    await js.ask("oauth_refresh")
    for nth in (0, 2):
        with pytest.raises(ClientError, match="Refresh"):
            await js.ask("oauth_refresh", nth=nth)


async def test_alice_signs_in_a_device_without_a_browser(
    homeserver_under_test: Target, alice: Person, js: Player
) -> None:
    homeserver = homeserver_under_test.base_url
    begun = await js.ask("oauth_with_code", homeserver=homeserver)
    await alice.browser.open(begun["verification_uri_complete"])
    await alice.press("Continue")
    await alice.sign_in()
    await alice.reads(begun["user_code"])
    await alice.press("Allow")
    await alice.reads("Your device is signed in")
    known = await enter(js, homeserver)
    assert known["user_id"] == f"@{alice.username}:interop.test"

    await alice.browser.open(f"{homeserver}/_voicechat/account?action=org.matrix.devices_list")
    await alice.reads(f"Device {known['device_id']} with js")
    assert alice.violations() == []


async def test_alice_signs_in_her_phone_with_a_qr_code(
    homeserver_under_test: Target, alice: Person, js: Player, cast: Cast
) -> None:
    """Her laptop shows the code; what it knows (keys, the backup) is on the phone afterwards."""
    homeserver = homeserver_under_test.base_url
    laptop = await cast("alice", "js")
    alice.username, alice.password = laptop.username, laptop.password
    keys = await laptop.ask("set_up_cross_signing", password=laptop.password)
    code = await laptop.ask("oauth_show_qr")
    page, scanned = await asyncio.gather(
        laptop.ask("oauth_qr_page"), js.ask("oauth_scan_qr", homeserver=homeserver, code=code)
    )
    assert page["check_code"] == scanned["check_code"]
    finished = asyncio.gather(js.ask("oauth_finish_scanned", homeserver=homeserver), laptop.ask("oauth_qr_share"))
    await alice.browser.open(page["url"])
    await alice.press("Continue")
    await alice.sign_in()
    await alice.reads(scanned["user_code"])
    await alice.press("Allow")
    known = (await finished)[0]
    js.user_id, js.device_id = known["user_id"], known["device_id"]
    assert js.user_id == laptop.user_id
    assert await js.ask("master_key", user_id=js.user_id) == keys["master_key"]
    await eventually(laptop, "is_cross_signed", user_id=js.user_id, device_id=js.device_id)


async def test_alice_makes_new_keys_without_a_password_in_the_client(
    homeserver_under_test: Target, alice: Person, js: Player, came_back: tuple[str, asyncio.Future[dict[str, str]]]
) -> None:
    await sign_in(js, alice, homeserver_under_test.base_url, came_back)
    old = await js.ask("set_up_cross_signing", password="not asked for")
    asked = await js.ask("reset_cross_signing_in_browser")
    await alice.browser.open(asked["url"])
    await alice.press("Let my application make new keys")
    await alice.reads("it may make new keys now")
    new = await js.ask("finish_reset_in_browser")
    assert new["master_key"] != old["master_key"]
    assert await js.ask("master_key", user_id=js.user_id) == new["master_key"]
