"""The pages for apps that know no way of their own, in a real browser: login, and stages of authentication."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.cast import PASSWORD, Server
from tests.interop.calls.chromium import Chromium, find_chromium

PATH = "/_matrix/static/client/login/"
SECONDS = 20.0
# What an app puts into the page's window before the page is there.
APP = "window.matrixLogin = {onLogin: (response) => { window.appGot = response; }};"


@pytest_asyncio.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Chromium]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium; or VOICECHAT_TEST_CHROMIUM)")
    browser = await Chromium.start(program, tmp_path / "profile")
    await browser.before_each_document(APP)
    yield browser
    await browser.close()


async def sign_in(browser: Chromium, user: str, password: str) -> None:
    await browser.wait_for("!document.getElementById('password').hidden", SECONDS)
    await browser.run(
        f"(() => {{ const form = document.getElementById('password'); form.elements.user.value = {user!r};"
        f" form.elements.password.value = {password!r}; form.requestSubmit(); }})()"
    )


async def test_alice_signs_in_and_the_app_gets_her_session(server: Server, browser: Chromium) -> None:
    alice = await server.register("alice")
    await browser.open(f"{server.base_url}{PATH}?device_id=PHONE&initial_device_display_name=Alice%27s%20phone&x=<b>")
    await sign_in(browser, "alice", "guess")
    problem = await browser.wait_for("document.getElementById('problem').textContent", SECONDS)
    assert "password" in problem.lower()
    assert await browser.run("window.appGot === undefined") is True

    await sign_in(browser, alice.user_id, PASSWORD)
    got: dict[str, Any] = await browser.wait_for("window.appGot", SECONDS)
    assert (got["user_id"], got["device_id"]) == (alice.user_id, "PHONE")
    assert await browser.run("document.getElementById('password').hidden") is True
    devices = (await alice.get("devices"))["devices"]
    assert {each["device_id"]: each.get("display_name") for each in devices}["PHONE"] == "Alice's phone"
    assert not [line for line in browser.console if "Content Security Policy" in line]


async def test_whoever_comes_back_with_a_token_is_signed_in_at_once(server: Server, browser: Chromium) -> None:
    alice = await server.register("alice")
    challenge = await alice.post("/_matrix/client/v1/login/get_token", expect=401)
    auth = alice.password_auth(session=challenge["session"])
    token = (await alice.post("/_matrix/client/v1/login/get_token", {"auth": auth}))["login_token"]
    await browser.open(f"{server.base_url}{PATH}?loginToken={token}&refresh_token=true")
    got = await browser.wait_for("window.appGot", SECONDS)
    assert got["user_id"] == alice.user_id
    assert got["refresh_token"]
    assert token not in await browser.run("location.href")


async def test_a_stage_that_is_done_in_a_browser_tells_the_app(server: Server, browser: Chromium) -> None:
    alice = await server.register("alice")
    session = (await alice.post("account/deactivate", expect=401))["session"]
    await browser.before_each_document("window.onAuthDone = () => { window.appWasTold = true; };")
    await browser.open(f"{server.base_url}/_matrix/client/v3/auth/m.login.password/fallback/web?session={session}")
    await browser.wait_for("document.forms.length", SECONDS)
    await browser.run(
        f"document.forms[0].elements.password.value = {PASSWORD!r}; document.forms[0].querySelector('button').click()"
    )
    assert await browser.wait_for("window.appWasTold", SECONDS) is True
    await alice.post("account/deactivate", {"auth": {"session": session}})
