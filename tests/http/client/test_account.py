"""A new password, and the end of an account."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cast import PASSWORD, Server
from tests.clock import FakeClock

NEW_PASSWORD = "through the looking glass"


async def test_alice_changes_her_password_and_other_devices_are_signed_out(server: Server) -> None:
    alice = await server.register("alice")
    phone = await alice.login()
    body = {"new_password": NEW_PASSWORD}
    required = await alice.post("account/password", body, expect=401)
    assert required["flows"] == [{"stages": ["m.login.password"]}]
    assert "errcode" not in required
    await alice.post("account/password", {**body, "auth": alice.password_auth(session=required["session"])})
    await alice.get("account/whoami")
    await phone.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await alice.login(password=NEW_PASSWORD)
    wrong = {"type": "m.login.password", "user": "alice", "password": PASSWORD}
    await alice.anonymous().post("login", wrong, expect=(403, "M_FORBIDDEN"))


async def test_other_devices_stay_if_alice_says_so(server: Server) -> None:
    alice = await server.register("alice")
    phone = await alice.login()
    body = {"new_password": NEW_PASSWORD, "logout_devices": False, "auth": alice.password_auth()}
    await alice.post("account/password", body)
    await phone.get("account/whoami")


async def test_a_wrong_password_asks_again_and_says_why(server: Server) -> None:
    alice = await server.register("alice")
    auth = alice.password_auth() | {"password": "guess"}
    answer = await alice.post("account/password", {"new_password": NEW_PASSWORD, "auth": auth}, expect=401)
    assert answer["errcode"] == "M_FORBIDDEN"
    assert answer["session"]


async def test_mallory_cannot_authenticate_with_his_own_password_on_alices_device(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory", password="open sesame")
    body = {"new_password": NEW_PASSWORD, "auth": mallory.password_auth()}
    assert (await alice.post("account/password", body, expect=403))["errcode"] == "M_FORBIDDEN"


async def test_an_authentication_session_is_good_for_one_operation(server: Server) -> None:
    alice = await server.register("alice")
    session = (await alice.post("account/deactivate", expect=401))["session"]
    body = {"new_password": NEW_PASSWORD, "auth": alice.password_auth(session=session)}
    await alice.post("account/password", body, expect=(403, "M_FORBIDDEN"))
    await alice.login()


async def test_an_authentication_session_is_good_for_one_user(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    session = (await alice.post("account/deactivate", expect=401))["session"]
    body = {"auth": mallory.password_auth(session=session)}
    await mallory.post("account/deactivate", body, expect=(403, "M_FORBIDDEN"))


async def test_an_authentication_session_is_used_once(server: Server) -> None:
    alice = await server.register("alice")
    body = {"new_password": NEW_PASSWORD}
    session = (await alice.post("account/password", body, expect=401))["session"]
    await alice.post("account/password", {**body, "auth": alice.password_auth(session=session)})
    again = await alice.post("account/password", {**body, "auth": {"session": session}}, expect=401)
    assert again["session"] != session


async def test_an_authentication_session_expires(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    session = (await alice.post("account/deactivate", expect=401))["session"]
    clock.advance(hours=1)
    answer = await alice.post("account/deactivate", {"auth": alice.password_auth(session=session)}, expect=401)
    assert answer["session"] != session


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"new_password": 12345678}, "M_BAD_JSON"),
        ({"new_password": "short"}, "M_WEAK_PASSWORD"),
        ({"new_password": "x" * 513}, "M_INVALID_PARAM"),
        ({"new_password": NEW_PASSWORD, "auth": []}, "M_BAD_JSON"),
        ({"new_password": NEW_PASSWORD, "auth": {"type": 5}}, "M_BAD_JSON"),
        ({"new_password": NEW_PASSWORD, "auth": {"session": {}}}, "M_BAD_JSON"),
        ({"new_password": NEW_PASSWORD, "auth": {"type": "m.login.password", "identifier": 1}}, "M_BAD_JSON"),
    ],
)
async def test_what_is_no_new_password(server: Server, body: Any, errcode: str) -> None:
    alice = await server.register("alice")
    await alice.post("account/password", body, expect=(400, errcode))
    await alice.login()


@pytest.mark.parametrize("auth", [{"type": "m.login.dummy"}, {"type": "m.login.password"}, {"session": "\ud800x"}, {}])
async def test_other_stages_prove_nothing(server: Server, auth: Any) -> None:
    alice = await server.register("alice")
    await alice.post("account/password", {"new_password": NEW_PASSWORD, "auth": auth}, expect={400, 401})
    await alice.login()


async def test_a_deactivated_account_is_gone_for_good(server: Server) -> None:
    alice = await server.register("alice", refresh_token=True)
    phone = await alice.login()
    answer = await alice.post("account/deactivate", {"auth": alice.password_auth()})
    assert answer == {"id_server_unbind_result": "success"}
    for client in (alice, phone):
        await client.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await alice.anonymous().post("refresh", {"refresh_token": alice.refresh_token}, expect=(401, "M_UNKNOWN_TOKEN"))
    login = {"type": "m.login.password", "user": "alice", "password": PASSWORD}
    await alice.anonymous().post("login", login, expect=(403, "M_USER_DEACTIVATED"))
    await alice.anonymous().get("register/available", username="alice", expect=(400, "M_USER_IN_USE"))
    assert await alice.anonymous().get(("profile", alice.user_id)) == {"displayname": "alice"}


async def test_an_erased_account_leaves_no_profile(server: Server) -> None:
    alice = await server.register("alice")
    await alice.post("account/deactivate", {"auth": alice.password_auth(), "erase": True})
    assert await alice.anonymous().get(("profile", alice.user_id)) == {}


async def test_others_are_told_of_the_end_of_an_account(server: Server) -> None:
    alice = await server.register("alice")
    told: list[tuple[str, bool]] = []

    async def hook(user_id: str, erase: bool) -> None:
        told.append((user_id, erase))

    server.application.accounts.accounts.on_deactivated.append(hook)
    await alice.post("account/deactivate", {"auth": alice.password_auth(), "erase": True})
    assert told == [("@alice:test", True)]


async def test_guests_have_no_password_to_change(server: Server) -> None:
    guest = await server.guest()
    await guest.post("account/password", {"new_password": NEW_PASSWORD}, expect=(403, "M_GUEST_ACCESS_FORBIDDEN"))


async def test_an_interrupted_deactivation_is_finished_later(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    accounts = server.application.accounts.accounts
    told: list[tuple[str, bool]] = []

    async def hook(user_id: str, erase: bool) -> None:
        if not told:
            told.append(("power failure", erase))
            raise RuntimeError("power failure")
        told.append((user_id, erase))

    accounts.on_deactivated.append(hook)
    with pytest.raises(RuntimeError):
        await accounts.deactivate(alice.user_id, erase=True)
    await alice.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await accounts.finish_deactivations()
    assert len(told) == 1
    clock.advance(minutes=11)  # housekeeping does it
    async with asyncio.timeout(10):
        while await accounts.users.leaving(accounts.database, clock.now_ms(), 1):
            await asyncio.sleep(0.01)
    await accounts.finish_deactivations()
    assert told[1:] == [("@alice:test", True)]
