"""Alice signs in, stays signed in, and signs out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import PASSWORD, Client, Server
from tests.clock import FakeClock

ALICE = {"type": "m.id.user", "user": "alice"}


def password_login(identifier: Any = None, **body: Any) -> dict[str, Any]:
    return {"type": "m.login.password", "identifier": identifier or ALICE, "password": PASSWORD, **body}


async def test_the_flows_that_are_offered(server: Server) -> None:
    flows = (await server.anonymous().get("login"))["flows"]
    assert flows == [
        {"type": "m.login.password"},
        {"type": "m.login.token", "get_login_token": True},
        {"type": "m.login.application_service"},
        {
            "type": "m.login.sso",
            "oauth_aware_preferred": True,
            "org.matrix.msc3824.delegated_oidc_compatibility": True,
        },
    ]


@pytest.mark.parametrize("name", ["alice", "Alice", "@alice:test", "@ALICE:TEST"])
async def test_alice_signs_in_by_name_or_user_id(server: Server, name: str) -> None:
    await server.register("alice")
    answer = await server.anonymous().post("login", password_login({"type": "m.id.user", "user": name}))
    assert answer["user_id"] == "@alice:test"
    assert "refresh_token" not in answer
    assert "expires_in_ms" not in answer


async def test_the_old_way_to_say_who_one_is(server: Server) -> None:
    await server.register("alice")
    body = {"type": "m.login.password", "user": "alice", "password": PASSWORD}
    assert (await server.anonymous().post("login", body))["user_id"] == "@alice:test"


async def add_threepid(server: Server, medium: str, address: str) -> None:
    await server.application.base.database.execute(
        "INSERT INTO user_threepids VALUES ($1, $2, '@alice:test', 1, 2)", medium, address
    )


async def test_alice_signs_in_with_her_mail_address_or_phone_number(server: Server) -> None:
    alice = await server.register("alice")
    await add_threepid(server, "email", "alice@example.org")
    await add_threepid(server, "msisdn", "442071234567")
    for identifier in (
        {"type": "m.id.thirdparty", "medium": "email", "address": "Alice@example.org"},
        {"type": "m.id.thirdparty", "medium": "msisdn", "address": "442071234567"},
        {"type": "m.id.phone", "country": "GB", "phone": "+44 20 7123 4567"},
    ):
        assert (await alice.anonymous().post("login", password_login(identifier)))["user_id"] == "@alice:test"
    assert [each["address"] for each in (await alice.get("account/3pid"))["threepids"]] == [
        "alice@example.org",
        "442071234567",
    ]


@pytest.mark.parametrize(
    ("user", "password"), [("alice", "wrong password"), ("nobody", PASSWORD), ("@alice:elsewhere", PASSWORD)]
)
async def test_a_wrong_name_and_a_wrong_password_look_the_same(server: Server, user: str, password: str) -> None:
    await server.register("alice")
    body = password_login({"type": "m.id.user", "user": user}, password=password)
    answer = await server.anonymous().post("login", body, expect=(403, "M_FORBIDDEN"))
    assert answer["error"] == "The user name or the password is not correct"


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"type": 7}, "M_BAD_JSON"),
        ({"type": "m.login.magic"}, "M_UNKNOWN"),
        ({"type": "m.login.password"}, "M_MISSING_PARAM"),
        ({"type": "m.login.password", "identifier": ALICE}, "M_MISSING_PARAM"),
        ({"type": "m.login.token"}, "M_MISSING_PARAM"),
        (password_login({"type": "m.id.magic"}), "M_INVALID_PARAM"),
        (password_login({"user": "alice"}), "M_MISSING_PARAM"),
        (password_login({"type": "m.id.user", "user": ["alice"]}), "M_INVALID_PARAM"),
        (password_login({"type": "m.id.thirdparty", "medium": "email"}), "M_MISSING_PARAM"),
        (password_login({"type": "m.id.phone", "phone": "1"}), "M_MISSING_PARAM"),
        (password_login("alice"), "M_BAD_JSON"),
        (password_login(password="x" * 513), "M_INVALID_PARAM"),
        (password_login(password={}), "M_BAD_JSON"),
        (password_login(device_id=""), "M_INVALID_PARAM"),
        (password_login(device_id="x" * 256), "M_INVALID_PARAM"),
        (password_login(device_id="a\nb"), "M_INVALID_PARAM"),
        (password_login(device_id="a\0b"), "M_BAD_JSON"),
        (password_login(initial_device_display_name="x" * 257), "M_INVALID_PARAM"),
    ],
)
async def test_what_is_no_login(server: Server, body: Any, errcode: str) -> None:
    await server.register("alice")
    await server.anonymous().post("login", body, expect=(400, errcode))


async def test_a_name_no_database_can_hold_is_merely_wrong(server: Server) -> None:
    for user in ("@" + "a" * 300 + ":test", "a" * 300, "al:ice", "ä", ""):
        await server.anonymous().post("login", password_login({"type": "m.id.user", "user": user}), expect=403)


async def test_signing_in_again_on_a_device_ends_its_earlier_session(server: Server) -> None:
    alice = await server.register("alice")
    phone = await alice.login(device_id="PHONE", initial_device_display_name="Phone")
    phone_again = await alice.login(device_id="PHONE", initial_device_display_name="Other name")
    assert phone_again.device_id == "PHONE"
    await phone.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    assert (await phone_again.get("devices/PHONE"))["display_name"] == "Phone"


async def test_whoami(server: Server) -> None:
    alice = await server.register("alice")
    assert await alice.get("account/whoami") == {
        "user_id": "@alice:test",
        "device_id": alice.device_id,
        "is_guest": False,
    }


async def test_a_token_used_before_costs_no_statement(server: Server) -> None:
    alice = await server.register("alice")
    await alice.get("account/whoami")
    database = server.application.base.database
    before = database.statements
    await alice.get("account/whoami")
    assert database.statements == before


async def test_logging_out_ends_this_session_only(server: Server) -> None:
    alice = await server.register("alice")
    laptop = await alice.login()
    await alice.post("logout")
    assert (await alice.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN")))["soft_logout"] is False
    assert [device["device_id"] for device in (await laptop.get("devices"))["devices"]] == [laptop.device_id]


async def test_logging_out_everywhere(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    laptop = await alice.login()
    await alice.post("logout/all")
    for client in (alice, laptop):
        await client.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await bob.get("account/whoami")


# --- Refresh ---


async def refreshed(client: Client, **options: Any) -> Client:
    answer = await client.anonymous().post("refresh", {"refresh_token": client.refresh_token}, **options)
    return Client(
        client.session,
        client.base_url,
        client.user_id,
        client.device_id,
        answer.get("access_token"),
        answer.get("refresh_token"),
    )


async def test_an_access_token_lasts_fifteen_minutes_and_is_refreshed(server: Server, clock: FakeClock) -> None:
    await server.register("alice")
    old = await server.anonymous().login("alice", PASSWORD, refresh_token=True)
    clock.advance(minutes=15)
    answer = await old.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    assert answer["soft_logout"] is True
    new = await refreshed(old)
    assert (await new.get("account/whoami"))["device_id"] == old.device_id


async def test_the_old_tokens_stay_valid_until_the_new_ones_are_used(server: Server) -> None:
    old = await server.register("alice", refresh_token=True)
    lost = await refreshed(old)
    await old.get("account/whoami")
    new = await refreshed(old)
    await lost.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await new.get("account/whoami")
    await old.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await refreshed(old, expect=(401, "M_UNKNOWN_TOKEN"))


async def test_a_stolen_refresh_token_that_was_used_is_worth_nothing(server: Server) -> None:
    old = await server.register("alice", refresh_token=True)
    new = await refreshed(old)
    newest = await refreshed(new)
    await refreshed(old, expect=(401, "M_UNKNOWN_TOKEN"))
    await newest.get("account/whoami")


async def test_a_refresh_token_expires_after_a_week(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice", refresh_token=True)
    clock.advance(days=7)
    body = {"refresh_token": alice.refresh_token}
    answer = await alice.anonymous().post("refresh", body, expect=(401, "M_UNKNOWN_TOKEN"))
    assert answer["soft_logout"] is True


async def test_a_refresh_token_ends_with_its_device(server: Server) -> None:
    alice = await server.register("alice", refresh_token=True)
    await alice.post("logout")
    await refreshed(alice, expect=(401, "M_UNKNOWN_TOKEN"))


@pytest.mark.parametrize("token", ["", "vcrt_unknown", "x" * 10_000])
async def test_unknown_refresh_tokens(server: Server, token: str) -> None:
    await server.anonymous().post("refresh", {"refresh_token": token}, expect=(401, "M_UNKNOWN_TOKEN"))


async def test_an_access_token_refreshes_nothing(server: Server) -> None:
    alice = await server.register("alice", refresh_token=True)
    body = {"refresh_token": alice.access_token}
    await alice.anonymous().post("refresh", body, expect=(401, "M_UNKNOWN_TOKEN"))


# --- Login tokens ---


async def login_token(client: Client) -> str:
    path = "/_matrix/client/v1/login/get_token"
    required = await client.post(path, expect=401)
    answer = await client.post(path, {"auth": client.password_auth(session=required["session"])})
    assert answer["expires_in_ms"] == 120_000
    token: str = answer["login_token"]
    return token


async def test_a_login_token_signs_one_device_in(server: Server) -> None:
    alice = await server.register("alice")
    body = {"type": "m.login.token", "token": await login_token(alice)}
    assert (await alice.anonymous().post("login", body))["user_id"] == alice.user_id
    await alice.anonymous().post("login", body, expect=(403, "M_FORBIDDEN"))
    capabilities = (await alice.get("capabilities"))["capabilities"]
    assert capabilities["m.get_login_token"] == {"enabled": True}


async def test_a_login_token_lasts_two_minutes(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    body = {"type": "m.login.token", "token": await login_token(alice)}
    clock.advance(minutes=2)
    await alice.anonymous().post("login", body, expect=(403, "M_FORBIDDEN"))


async def test_a_login_token_ends_with_the_device_that_asked_for_it(server: Server) -> None:
    alice = await server.register("alice")
    body = {"type": "m.login.token", "token": await login_token(alice)}
    await alice.post("logout")
    await alice.anonymous().post("login", body, expect=(403, "M_FORBIDDEN"))


async def test_guests_get_no_login_token(server: Server) -> None:
    guest = await server.guest()
    await guest.post("/_matrix/client/v1/login/get_token", expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))
