"""Ada, an administrator, makes accounts, looks at them, changes and ends them, with the tools that know Synapse."""

from __future__ import annotations

from typing import Any

from homeserver.storage.administration import ORDERS
from tests.cast import PASSWORD, Client, Server

USERS = "/_synapse/admin/v2/users"
V1 = "/_synapse/admin/v1"


def of(user: Client | str) -> tuple[str, ...]:
    return ("", "_synapse", "admin", "v2", "users", user if isinstance(user, str) else user.user_id)


async def names(ada: Client, path: str = USERS, **query: Any) -> list[str]:
    return [user["name"] for user in (await ada.get(path, **query))["users"]]


async def actions(ada: Client, target: str) -> list[str]:
    entries = (await ada.get("/_voicechat/admin/v1/audit", target=target))["entries"]
    return [entry["action"] for entry in entries]


async def test_an_account_is_shown_as_synapse_shows_it(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    now_ms = server.clock.now_ms()
    assert await ada.get(of(alice)) == {
        "name": "@alice:test", "is_guest": False, "admin": False, "user_type": None, "deactivated": False,
        "erased": False, "shadow_banned": False, "displayname": "alice", "avatar_url": None,
        "creation_ts": now_ms // 1000, "last_seen_ts": now_ms, "locked": False, "suspended": False,
        "appservice_id": None, "threepids": [], "external_ids": [], "consent_server_notice_sent": None,
        "consent_version": None, "consent_ts": None,
    }  # fmt: skip
    (listed,) = (await ada.get(USERS, user_id="alice"))["users"]
    assert listed == {
        "name": "@alice:test", "is_guest": False, "admin": False, "user_type": None, "deactivated": False,
        "erased": False, "shadow_banned": False, "displayname": "alice", "avatar_url": None,
        "creation_ts": now_ms, "last_seen_ts": now_ms, "locked": False,
    }  # fmt: skip


async def test_ada_makes_an_account(server: Server, ada: Client) -> None:
    body = {
        "password": PASSWORD, "displayname": "Bob", "avatar_url": "mxc://test/bob", "user_type": "support",
        "threepids": [{"medium": "email", "address": "Bob@Example.org"}, {"medium": "msisdn", "address": "447470274584"}],
        "external_ids": [],
    }  # fmt: skip
    made = await ada.put(of("@bob:test"), body, expect=201)
    assert (made["displayname"], made["avatar_url"], made["user_type"]) == ("Bob", "mxc://test/bob", "support")
    assert [(each["medium"], each["address"]) for each in made["threepids"]] == [
        ("email", "bob@example.org"),
        ("msisdn", "447470274584"),
    ]
    bob = await server.anonymous().login("bob", PASSWORD)
    assert bob.user_id == "@bob:test"
    found = await ada.get(("", "_synapse", "admin", "v1", "threepid", "email", "users", "BOB@example.org"))
    assert found == {"user_id": "@bob:test"}
    await ada.get(f"{V1}/threepid/email/users/eve@example.org", expect=(404, "M_NOT_FOUND"))
    assert await actions(ada, "@bob:test") == ["login.password", "user.create"]
    entry = (await ada.get("/_voicechat/admin/v1/audit", target="@bob:test"))["entries"][0]
    assert PASSWORD not in str(entry)


async def test_ada_changes_an_account(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await ada.put(of(alice), {"displayname": "Alice M.", "threepids": [{"medium": "email", "address": "a@b.c"}]})
    assert (await alice.state(room_id, "m.room.member", alice.user_id))["displayname"] == "Alice M."
    changed = await ada.put(of(alice), {"displayname": "", "threepids": [], "user_type": "bot"})
    assert (changed["displayname"], changed["threepids"], changed["user_type"]) == (None, [], "bot")
    assert (await ada.put(of(alice), {}))["user_type"] == "bot"
    assert (await ada.put(of(alice), {"user_type": None}))["user_type"] is None
    assert len(await actions(ada, alice.user_id)) == 4


async def test_a_new_password_ends_all_sessions_unless_told_otherwise(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    await ada.put(of(alice), {"password": "another one", "logout_devices": False})
    await alice.get("account/whoami")
    await ada.put(of(alice), {"password": "and another"})
    await alice.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    alice = await server.anonymous().login("alice", "and another")
    await ada.post(f"{V1}/reset_password/{alice.user_id}", {"new_password": "the third", "logout_devices": False})
    await alice.get("account/whoami")
    await ada.post(f"{V1}/reset_password/{alice.user_id}", {"new_password": "the fourth"})
    await alice.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    await server.anonymous().login("alice", "the fourth")


async def test_roles_count_at_once(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    path = ("", "_synapse", "admin", "v1", "users", alice.user_id, "admin")
    assert await ada.get(path) == {"admin": False}
    await alice.get(USERS, expect=(403, "M_FORBIDDEN"))
    await ada.put(path, {"admin": True})
    assert await ada.get(path) == {"admin": True}
    await alice.get(USERS)
    await alice.put(("", "_synapse", "admin", "v1", "users", ada.user_id, "admin"), {"admin": False})
    await ada.get(USERS, expect=(403, "M_FORBIDDEN"))
    await alice.put(path, {"admin": False}, expect=(403, "M_FORBIDDEN"))
    await alice.put(of(alice), {"admin": False}, expect=(403, "M_FORBIDDEN"))


async def test_an_account_ends_and_comes_back(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    await ada.post(f"{V1}/deactivate/{alice.user_id}", {"erase": True})
    await alice.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    shown = await ada.get(of(alice))
    assert (shown["deactivated"], shown["erased"], shown["displayname"]) == (True, True, None)
    await ada.put(of(alice), {"password": "ignored"})
    await ada.post(f"{V1}/reset_password/{alice.user_id}", {"new_password": "no"}, expect="M_USER_DEACTIVATED")
    await server.anonymous().post(
        "login",
        {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}, "password": "ignored"},
        expect=(403, "M_USER_DEACTIVATED"),
    )
    back = await ada.put(of(alice), {"deactivated": False, "password": PASSWORD, "displayname": "Alice"})
    assert (back["deactivated"], back["erased"], back["displayname"]) == (False, False, "Alice")
    await server.anonymous().login("alice", PASSWORD)
    again = await ada.put(of(alice), {"deactivated": True})
    assert again["deactivated"] is True
    assert "user.deactivate" in await actions(ada, alice.user_id)


async def test_locked_accounts_are_left_out_of_the_list(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    assert (await ada.put(of(alice), {"locked": True}))["locked"] is True
    await alice.get("account/whoami", expect=(401, "M_USER_LOCKED"))
    assert await names(ada) == ["@ada:test"]
    assert await names(ada, locked=True) == ["@ada:test", "@alice:test"]
    assert (await ada.put(of(alice), {"locked": False}))["locked"] is False
    await alice.get("account/whoami")
    assert "user.lock" in await actions(ada, alice.user_id)


async def test_an_account_is_suspended_for_a_while(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    path = ("", "_synapse", "admin", "v1", "suspend", alice.user_id)
    assert await ada.put(path, {"suspend": True}) == {"user_@alice:test_suspended": True}
    assert (await ada.get(of(alice)))["suspended"] is True
    await alice.put(("rooms", room_id, "send", "m.room.message", "1"), {"body": "hi"}, expect=(403, "M_USER_SUSPENDED"))
    await ada.put(path, {"suspend": False})
    await alice.send(room_id, "hi")
    assert await actions(ada, alice.user_id) == ["user.unsuspend", "user.suspend"]
    await ada.put(path, {}, expect=400)
    await ada.put(("", "_synapse", "admin", "v1", "suspend", "@nobody:test"), {"suspend": True}, expect=404)
    await ada.put(("", "_synapse", "admin", "v1", "suspend", ada.user_id), {"suspend": True}, expect=403)
    await alice.put(path, {"suspend": False}, expect=(403, "M_FORBIDDEN"))


async def test_the_list_is_filtered_and_ordered(server: Server, ada: Client) -> None:
    for name in ("carol", "bob", "eve"):
        server.clock.advance(seconds=1)
        await server.register(name)
    guest = await server.guest()
    await ada.put(of("@bob:test"), {"displayname": "Zed", "user_type": "bot"})
    await ada.post(f"{V1}/deactivate/@eve:test", {})
    assert await names(ada, guests=False) == ["@ada:test", "@bob:test", "@carol:test"]
    assert guest.user_id in await names(ada)
    assert await names(ada, deactivated=True, guests=False) == ["@ada:test", "@bob:test", "@carol:test", "@eve:test"]
    assert await names(ada, "/_synapse/admin/v3/users", deactivated=True) == ["@eve:test"]
    assert "@eve:test" in await names(ada, "/_synapse/admin/v3/users")
    assert "@eve:test" not in await names(ada, "/_synapse/admin/v3/users", deactivated=False)
    assert await names(ada, name="ZE") == ["@bob:test"]
    assert await names(ada, name="car") == ["@carol:test"]
    assert await names(ada, name="test") == []
    assert await names(ada, name="%") == []
    assert await names(ada, user_id="OB:te") == ["@bob:test"]
    assert await names(ada, admins=True) == ["@ada:test"]
    assert await names(ada, admins=False, guests=False) == ["@bob:test", "@carol:test"]
    assert await names(ada, not_user_type=["bot"], guests=False) == ["@ada:test", "@carol:test"]
    assert await names(ada, not_user_type=["bot", ""]) == []
    assert await names(ada, order_by="displayname", guests=False, dir="b") == ["@bob:test", "@carol:test", "@ada:test"]
    assert await names(ada, order_by="creation_ts", guests=False) == ["@ada:test", "@carol:test", "@bob:test"]


async def test_every_order_has_all_accounts_once(server: Server, ada: Client) -> None:
    for name in ("bob", "carol"):
        await server.register(name)
    for order in [*ORDERS, "shadow_banned"]:
        for direction in ("f", "b"):
            found = await names(ada, order_by=order, dir=direction)
            assert sorted(found) == ["@ada:test", "@bob:test", "@carol:test"], order


async def test_pages_follow_each_other(server: Server, ada: Client) -> None:
    for name in ("bob", "carol", "dave", "eve"):
        await server.register(name)
    seen: list[str] = []
    token: str | None = None
    for _ in range(3):
        answer = await ada.get(USERS, limit=2, **{"from": token})
        assert answer["total"] == 5
        seen += [user["name"] for user in answer["users"]]
        token = answer.get("next_token")
    assert token is None
    assert seen == ["@ada:test", "@bob:test", "@carol:test", "@dave:test", "@eve:test"]
    assert await ada.get(USERS, **{"from": 99}) == {"users": [], "total": 5}


NONSENSE: list[dict[str, Any]] = [
    {"password": "x" * 513}, {"password": 5}, {"displayname": "x" * 257}, {"displayname": []},
    {"avatar_url": "https://example.org/bob.png"}, {"admin": "yes"}, {"user_type": "king"},
    {"deactivated": True, "locked": True}, {"threepids": [{"medium": "email"}]},
    {"threepids": [{"medium": "pigeon", "address": "coo"}]}, {"threepids": [{"medium": "email", "address": "bob"}]},
    {"threepids": [{"medium": "msisdn", "address": "+44 7470"}]}, {"threepids": {}},
    {"threepids": [{"medium": "email", "address": f"{n}@b.c"} for n in range(101)]},
    {"threepids": [{"medium": "email", "address": "taken@example.org"}]},
    {"external_ids": [{"auth_provider": "oidc", "external_id": ""}]}, {"displayname": "\0"},
]  # fmt: skip


async def test_nonsense_changes_nothing(server: Server, ada: Client) -> None:
    await ada.put(of(ada), {"threepids": [{"medium": "email", "address": "taken@example.org"}]})
    await server.register("alice")
    before = await ada.get(of("@alice:test"))
    for body in NONSENSE:
        for name in ("@alice:test", "@bob:test"):
            await ada.put(of(name), {"user_type": "bot", **body}, expect=400)
    assert await ada.get(of("@alice:test")) == before
    await ada.get(of("@bob:test"), expect=(404, "M_NOT_FOUND"))


async def test_only_users_of_this_server(ada: Client) -> None:
    for name in ("@alice:elsewhere.example", "alice", "@", "!room:test", f"@{'x' * 300}:test"):
        await ada.get(of(name), expect=(400, "M_INVALID_PARAM"))
        await ada.put(of(name), {}, expect=(400, "M_INVALID_PARAM"))


async def test_a_name_that_grammar_forbids_is_not_made(ada: Client) -> None:
    await ada.put(of("@Bob Smith:test"), {}, expect=400)
    await ada.put(of("@böb:test"), {}, expect=400)
    await ada.put(of("@BOB:test"), {}, expect=(400, "M_INVALID_USERNAME"))
    await ada.get(of("@bob:test"), expect=(404, "M_NOT_FOUND"))


async def test_names_are_tried(server: Server, ada: Client) -> None:
    await server.register("alice")
    assert await ada.get(f"{V1}/username_available", username="bob") == {"available": True}
    await ada.get(f"{V1}/username_available", username="alice", expect=(400, "M_USER_IN_USE"))
    await ada.get(f"{V1}/username_available", username="a b", expect=(400, "M_INVALID_USERNAME"))
    await ada.get(f"{V1}/username_available", expect=(400, "M_MISSING_PARAM"))


async def test_wrong_queries_are_refused(ada: Client) -> None:
    queries: list[dict[str, Any]] = [
        {"from": -1}, {"limit": -1}, {"limit": "x"}, {"dir": "up"}, {"order_by": "password_hash"}, {"guests": "maybe"},
        {"admins": "1"}, {"deactivated": "x"}, {"locked": "2"},
    ]  # fmt: skip
    for query in queries:
        await ada.get(USERS, **query, expect=(400, "M_INVALID_PARAM"))


async def test_only_administrators_may(server: Server, ada: Client) -> None:
    mallory = await server.register("mallory")
    asked = [
        ("GET", USERS, None), ("GET", "/_synapse/admin/v3/users", None), ("GET", of("@mallory:test"), None),
        ("PUT", of("@mallory:test"), {"admin": True}), ("POST", f"{V1}/deactivate/@ada:test", {}),
        ("POST", f"{V1}/reset_password/@ada:test", {"new_password": "mine now"}),
        ("GET", f"{V1}/users/@ada:test/admin", None), ("PUT", f"{V1}/users/@mallory:test/admin", {"admin": True}),
        ("GET", f"{V1}/username_available", None), ("GET", f"{V1}/threepid/email/users/a@b.c", None),
    ]  # fmt: skip
    for method, path, body in asked:
        await mallory.request(method, path, json=body, expect=(403, "M_FORBIDDEN"))
        await server.anonymous().request(method, path, json=body, expect=(401, "M_MISSING_TOKEN"))


async def test_tools_ask_which_server_this_is_before_they_sign_in(server: Server) -> None:
    answer = await server.anonymous().get(f"{V1}/server_version")
    assert set(answer) == {"server_version"}
    assert answer["server_version"].startswith("VoiceChat ")
