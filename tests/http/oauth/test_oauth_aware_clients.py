"""Clients that do not speak OAuth send people to our pages with `m.login.sso` (MSC3824), also without any provider."""

from __future__ import annotations

import re
from html import unescape

from tests.browser import Browser, Page
from tests.cast import PASSWORD, Server
from tests.oauth_client import browser_of, query_of

REDIRECT = "/_matrix/client/v3/login/sso/redirect"


async def log_in_with(server: Server, page: Page) -> str:
    """What the client does with what it gets back. Returns whose session it is."""
    assert "Continue to app.example?" in page.text
    found = re.search(r'href="(https://app\.example/back\?[^"]+)"', page.text)
    assert found is not None
    token = query_of(unescape(found[1]))["loginToken"]
    answer = await server.anonymous().post("login", {"type": "m.login.token", "token": token})
    user_id: str = answer["user_id"]
    return user_id


async def test_alice_signs_in_with_her_password_on_our_page(server: Server) -> None:
    await server.register("alice")
    browser: Browser = browser_of(server)
    page = await browser.open(REDIRECT, redirectUrl="https://app.example/back", action="login")
    page = await browser.send(page, "Sign in", user="alice", password=PASSWORD)
    assert await log_in_with(server, page) == "@alice:test"


async def test_bob_wants_a_new_account(server: Server) -> None:
    browser = browser_of(server)
    page = await browser.open(REDIRECT, redirectUrl="https://app.example/back", action="register")
    page = await browser.send(page, "Make the account", username="bob", password=PASSWORD, again=PASSWORD)
    assert await log_in_with(server, page) == "@bob:test"
