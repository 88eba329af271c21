"""Ada, an administrator, acts as Alice: without a new device, without more rights than Alice, and not for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from homeserver.protocol.errors import UnknownToken
from homeserver.services.requester import Requester
from tests.cast import PASSWORD, Client, Server

AUDIT = "/_voicechat/admin/v1/audit"


def login_of(user_id: str) -> tuple[str, ...]:
    return ("", "_synapse", "admin", "v1", "users", user_id, "login")


async def acting_as(ada: Client, user: Client, **body: Any) -> Client:
    answer = await ada.post(login_of(user.user_id), body)
    assert set(answer) == {"access_token"}
    return Client(ada.session, ada.base_url, user_id=user.user_id, access_token=answer["access_token"])


async def test_ada_does_what_alice_could_do(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    devices = await alice.get("devices")
    puppet = await acting_as(ada, alice)
    assert (await puppet.get("account/whoami")) == {"user_id": alice.user_id, "is_guest": False}
    sent = await puppet.send(room_id, "in her name")
    assert sent in (await alice.sync()).event_ids(room_id)
    assert room_id in (await puppet.sync())["rooms"]["join"]
    assert await alice.get("devices") == devices
    (entry,) = (await ada.get(AUDIT, target=alice.user_id))["entries"]
    assert (entry["who"], entry["action"], entry["details"]) == (
        ada.user_id, "user.login_as", {"valid_until_ms": None},
    )  # fmt: skip
    assert (puppet.access_token or "") not in str(entry)


async def test_nobody_notices(server: Server, ada: Client) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await alice.put(("presence", alice.user_id, "status"), {"presence": "offline"})
    seen = await ada.get(("admin", "whois", alice.user_id))
    await bob.sync()
    puppet = await acting_as(ada, alice)
    server.clock.advance(minutes=1)
    await puppet.sync(set_presence="online")
    assert (await bob.get(("presence", alice.user_id, "status")))["presence"] == "offline"
    assert (await bob.sync()).get("device_lists", {}).get("changed", []) == []
    assert await ada.get(("admin", "whois", alice.user_id)) == seen


async def test_it_ends_by_logging_out(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    first, second = await acting_as(ada, alice), await acting_as(ada, alice)
    await first.post("logout")
    await first.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await second.get("account/whoami")
    await alice.get("account/whoami")
    await second.post("logout/all", expect=(403, "M_FORBIDDEN"))
    await ada.post("logout/all")
    await second.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))


async def test_it_ends_in_time(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    puppet = await acting_as(ada, alice, valid_until_ms=server.clock.now_ms() + 1000)
    await puppet.get("account/whoami")
    server.clock.advance(seconds=1)
    await puppet.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await server.application.accounts.borrowed.tidy()
    server.clock.advance(seconds=1)
    await server.application.accounts.borrowed.tidy()
    assert await server.application.base.database.fetchval("SELECT count(*) FROM borrowed_tokens") == 0


async def test_it_ends_with_the_role(server: Server, ada: Client) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    role = ("", "_synapse", "admin", "v1", "users", bob.user_id, "admin")
    await ada.put(role, {"admin": True})
    puppet = await acting_as(bob, alice)
    await puppet.get("account/whoami")
    await ada.put(role, {"admin": False})
    await puppet.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_it_ends_with_either_account(server: Server, ada: Client, who: str) -> None:
    people = {name: await server.register(name) for name in ("alice", "bob")}
    await ada.put(("", "_synapse", "admin", "v1", "users", people["bob"].user_id, "admin"), {"admin": True})
    puppet = await acting_as(people["bob"], people["alice"])
    await puppet.get("account/whoami")
    await ada.post(f"/_synapse/admin/v1/deactivate/{people[who].user_id}")
    await puppet.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    assert await server.application.base.database.fetchval("SELECT count(*) FROM borrowed_tokens") == 0


async def test_who_is_locked_is_locked_for_ada_too(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    puppet = await acting_as(ada, alice)
    await ada.put(("", "_synapse", "admin", "v2", "users", alice.user_id), {"locked": True})
    await puppet.get("account/whoami", expect=(401, "M_USER_LOCKED"))


async def test_the_token_carries_no_role(server: Server, ada: Client) -> None:
    bob = await server.register("bob")
    await ada.put(("", "_synapse", "admin", "v1", "users", bob.user_id, "admin"), {"admin": True})
    puppet = await acting_as(ada, bob)
    await puppet.get("/_synapse/admin/v2/users", expect=(403, "M_FORBIDDEN"))
    await puppet.post(login_of("@ada:test"), expect=(403, "M_FORBIDDEN"))


async def test_what_asks_for_the_password_stays_closed(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    puppet = await acting_as(ada, alice)
    await puppet.post("account/password", {"new_password": "mine from now on"}, expect=401)
    await puppet.post("account/deactivate", expect=401)
    required = await puppet.post("/_matrix/client/v1/login/get_token", expect=401)
    await puppet.post(
        "/_matrix/client/v1/login/get_token",
        {"auth": {**alice.password_auth(), "session": required["session"]}},
        expect=(403, "M_FORBIDDEN"),
    )
    await puppet.post("keys/upload", {"one_time_keys": {}}, expect=400)


async def test_who_cannot_be_acted_as(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    await ada.post(login_of(ada.user_id), expect=(403, "M_FORBIDDEN"))
    await ada.post(login_of("@nobody:test"), expect=(404, "M_NOT_FOUND"))
    await ada.post(login_of("@bob:elsewhere"), expect=(400, "M_INVALID_PARAM"))
    await ada.post(login_of(alice.user_id), {"valid_until_ms": 5}, expect=(400, "M_INVALID_PARAM"))
    await ada.post(login_of(alice.user_id), {"valid_until_ms": "soon"}, expect=(400, "M_BAD_JSON"))
    await ada.post(f"/_synapse/admin/v1/deactivate/{alice.user_id}")
    await ada.post(login_of(alice.user_id), expect=(403, "M_USER_DEACTIVATED"))


async def test_only_administrators_may(server: Server) -> None:
    mallory, alice = await server.register("mallory"), await server.register("alice")
    await mallory.post(login_of(alice.user_id), expect=(403, "M_FORBIDDEN"))
    guess = Client(mallory.session, mallory.base_url, access_token="vcbt_guess")
    await guess.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))


async def test_a_new_password_of_the_administrator_ends_it(server: Server, ada: Client) -> None:
    """Ada finds out that Mallory was signed in as her. Who resets her password for her has the same effect."""
    alice = await server.register("alice")
    puppet = await acting_as(ada, alice)
    await puppet.get("account/whoami")
    await ada.post("account/password", {"new_password": "quite another phrase", "auth": ada.password_auth()})
    await puppet.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    puppet = await acting_as(ada, alice)
    await server.application.accounts.new_accounts.create_account("eve", PASSWORD, admin=True)
    eve = await server.anonymous().login("eve", PASSWORD)
    await eve.post(f"/_synapse/admin/v1/reset_password/{ada.user_id}", {"new_password": "and one more phrase"})
    await puppet.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))


async def test_nobody_makes_a_token_while_he_is_logged_out(server: Server, ada: Client) -> None:
    """Mallory, who is signed in as Ada, asks again and again while Ada changes the password."""
    alice = await server.register("alice")
    mallory = await server.anonymous().login("ada", PASSWORD)
    changing = asyncio.create_task(
        ada.post("account/password", {"new_password": "quite another phrase", "auth": ada.password_auth()})
    )
    while not changing.done():
        await asyncio.gather(*(mallory.post(login_of(alice.user_id), {}, expect={200, 401}) for _ in range(3)))
    await changing
    assert await server.application.base.database.fetchval("SELECT count(*) FROM borrowed_tokens") == 0
    # What had been checked before is checked once more.
    gone = Requester(ada.user_id, mallory.device_id, device_nid=999_999, token_id=1, is_guest=False, is_admin=True)
    with pytest.raises(UnknownToken):
        await server.application.accounts.borrowed.begin(gone, alice.user_id, None)
