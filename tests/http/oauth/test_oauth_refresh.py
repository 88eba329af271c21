"""Tokens are refreshed, stolen, and given back."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.storage.oauth_clients import OAuthClientRows
from tests.cast import Server
from tests.oauth_client import OAuthClient, browser_of, register_client, with_token


@pytest.fixture
async def app(server: Server) -> OAuthClient:
    await server.register("alice")
    return await register_client(server)


@pytest.fixture
async def tokens(server: Server, app: OAuthClient) -> dict[str, Any]:
    return await app.sign_in(browser_of(server), "alice")


async def test_the_application_goes_on_with_new_tokens(
    server: Server, app: OAuthClient, tokens: dict[str, Any]
) -> None:
    client = with_token(server, tokens["access_token"])
    await client.get("account/whoami")
    server.clock.advance(minutes=16)
    expired = await client.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    assert expired["soft_logout"] is True
    answer = await app.refresh(tokens["refresh_token"])
    assert answer.headers["Cache-Control"] == "no-store"
    fresh = answer.json()
    assert fresh["refresh_token"] != tokens["refresh_token"]
    assert fresh["scope"] == app.scope
    assert (await with_token(server, fresh["access_token"]).get("account/whoami"))["device_id"] == app.device_id


async def test_a_lost_answer_can_be_asked_for_again(server: Server, app: OAuthClient, tokens: dict[str, Any]) -> None:
    await app.refresh(tokens["refresh_token"])
    again = (await app.refresh(tokens["refresh_token"])).json()
    await with_token(server, again["access_token"]).get("account/whoami")


async def test_a_refresh_token_whose_time_is_over_ends_the_session(
    server: Server, app: OAuthClient, tokens: dict[str, Any]
) -> None:
    """Mallory has stolen one, and comes with it when Alice has gone on, or before her."""
    fresh = (await app.refresh(tokens["refresh_token"])).json()
    client = with_token(server, fresh["access_token"])
    await client.get("account/whoami")
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    await client.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    assert (await app.refresh(fresh["refresh_token"])).json()["error"] == "invalid_grant"
    recorded = await server.application.base.database.fetchval(
        "SELECT count(*) FROM audit_log WHERE action = 'oauth.refresh_token_reused' AND target = '@alice:test'"
    )
    assert recorded == 1


async def test_a_refresh_token_is_for_one_client(server: Server, app: OAuthClient, tokens: dict[str, Any]) -> None:
    other = await register_client(server, client_name="Mallory")
    stolen = await app.refresh(tokens["refresh_token"], client_id=other.client_id)
    assert stolen.json()["error"] == "invalid_grant"
    assert (await app.refresh(tokens["refresh_token"])).status == 200


async def test_it_is_too_old_after_a_week(server: Server, app: OAuthClient, tokens: dict[str, Any]) -> None:
    server.clock.advance(days=8)
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_tokens_of_a_password_are_none_of_oauth(server: Server, app: OAuthClient) -> None:
    alice = await server.anonymous().login("alice", "correct horse battery staple", refresh_token=True)
    assert alice.refresh_token is not None
    assert (await app.refresh(alice.refresh_token)).json()["error"] == "invalid_grant"
    await alice.get("account/whoami")


async def test_nor_the_other_way_round(server: Server, app: OAuthClient, tokens: dict[str, Any]) -> None:
    """Where a second use would not be noticed."""
    body = {"refresh_token": tokens["refresh_token"]}
    await server.anonymous().post("refresh", body, expect=(401, "M_UNKNOWN_TOKEN"))
    assert (await app.refresh(tokens["refresh_token"])).status == 200


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_either_token_ends_the_session(
    server: Server, app: OAuthClient, tokens: dict[str, Any], kind: str
) -> None:
    client = with_token(server, tokens["access_token"])
    await client.get("account/whoami")
    assert (await app.post("revoke", token=tokens[kind], token_type_hint=kind, client_id=app.client_id)).status == 200
    await client.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    # "If the token is already revoked or invalid, the server returns a 200 OK response."
    assert (await app.post("revoke", token=tokens[kind])).status == 200
    assert (await app.post("revoke")).json()["error"] == "invalid_request"


async def test_a_client_of_long_ago_stays_while_somebody_signs_in(server: Server, app: OAuthClient) -> None:
    """Some keep their registration, although they are to make a new one each time."""
    database, clients = server.application.base.database, OAuthClientRows()
    server.clock.advance(days=29)
    page = await app.send_to(browser_of(server))
    assert page.form("Sign in")
    await clients.forget_unused(database, server.clock.now_ms() - 1)
    assert await clients.get(database, app.client_id) is not None
    await clients.forget_unused(database, server.clock.now_ms() + 1)
    assert await clients.get(database, app.client_id) is None


async def test_the_registration_of_a_client_in_use_is_kept(
    server: Server, app: OAuthClient, tokens: dict[str, Any]
) -> None:
    unused = await register_client(server, client_name="Unused")
    server.clock.advance(days=31)
    for _ in range(50):
        left = await server.application.base.database.fetch("SELECT client_id FROM oauth_clients")
        if len(left) == 1:
            break
        await server.anonymous().get("/_matrix/client/versions")
    assert [row[0] for row in left] == [app.client_id]
    assert unused.client_id != app.client_id
