"""A device without a browser signs in: its code is typed elsewhere (RFC 8628)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser import Page
from tests.cast import PASSWORD, Answer, Server
from tests.oauth_client import OAuthClient, browser_of, register_client, with_token

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
async def app(server: Server) -> OAuthClient:
    await server.register("alice")
    return await register_client(server)


@pytest.fixture
async def begun(app: OAuthClient) -> dict[str, Any]:
    answer = await app.post("device", client_id=app.client_id, scope=app.scope)
    assert answer.status == 200, answer.body
    begun: dict[str, Any] = answer.json()
    return begun


async def poll(app: OAuthClient, begun: dict[str, Any], **changes: str) -> Answer:
    form = {"grant_type": GRANT, "device_code": begun["device_code"], "client_id": app.client_id, **changes}
    return await app.post("token", **form)


async def error_of(app: OAuthClient, begun: dict[str, Any], **changes: str) -> str:
    error: str = (await poll(app, begun, **changes)).json()["error"]
    return error


async def type_code(server: Server, begun: dict[str, Any]) -> tuple[Any, Page]:
    """Alice follows the link on her computer and signs in there."""
    browser = browser_of(server)
    page = await browser.open(begun["verification_uri_complete"])
    assert page.form("Continue").fields["user_code"] == begun["user_code"]
    page = await browser.send(page, "Continue")
    return browser, await browser.send(page, "Sign in", user="alice", password=PASSWORD)


async def test_alice_signs_in_her_television(server: Server, app: OAuthClient, begun: dict[str, Any]) -> None:
    assert await error_of(app, begun) == "authorization_pending"
    browser, page = await type_code(server, begun)
    assert begun["user_code"] in page.text
    assert "Your device is signed in" in (await browser.send(page, "Allow")).text
    server.clock.advance(seconds=begun["interval"])
    tokens = (await poll(app, begun)).json()
    whoami = await with_token(server, tokens["access_token"]).get("account/whoami")
    assert (whoami["user_id"], whoami["device_id"]) == ("@alice:test", app.device_id)
    server.clock.advance(seconds=begun["interval"])
    assert await error_of(app, begun) == "invalid_grant"
    assert (await app.refresh(tokens["refresh_token"])).status == 200


async def test_she_may_say_no(server: Server, app: OAuthClient, begun: dict[str, Any]) -> None:
    browser, page = await type_code(server, begun)
    await browser.send(page, "Deny")
    assert await error_of(app, begun) == "access_denied"


async def test_who_asks_too_often_has_to_wait_longer(server: Server, app: OAuthClient, begun: dict[str, Any]) -> None:
    assert await error_of(app, begun) == "authorization_pending"
    assert await error_of(app, begun) == "slow_down"
    server.clock.advance(seconds=5)
    assert await error_of(app, begun) == "slow_down"
    server.clock.advance(seconds=15)
    assert await error_of(app, begun) == "authorization_pending"


async def test_a_code_is_good_for_half_an_hour(server: Server, app: OAuthClient, begun: dict[str, Any]) -> None:
    browser, page = await type_code(server, begun)
    server.clock.advance(minutes=30)
    assert (await browser.send(page, "Allow")).status == 404
    assert await error_of(app, begun) == "expired_token"
    late = await browser.send(await browser.open(begun["verification_uri_complete"]), "Continue")
    assert (late.status, late.alert) == (404, "There is no such code (any more). Look at your device again.")


async def test_the_code_may_be_typed_as_people_type(server: Server, app: OAuthClient, begun: dict[str, Any]) -> None:
    browser = browser_of(server)
    typed = begun["user_code"].lower().replace("-", " ")
    page = await browser.send(await browser.open(begun["verification_uri"]), "Continue", user_code=typed)
    assert page.form("Sign in")


async def test_another_client_gets_nothing_for_it(server: Server, app: OAuthClient, begun: dict[str, Any]) -> None:
    other = await register_client(server, client_name="Mallory")
    browser, page = await type_code(server, begun)
    await browser.send(page, "Allow")
    assert await error_of(app, begun, client_id=other.client_id) == "invalid_grant"
    assert await error_of(app, begun, device_code=begun["user_code"]) == "invalid_grant"


async def test_a_code_from_elsewhere_is_not_submitted_for_her(
    server: Server, app: OAuthClient, begun: dict[str, Any]
) -> None:
    browser = browser_of(server)
    page = await browser.open("/_voicechat/oauth2/link")
    answer = await browser.send(page, "Continue", user_code=begun["user_code"], csrf="guess")
    assert answer.status == 403
    stranger = browser_of(server)
    assert (await stranger.post("/_voicechat/oauth2/link", {"user_code": begun["user_code"]})).status == 403


async def test_one_decides_and_no_other(server: Server, app: OAuthClient, begun: dict[str, Any]) -> None:
    await server.register("bob")
    first, asked_first = await type_code(server, begun)
    second, asked_second = await type_code(server, begun)
    await first.send(asked_first, "Deny")
    assert (await second.send(asked_second, "Allow")).status == 404
    assert await error_of(app, begun) == "access_denied"


async def test_a_client_that_did_not_register_for_it(server: Server) -> None:
    app = await register_client(server, grant_types=["authorization_code"])
    answer = await app.post("device", client_id=app.client_id, scope=app.scope)
    assert answer.json()["error"] == "unauthorized_client"
