"""Alice sets up her second factor on our page, and Mallory's browser, which knows her password only, is signed out."""

from __future__ import annotations

import re
from pathlib import Path

import pyotp
import pytest

from config.settings import SecondFactorSettings, Settings
from homeserver.composition.browser_sessions import BrowserServices
from homeserver.services.browser_sessions.browser import Browser as KnownBrowser
from homeserver.services.browser_sessions.browser import Pending
from tests.browser import Browser, Page
from tests.cast import PASSWORD, Client, Server
from tests.homeserver import server_settings

PATH = "/_voicechat/account/second-factor"


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    required_of = getattr(request, "param", "nobody")
    return server_settings(tmp_path, second_factor=SecondFactorSettings(required_of=required_of))


@pytest.fixture
def web(server: Server) -> BrowserServices:
    """With something to sign in for."""
    web: BrowserServices = server.application.web

    async def arrive(browser: KnownBrowser, pending: Pending) -> str:
        return f"https://elsewhere.example/{browser.user_id}"

    web.browsers.continuations["test"] = arrive
    return web


async def come_for_tea(web: BrowserServices, browser: Browser) -> Page:
    known = await web.browsers.meet(browser.cookies.get("voicechat"))
    browser.cookies["voicechat"] = known.token
    pending = await web.browsers.begin(known, "test", {})
    return await browser.open("/_voicechat/sign-in", pending=pending.pending_id)


def app_of(page: Page) -> pyotp.TOTP:
    found = re.search(r"type the key: <code>([A-Z2-7 ]+)</code>", page.text)
    assert found is not None
    return pyotp.TOTP(found[1].replace(" ", ""))


def recovery_codes(page: Page) -> list[str]:
    return re.findall(r"<li><code>(.+?)</code></li>", page.text)


def now_s(server: Server) -> int:
    return server.clock.now_ms() // 1000


async def enrol(server: Server, browser: Browser, page: Page) -> tuple[pyotp.TOTP, Page]:
    offer = await browser.send(page, "Set up")
    app = app_of(offer)
    return app, await browser.send(offer, "Turn on", code=app.at(now_s(server)))


@pytest.fixture
async def alice(server: Server) -> Client:
    return await server.register("alice")


async def test_alice_scans_and_is_asked_for_codes_afterwards(
    server: Server, web: BrowserServices, alice: Client
) -> None:
    browser = Browser(server.session, server.base_url)
    page = await browser.send(await browser.open(PATH), "Sign in", user="alice", password=PASSWORD)
    offer = await browser.send(page, "Set up")
    assert "<svg" in offer.text
    assert "default-src 'none'" in offer.headers["Content-Security-Policy"]
    assert offer.headers["Cache-Control"] == "no-store"
    wrong = await browser.send(offer, "Turn on", code="000000")
    assert (wrong.status, app_of(wrong).secret) == (403, app_of(offer).secret)
    done = await browser.send(wrong, "Turn on", code=app_of(offer).at(now_s(server)))
    assert len(recovery_codes(done)) == 10

    server.clock.advance(hours=1)
    code = await browser.send(await browser.open(PATH), "Sign in", user="alice", password=PASSWORD)
    page = await browser.send(code, "Continue", code=recovery_codes(done)[0])
    assert "Recovery codes left: 9" in page.text
    again = await browser.send(page, "New recovery codes")
    assert len(recovery_codes(again)) == 10
    await browser.send(page, "Remove the second factor")
    await alice.login()


async def test_browsers_that_knew_the_password_only_are_signed_out(
    server: Server, web: BrowserServices, alice: Client
) -> None:
    mallory, browser = (Browser(server.session, server.base_url) for _ in range(2))
    for each in (mallory, browser):
        await each.send(await come_for_tea(web, each), "Sign in", user="alice", password=PASSWORD)
    await enrol(server, browser, await browser.open(PATH))
    assert (await come_for_tea(web, browser)).left_for
    assert (await come_for_tea(web, mallory)).form("Sign in")


async def test_what_mallory_sends_in_another_browser(server: Server, alice: Client) -> None:
    browser, mallory = (Browser(server.session, server.base_url) for _ in range(2))
    page = await browser.send(await browser.open(PATH), "Sign in", user="alice", password=PASSWORD)
    fields = page.form("Set up").fields
    assert (await mallory.post(f"{PATH}/offer", fields)).status == 404
    assert (await browser.post(f"{PATH}/offer", {**fields, "csrf": "guess"})).status == 403
    # Whoever has not signed in has nothing to set up.
    stranger = await mallory.open(PATH)
    theirs = stranger.form("Sign in").fields
    assert (await mallory.post(f"{PATH}/offer", theirs)).status == 403


@pytest.mark.parametrize("settings", ["everybody"], indirect=True)
async def test_who_has_to_have_one_sets_it_up_on_the_way(server: Server, web: BrowserServices, alice: Client) -> None:
    browser = Browser(server.session, server.base_url)
    page = await browser.send(await come_for_tea(web, browser), "Sign in", user="alice", password=PASSWORD)
    assert "This server wants a second factor" in page.text
    # There is no way around.
    assert "This server wants a second factor" in (await come_for_tea(web, browser)).text
    _, done = await enrol(server, browser, page)
    onward = re.search(r'href="(/_voicechat/sign-in\?pending=[^"]+)"', done.text)
    assert onward is not None
    assert (await browser.open(onward[1])).left_for == "https://elsewhere.example/@alice:test"
    page = await browser.open(PATH)
    assert "Remove" not in page.text
    fields = page.form("New recovery codes").fields
    assert (await browser.post(f"{PATH}/remove", fields)).status == 403


@pytest.mark.parametrize("settings", ["admins"], indirect=True)
async def test_administrators_sign_in_with_two_factors_only(server: Server, alice: Client) -> None:
    await alice.login()
    await server.application.accounts.new_accounts.create_account("ada", PASSWORD, admin=True)
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "ada"}, "password": PASSWORD}
    answer = await server.anonymous().post("login", login, expect=(403, "M_FORBIDDEN"))
    assert answer["org.voicechat.second_factor_page"] == f"http://localhost:8008{PATH}"
    browser = Browser(server.session, server.base_url)
    page = await browser.send(await browser.open(PATH), "Sign in", user="ada", password=PASSWORD)
    app, _ = await enrol(server, browser, page)
    server.clock.advance(seconds=30)
    auth = {"type": "org.voicechat.totp", "code": app.at(now_s(server))}
    assert (await server.anonymous().post("login", {**login, "auth": auth}))["user_id"] == "@ada:test"
