"""People make an account in a browser, because an application sent them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import PolicySettings, PolicyTextSettings, RegistrationSettings, Settings
from tests.browser import Browser, Page
from tests.cast import PASSWORD, Server
from tests.homeserver import server_settings
from tests.oauth_client import OAuthClient, browser_of, register_client, with_token

TERMS = PolicySettings("terms", "1.0", (PolicyTextSettings("en", "Terms of service", "https://example.org/terms"),))


def registration(**changes: Any) -> RegistrationSettings:
    values: dict[str, Any] = {"enabled": True, "require_verification": False, "shared_secret": "reg_secret", **changes}
    return RegistrationSettings(**values)


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    changes = getattr(request, "param", {})
    return server_settings(tmp_path, registration=registration(**changes))


async def sent_to_register(server: Server) -> tuple[Browser, OAuthClient, Page]:
    browser, app = browser_of(server), await register_client(server)
    return browser, app, await app.send_to(browser, prompt="create")


async def test_alice_makes_an_account_for_an_application(server: Server) -> None:
    metadata = await server.anonymous().get("/_matrix/client/v1/auth_metadata")
    assert metadata["prompt_values_supported"] == ["create"]
    browser, app, page = await sent_to_register(server)
    page = await browser.send(page, "Make the account", username="alice", password=PASSWORD, again=PASSWORD)
    assert "@alice:test" in page.text
    tokens = (await app.redeem(app.answer(await browser.send(page, "Allow"))["code"])).json()
    assert (await with_token(server, tokens["access_token"]).get("account/whoami"))["user_id"] == "@alice:test"
    await server.anonymous().login("alice", PASSWORD)


async def test_what_is_wrong_is_said(server: Server) -> None:
    await server.register("alice")
    browser, _, page = await sent_to_register(server)
    for username, password, again, status in (
        ("alice", PASSWORD, PASSWORD, 400),
        ("bob", PASSWORD, "another one", 400),
        ("bob", "short", "short", 400),
        ("B\0b", PASSWORD, PASSWORD, 400),
        ("", PASSWORD, PASSWORD, 400),
    ):
        page = await browser.send(page, "Make the account", username=username, password=password, again=again)
        assert (page.status, bool(page.alert)) == (status, True), page.text
    answer = await browser.send(
        page, "Make the account", csrf="guess", username="bob", password=PASSWORD, again=PASSWORD
    )
    assert answer.status == 403


@pytest.mark.parametrize("settings", [{"require_verification": True, "policies": (TERMS,)}], indirect=True)
async def test_a_token_and_terms_are_asked_for_here(server: Server) -> None:
    tokens = server.application.accounts.identity.token_stage.tokens
    await tokens.add(server.application.base.database, "letmein", 1, None, server.clock.now_ms())
    browser, _, page = await sent_to_register(server)
    assert "Terms of service" in page.text
    filled = {"username": "alice", "password": PASSWORD, "again": PASSWORD, "token": "letmein"}
    page = await browser.send(page, "Make the account", **filled)
    assert page.alert == "To go on, you have to agree"
    page = await browser.send(page, "Make the account", **{**filled, "token": "guess"}, accepted="yes")
    assert (page.status, page.alert) == (403, "This registration token is not valid")
    assert (await browser.send(page, "Make the account", **filled, accepted="yes")).form("Allow")
    other, _, page = await sent_to_register(server)
    page = await other.send(page, "Make the account", **{**filled, "username": "bob"}, accepted="yes")
    assert page.status == 403


@pytest.mark.parametrize("settings", [{"enabled": False}], indirect=True)
async def test_where_nobody_may_register_people_sign_in(server: Server) -> None:
    metadata = await server.anonymous().get("/_matrix/client/v1/auth_metadata")
    assert "prompt_values_supported" not in metadata
    _, _, page = await sent_to_register(server)
    assert page.form("Sign in")
    assert "Make an account" not in page.text
