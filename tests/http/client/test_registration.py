"""People without an account make one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import PASSWORD, Server
from tests.clock import FakeClock

DUMMY = {"type": "m.login.dummy"}
WISH = {"username": "alice", "password": PASSWORD}


async def test_alice_registers_in_one_request(server: Server) -> None:
    alice = await server.register("alice", device_id="PHONE")
    assert (alice.user_id, alice.device_id) == ("@alice:test", "PHONE")
    assert alice.refresh_token is None
    assert await alice.get("account/whoami") == {"user_id": "@alice:test", "device_id": "PHONE", "is_guest": False}


async def test_a_client_asks_for_the_flows_first(server: Server) -> None:
    nobody = server.anonymous()
    required = await nobody.post("register", {}, expect=401)
    assert required["flows"] == [{"stages": ["m.login.dummy"]}]
    auth = {**DUMMY, "session": required["session"]}
    assert (await nobody.post("register", {**WISH, "auth": auth}))["user_id"] == "@alice:test"


async def test_what_was_said_first_need_not_be_said_again(server: Server) -> None:
    nobody = server.anonymous()
    first = {**WISH, "device_id": "PHONE", "initial_device_display_name": "Phone", "refresh_token": True}
    session = (await nobody.post("register", first, expect=401))["session"]
    answer = await nobody.post("register", {"auth": {**DUMMY, "session": session}})
    assert (answer["user_id"], answer["device_id"]) == ("@alice:test", "PHONE")
    assert answer["refresh_token"]
    alice = await server.anonymous().login("alice", PASSWORD)
    assert (await alice.get("devices/PHONE"))["display_name"] == "Phone"


async def test_no_password_waits_in_the_database(server: Server) -> None:
    await server.anonymous().post("register", WISH, expect=401)
    memory = await server.application.base.database.fetchval("SELECT memory FROM ui_auth_sessions")
    assert b"alice" in memory
    assert PASSWORD.encode() not in memory


@pytest.mark.parametrize("username", ["alice", None])
async def test_a_client_that_got_no_answer_asks_again(server: Server, username: str | None) -> None:
    nobody = server.anonymous()
    wish = {"password": PASSWORD} | ({} if username is None else {"username": username})
    session = (await nobody.post("register", wish, expect=401))["session"]
    body = {**wish, "auth": {**DUMMY, "session": session}}
    first, second = await nobody.post("register", body), await nobody.post("register", body)
    assert first["user_id"] == second["user_id"]
    assert first["access_token"] != second["access_token"]
    assert await server.application.base.database.fetchval("SELECT count(*) FROM users") == 1


async def test_without_login_there_is_no_session(server: Server) -> None:
    answer = await server.anonymous().post("register", {**WISH, "auth": DUMMY, "inhibit_login": True})
    assert "access_token" not in answer
    assert "device_id" not in answer
    assert await server.application.base.database.fetchval("SELECT count(*) FROM devices") == 0


async def test_a_name_is_made_up_for_whoever_wants_none(server: Server) -> None:
    body = {"password": PASSWORD, "auth": DUMMY}
    first, second = [await server.anonymous().post("register", body) for _ in range(2)]
    assert first["user_id"] != second["user_id"]


async def test_capitals_are_made_small(server: Server) -> None:
    assert (await server.register("ALICE")).user_id == "@alice:test"


async def test_fields_that_other_servers_know_are_ignored(server: Server) -> None:
    body = {**WISH, "auth": DUMMY, "bind_email": True, "x_show_msisdn": 7}
    assert (await server.anonymous().post("register", body))["user_id"] == "@alice:test"


@pytest.mark.parametrize(
    ("username", "errcode"),
    [
        ("alice", "M_USER_IN_USE"),
        ("Alice", "M_USER_IN_USE"),
        ("al ice", "M_INVALID_USERNAME"),
        ("al:ice", "M_INVALID_USERNAME"),
        ("@alice", "M_INVALID_USERNAME"),
        ("älice", "M_INVALID_USERNAME"),
        ("\u212aelvin", "M_INVALID_USERNAME"),
        ("", "M_INVALID_USERNAME"),
        ("x" * 250, "M_INVALID_USERNAME"),
    ],
)
async def test_names_that_cannot_be_had(server: Server, username: str, errcode: str) -> None:
    await server.register("alice")
    nobody = server.anonymous()
    await nobody.get("register/available", username=username, expect=(400, errcode))
    # Also before anybody authenticates.
    await nobody.post("register", {"username": username, "password": PASSWORD}, expect=(400, errcode))


async def test_names_that_can_be_had(server: Server) -> None:
    for username in ("bob", "a.b_c=d-e/f+g", "x" * 249):
        assert await server.anonymous().get("register/available", username=username) == {"available": True}
        await server.register(username)
    await server.anonymous().get("register/available", expect=(400, "M_MISSING_PARAM"))


async def test_names_of_application_services_are_theirs(server: Server) -> None:
    usernames = server.application.accounts.new_accounts.usernames
    usernames.reserved_by.append(lambda user_id: user_id.startswith("@irc_"))
    await server.anonymous().get("register/available", username="irc_bob", expect=(400, "M_EXCLUSIVE"))


@pytest.mark.parametrize(
    ("change", "errcode"),
    [
        ({"password": "short"}, "M_WEAK_PASSWORD"),
        ({"password": 5}, "M_BAD_JSON"),
        ({"password": None}, "M_MISSING_PARAM"),
        ({"password": "a\0bcdefghi"}, "M_BAD_JSON"),
        ({"username": ["alice"]}, "M_BAD_JSON"),
        ({"device_id": "x" * 256}, "M_INVALID_PARAM"),
        ({"device_id": 1}, "M_BAD_JSON"),
        ({"initial_device_display_name": "x" * 257}, "M_INVALID_PARAM"),
        ({"inhibit_login": "yes"}, "M_BAD_JSON"),
        ({"auth": "m.login.dummy"}, "M_BAD_JSON"),
        ({"auth": {"type": 1}}, "M_BAD_JSON"),
    ],
)
async def test_what_is_no_registration(server: Server, change: dict[str, Any], errcode: str) -> None:
    await server.anonymous().post("register", {**WISH, "auth": DUMMY, **change}, expect=(400, errcode))
    assert await server.application.base.database.fetchval("SELECT count(*) FROM users") == 0


async def test_a_stage_that_is_not_asked_for_proves_nothing(server: Server) -> None:
    body = {**WISH, "auth": {"type": "m.login.registration_token", "token": "anything"}}
    assert (await server.anonymous().post("register", body, expect=401))["errcode"] == "M_UNRECOGNIZED"


async def test_a_session_of_something_else_registers_nobody(server: Server) -> None:
    alice = await server.register("alice")
    session = (await alice.post("account/deactivate", expect=401))["session"]
    body = {"username": "bob", "password": PASSWORD, "auth": {**DUMMY, "session": session}}
    await alice.anonymous().post("register", body, expect=(403, "M_FORBIDDEN"))


async def test_a_session_expires_after_an_hour(server: Server, clock: FakeClock) -> None:
    nobody = server.anonymous()
    session = (await nobody.post("register", WISH, expect=401))["session"]
    clock.advance(hours=1)
    answer = await nobody.post("register", {"auth": {**DUMMY, "session": session}}, expect=401)
    assert answer["session"] != session


async def test_a_name_taken_meanwhile(server: Server) -> None:
    nobody = server.anonymous()
    session = (await nobody.post("register", WISH, expect=401))["session"]
    await server.register("alice", password="somebody else's password")
    await nobody.post("register", {"auth": {**DUMMY, "session": session}}, expect=(400, "M_USER_IN_USE"))


# --- Guests ---


async def test_guests_choose_nothing_but_the_name_of_their_device(server: Server) -> None:
    body = {"username": "alice", "password": PASSWORD, "device_id": "MINE", "initial_device_display_name": "Tablet"}
    answer = await server.anonymous().post("register", body, kind="guest")
    assert answer["user_id"] != "@alice:test"
    assert answer["device_id"] != "MINE"
    guest = server.anonymous()
    guest.access_token = answer["access_token"]
    assert (await guest.get("account/whoami"))["is_guest"] is True
    assert (await guest.get(("devices", answer["device_id"])))["display_name"] == "Tablet"


async def test_a_kind_nobody_knows(server: Server) -> None:
    await server.anonymous().post("register", {}, kind="god", expect=(400, "M_INVALID_PARAM"))


async def test_a_guest_becomes_a_full_account(server: Server) -> None:
    guest = await server.guest()
    await guest.get("account/whoami")
    body = {
        "username": guest.user_id[1:].partition(":")[0],
        "password": PASSWORD,
        "guest_access_token": guest.access_token,
    }
    session = (await guest.anonymous().post("register", body, expect=401))["session"]
    answer = await guest.anonymous().post("register", {"auth": {**DUMMY, "session": session}})
    assert answer["user_id"] == guest.user_id
    assert (await guest.get("account/whoami"))["is_guest"] is False
    await guest.login(password=PASSWORD)
    await guest.anonymous().post("register", {**body, "auth": DUMMY}, expect=(403, "M_FORBIDDEN"))


async def test_a_guest_cannot_take_a_name_or_another_account(server: Server) -> None:
    guest, alice = await server.guest(), await server.register("alice")
    for token, username, errcode in (
        (guest.access_token, "bob", "M_FORBIDDEN"),
        (guest.access_token, "alice", "M_FORBIDDEN"),
        (alice.access_token, "alice", "M_FORBIDDEN"),
        ("unknown", "bob", "M_FORBIDDEN"),
        (guest.access_token, None, "M_MISSING_PARAM"),
    ):
        body = {"username": username, "password": "other password", "guest_access_token": token, "auth": DUMMY}
        await guest.anonymous().post("register", body, expect=errcode)
    await alice.login()
