"""What people are told of a room before they are in it."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server


async def summary(client: Client, room: str, **options: Any) -> Any:
    return await client.get(["", "_matrix", "client", "v1", "room_summary", room], **options)


async def test_a_public_room_by_id_and_by_alias(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(
        preset="public_chat", name="Cheese", topic="Tasty", room_alias_name="cheese",
        initial_state=[{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}],
    )  # fmt: skip
    told = await summary(bob, room_id)
    assert told == {
        "room_id": room_id, "name": "Cheese", "topic": "Tasty", "canonical_alias": "#cheese:test", "join_rule": "public",
        "num_joined_members": 1, "guest_can_join": False, "world_readable": False, "room_version": "12",
        "encryption": "m.megolm.v1.aes-sha2", "membership": "leave",
    }  # fmt: skip
    assert await summary(bob, "#cheese:test") == told
    # Element Call and nheko know these two by other names, and nobody wants to have them by both.
    renamed = {key: value for key, value in told.items() if key not in ("encryption", "room_version")}
    renamed["im.nheko.summary.encryption"] = "m.megolm.v1.aes-sha2"
    renamed["im.nheko.summary.room_version"] = "12"
    for path in (("summary", room_id), ("rooms", room_id, "summary"), ("summary", "#cheese:test")):
        assert await bob.get(["", "_matrix", "client", "unstable", "im.nheko.summary", *path]) == renamed
    await bob.join(room_id)
    assert (await summary(bob, room_id))["membership"] == "join"
    assert (await summary(bob, room_id))["num_joined_members"] == 2
    stranger = await summary(server.anonymous(), room_id)
    assert "membership" not in stranger
    assert stranger["name"] == "Cheese"
    assert (await bob.get("/_matrix/client/versions"))["unstable_features"]["org.matrix.msc3266"]


async def test_a_room_that_is_nobodys_business(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="private_chat", name="Secret")
    for client in (bob, server.anonymous()):
        await summary(client, room_id, expect=(404, "M_NOT_FOUND"))
    await alice.invite(room_id, bob)
    told = await summary(bob, room_id)
    assert (told["name"], told["membership"], told["join_rule"]) == ("Secret", "invite", "invite")
    await alice.ban(room_id, bob)
    await summary(bob, room_id, expect=(404, "M_NOT_FOUND"))
    # Whether a room exists is not told either: both answers are the same.
    absent, hidden = "!nothing:test", room_id
    answers = [await summary(bob, room, expect=404) for room in (absent, hidden)]
    assert answers[0] == answers[1]


async def test_a_restricted_room_and_one_to_knock_at(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    hall = await alice.create_room(preset="public_chat")
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": hall}]}
    inner = await alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": rule}])
    await summary(bob, inner, expect=(404, "M_NOT_FOUND"))
    await bob.join(hall)
    assert (await summary(bob, inner))["allowed_room_ids"] == [hall]
    await summary(server.anonymous(), inner, expect=(404, "M_NOT_FOUND"))
    door = await alice.create_room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    assert (await summary(server.anonymous(), door))["join_rule"] == "knock"
    await bob.post(("knock", door))
    assert (await summary(bob, door))["membership"] == "knock"


async def test_what_is_no_room(server: Server) -> None:
    alice = await server.register("alice")
    for room in ("x", "@alice:test", "!nothing", "#nothing"):
        await summary(alice, room, expect=(400, "M_INVALID_PARAM"))
    for room in ("#nothing:test", "!nothing:test", "!nothing:elsewhere.example"):
        await summary(alice, room, expect=(404, "M_NOT_FOUND"))
    # Names of servers that are none are passed over.
    await summary(alice, "!nothing:test", via=["%%%", "a" * 300, ""], expect=(404, "M_NOT_FOUND"))
