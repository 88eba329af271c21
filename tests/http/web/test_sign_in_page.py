"""People sign in in a browser, and go on with what they came for."""

from __future__ import annotations

import pytest

from homeserver.composition.browser_sessions import BrowserServices
from homeserver.protocol import errors
from homeserver.services.browser_sessions.browser import Browser as KnownBrowser
from homeserver.services.browser_sessions.browser import Pending
from tests.browser import Browser, Page
from tests.cast import PASSWORD, Server


@pytest.fixture
def web(server: Server) -> BrowserServices:
    web: BrowserServices = server.application.web

    async def arrive(browser: KnownBrowser, pending: Pending) -> str:
        return f"https://elsewhere.example/{browser.user_id}/{pending.memory['for']}"

    web.browsers.continuations["test"] = arrive
    return web


def browser_of(server: Server) -> Browser:
    return Browser(server.session, server.base_url)


async def come_for(web: BrowserServices, browser: Browser, errand: str = "tea", *, fresh: bool = False) -> Page:
    """What a page of ours does on which somebody has to be signed in."""
    known = await web.browsers.meet(browser.cookies.get("voicechat"))
    browser.cookies["voicechat"] = known.token
    pending = await web.browsers.begin(known, "test", {"for": errand}, fresh=fresh)
    return await browser.open("/_voicechat/sign-in", pending=pending.pending_id)


async def test_alice_signs_in_once_and_goes_on(server: Server, web: BrowserServices) -> None:
    await server.register("alice")
    browser = browser_of(server)
    page = await come_for(web, browser)
    stranger = browser.cookies["voicechat"]
    wrong = await browser.send(page, "Sign in", user="alice", password="guess")
    assert (wrong.status, wrong.alert) == (403, "The user name or the password is not correct")
    assert browser.cookies["voicechat"] == stranger
    there = await browser.send(wrong, "Sign in", user="alice", password=PASSWORD)
    assert there.left_for == "https://elsewhere.example/@alice:test/tea"
    # Whoever knew the cookie before is not signed in with her.
    assert browser.cookies["voicechat"] != stranger
    assert await web.browsers.find(stranger) is None
    assert (await come_for(web, browser, "cake")).left_for == "https://elsewhere.example/@alice:test/cake"


async def test_the_cookie_is_for_this_server_and_no_script(server: Server, web: BrowserServices) -> None:
    await server.register("alice")
    browser = browser_of(server)
    page = await come_for(web, browser)
    done = await browser.send(page, "Sign in", user="@alice:test", password=PASSWORD)
    cookie = done.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}


async def test_mallory_cannot_use_what_alice_came_for(server: Server, web: BrowserServices) -> None:
    await server.register("mallory")
    alice, mallory = browser_of(server), browser_of(server)
    page = await come_for(web, alice)
    await come_for(web, mallory)
    assert (await mallory.open(page.url)).status == 404
    form = page.form("Sign in")
    assert (await mallory.post(form.action, {**form.fields, "user": "mallory", "password": PASSWORD})).status == 404


async def test_a_form_from_elsewhere_changes_nothing(server: Server, web: BrowserServices) -> None:
    await server.register("mallory")
    browser = browser_of(server)
    page = await come_for(web, browser)
    # Another site makes Alice's browser sign in as Mallory ("login CSRF").
    answer = await browser.send(page, "Sign in", csrf="guess", user="mallory", password=PASSWORD)
    assert answer.status == 403
    known = await web.browsers.find(browser.cookies["voicechat"])
    assert known is not None
    assert known.user_id is None


async def test_an_old_sign_in_is_not_enough_for_everything(server: Server, web: BrowserServices) -> None:
    await server.register("alice")
    browser = browser_of(server)
    await browser.send(await come_for(web, browser), "Sign in", user="alice", password=PASSWORD)
    assert (await come_for(web, browser, fresh=True)).left_for
    server.clock.advance(hours=1)
    again = await come_for(web, browser, fresh=True)
    assert again.form("Sign in").fields["user"] == "@alice:test"
    assert (await browser.send(again, "Sign in", user="alice", password=PASSWORD)).left_for


async def test_bob_takes_over_the_browser_of_alice(server: Server, web: BrowserServices) -> None:
    await server.register("alice")
    await server.register("bob")
    browser = browser_of(server)
    await browser.send(await come_for(web, browser), "Sign in", user="alice", password=PASSWORD)
    known = await web.browsers.find(browser.cookies["voicechat"])
    assert known is not None
    pending = await web.browsers.begin(known, "test", {"for": "tea"})
    fields = {"pending": pending.pending_id, "csrf": known.csrf}
    page = await browser.post("/_voicechat/sign-in/other", fields)
    there = await browser.send(page, "Sign in", user="bob", password=PASSWORD)
    assert there.left_for == "https://elsewhere.example/@bob:test/tea"


async def test_browsers_end_with_the_account_and_with_its_password(server: Server, web: BrowserServices) -> None:
    alice = await server.register("alice")
    browser = browser_of(server)
    await browser.send(await come_for(web, browser), "Sign in", user="alice", password=PASSWORD)
    await alice.post("account/password", {"new_password": "another long one", "auth": alice.password_auth()})
    assert await web.browsers.find(browser.cookies["voicechat"]) is None
    await browser.send(await come_for(web, browser), "Sign in", user="alice", password="another long one")
    auth = {**alice.password_auth(), "password": "another long one"}
    alice = await alice.login(password="another long one")
    await alice.post("account/deactivate", {"auth": auth})
    assert await web.browsers.find(browser.cookies["voicechat"]) is None


class Codes:
    """A second factor: the code is 123456."""

    name = "codes"

    async def is_required(self, user_id: str) -> bool:
        return user_id == "@alice:test"

    async def check(self, user_id: str, code: str) -> None:
        if code != "123456":
            raise errors.Forbidden("This code is not right")


async def test_a_second_factor_is_asked_for(server: Server, web: BrowserServices) -> None:
    await server.register("alice")
    web.password.second_factors.append(Codes())
    browser = browser_of(server)
    code = await browser.send(await come_for(web, browser), "Sign in", user="alice", password=PASSWORD)
    known = await web.browsers.find(browser.cookies["voicechat"])
    assert known is not None
    assert known.user_id is None
    wrong = await browser.send(code, "Continue", code="000000")
    assert (wrong.status, wrong.alert) == (403, "This code is not right")
    assert (await browser.send(wrong, "Continue", code=" 123456 ")).left_for
    known = await web.browsers.find(browser.cookies["voicechat"])
    assert known is not None
    assert known.methods == ("password", "codes")


async def test_a_code_without_a_password_is_worth_nothing(server: Server, web: BrowserServices) -> None:
    await server.register("alice")
    web.password.second_factors.append(Codes())
    browser = browser_of(server)
    page = await come_for(web, browser)
    fields = page.form("Sign in").fields
    answer = await browser.post("/_voicechat/sign-in/code", {**fields, "code": "123456"})
    assert answer.status == 404
    code = await browser.send(page, "Sign in", user="alice", password=PASSWORD)
    server.clock.advance(minutes=6)
    late = await browser.send(code, "Continue", code="123456")
    assert late.status == 404
    assert late.form("Sign in")


async def test_who_signs_in_and_who_fails_is_recorded(server: Server, web: BrowserServices) -> None:
    await server.register("alice")
    browser = browser_of(server)
    page = await browser.send(await come_for(web, browser), "Sign in", user="alice", password="guess")
    await browser.send(page, "Sign in", user="alice", password=PASSWORD)
    rows = await server.application.base.database.fetch(
        "SELECT action, target FROM audit_log WHERE action LIKE 'browser%' ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [
        ("browser.sign_in", "@alice:test"),
        ("browser.sign_in_failed", "@alice:test"),
    ]
