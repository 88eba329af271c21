"""Ada, an administrator, brings people into rooms and gives power in rooms that have lost it."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server

AUDIT = "/_voicechat/admin/v1/audit"


def v1(*parts: str) -> tuple[str, ...]:
    return ("", "_synapse", "admin", "v1", *parts)


async def level_of(member: Client, room_id: str, user_id: str) -> int | None:
    return (await member.state(room_id, "m.room.power_levels"))["users"].get(user_id)


async def test_ada_brings_bob_into_an_open_room(server: Server, ada: Client) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat", room_alias_name="lobby")
    assert await ada.post(v1("join", "#lobby:test"), {"user_id": bob.user_id}) == {"room_id": room_id}
    assert room_id in (await bob.sync())["rooms"]["join"]
    assert await ada.post(v1("join", room_id), {"user_id": bob.user_id}) == {"room_id": room_id}
    entry = (await ada.get(AUDIT, target=room_id))["entries"][0]
    assert (entry["action"], entry["details"]) == ("room.join_user", {"user_id": bob.user_id})


async def test_into_a_closed_room_ada_invites_first(server: Server, ada: Client) -> None:
    bob = await server.register("bob")
    hers = await ada.create_room()
    await ada.post(v1("join", hers), {"user_id": bob.user_id})
    members = await ada.get(("rooms", hers, "joined_members"))
    assert set(members["joined"]) == {ada.user_id, bob.user_id}
    alice = await server.register("alice")
    not_hers = await alice.create_room()
    await ada.post(v1("join", not_hers), {"user_id": bob.user_id}, expect=(403, "M_FORBIDDEN"))
    assert (await ada.get(AUDIT, target=not_hers))["entries"] == []
    banned = await alice.create_room(preset="public_chat")
    await alice.ban(banned, bob)
    await ada.post(v1("join", banned), {"user_id": bob.user_id}, expect=(403, "M_FORBIDDEN"))


async def test_who_cannot_be_brought_nowhere(server: Server, ada: Client) -> None:
    await server.register("bob")
    for room, user_id, expect in (
        ("!nowhere:test", "@bob:test", 404),
        ("#nothing:test", "@bob:test", 404),
        ("nonsense", "@bob:test", 400),
        ("!x:test", "@nobody:test", 404),
        ("!x:test", "@bob:elsewhere", 400),
        ("!x:test", "", 400),
    ):
        await ada.post(v1("join", room), {"user_id": user_id}, expect=expect)


async def test_nobody_who_is_gone_comes_in(server: Server, ada: Client) -> None:
    bob = await server.register("bob")
    room_id = await ada.create_room(preset="public_chat")
    await ada.post(v1("deactivate", bob.user_id))
    await ada.post(v1("join", room_id), {"user_id": bob.user_id}, expect=(403, "M_USER_DEACTIVATED"))


async def test_ada_gets_the_power_of_the_most_powerful(server: Server, ada: Client) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    for version in ("1", "6", "9", "10", "11"):
        room_id = await alice.create_room(preset="private_chat", room_version=version)
        await ada.post(v1("rooms", room_id, "make_room_admin"))
        assert await level_of(alice, room_id, ada.user_id) == 100
        assert room_id in (await ada.sync())["rooms"]["invite"]
        await ada.join(room_id)
        await ada.set_state(room_id, "m.room.name", {"name": "Ada's"})
        await ada.post(v1("rooms", room_id, "make_room_admin"), {"user_id": bob.user_id})
        assert await level_of(alice, room_id, bob.user_id) == 100
        entry = (await ada.get(AUDIT, target=room_id))["entries"][0]
        assert (entry["action"], entry["details"]["user_id"]) == ("room.make_admin", bob.user_id)


async def test_creators_give_the_highest_level_that_has_a_name(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="private_chat", room_version="12")
    levels = await alice.state(room_id, "m.room.power_levels")
    await alice.set_state(room_id, "m.room.power_levels", {**levels, "events": {**levels["events"], "a.b": 170}})
    await ada.post(v1("rooms", room_id, "make_room_admin"))
    assert await level_of(alice, room_id, ada.user_id) == 170
    assert await level_of(alice, room_id, alice.user_id) is None


async def test_power_is_given_once(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="private_chat", room_version="11")
    await ada.post(v1("rooms", room_id, "make_room_admin"), {"user_id": alice.user_id})
    before = await alice.messages(room_id, limit=1)
    await ada.post(v1("rooms", room_id, "make_room_admin"), {"user_id": alice.user_id})
    assert (await alice.messages(room_id, limit=1))["chunk"] == before["chunk"]


async def test_nobody_can_be_made_powerful_by_nobody(server: Server, ada: Client) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat", room_version="11")
    await bob.join(room_id)
    await alice.leave(room_id)
    await ada.post(v1("rooms", room_id, "make_room_admin"), expect=(403, "M_FORBIDDEN"))
    other = await alice.create_room(preset="public_chat")
    await alice.ban(other, ada)
    await ada.post(v1("rooms", other, "make_room_admin"), expect=(403, "M_FORBIDDEN"))
    await ada.post(v1("rooms", "!nowhere:test", "make_room_admin"), expect=(404, "M_NOT_FOUND"))
    await ada.post(v1("rooms", other, "make_room_admin"), {"user_id": "bob"}, expect=(400, "M_INVALID_PARAM"))
    await ada.post(v1("rooms", other, "make_room_admin"), {"user_id": "@nobody:test"}, expect=(404, "M_NOT_FOUND"))
    assert "@nobody:test" not in (await alice.state(other, "m.room.power_levels"))["users"]


async def test_where_the_next_event_is_attached(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    sent = await alice.send(room_id, "last")
    answer = await ada.get(v1("rooms", room_id, "forward_extremities"))
    assert answer["count"] == 1
    assert answer["results"] == [
        {"event_id": sent, "depth": answer["results"][0]["depth"], "state_group": None, "received_ts": None,
         "origin_server_ts": server.clock.now_ms()},
    ]  # fmt: skip
    await ada.get(v1("rooms", "!nowhere:test", "forward_extremities"), expect=(404, "M_NOT_FOUND"))


async def test_only_administrators_may(server: Server) -> None:
    mallory = await server.register("mallory")
    asked: list[tuple[str, tuple[str, ...], Any]] = [
        ("POST", ("join", "!x:test"), {"user_id": "@mallory:test"}),
        ("POST", ("rooms", "!x:test", "make_room_admin"), {}),
        ("GET", ("rooms", "!x:test", "forward_extremities"), None),
    ]
    for method, path, body in asked:
        await mallory.request(method, v1(*path), json=body, expect=(403, "M_FORBIDDEN"))
        await server.anonymous().request(method, v1(*path), json=body, expect=(401, "M_MISSING_TOKEN"))
