"""What Bob is told of Alice's room before he is in it."""

from __future__ import annotations

from typing import Any

import orjson

from homeserver.services.rooms.stripped_state import stripped_state
from tests.cast import Client, Server


async def _told(server: Server, room_id: str, client: Client) -> list[dict[str, Any]]:
    room = await server.application.base.cache.get(room_id)
    return [orjson.loads(event) for event in stripped_state(room, client.user_id)]


async def test_an_invited_user_learns_what_the_room_is_and_who_invites(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="private_chat", name="Lobby", topic="Secrets", invite=[bob.user_id])
    await alice.set_state(room_id, "org.example", {"not": "shown"})
    told = await _told(server, room_id, bob)
    assert all(set(event) == {"content", "sender", "state_key", "type"} for event in told)
    types = [event["type"] for event in told]
    assert types == [
        "m.room.create",
        "m.room.name",
        "m.room.topic",
        "m.room.join_rules",
        "m.room.member",
        "m.room.member",
    ]
    inviter, own = told[-2:]
    assert (inviter["state_key"], inviter["content"]["membership"]) == (alice.user_id, "join")
    assert (own["state_key"], own["sender"], own["content"]["membership"]) == (bob.user_id, alice.user_id, "invite")


async def test_nothing_of_the_members_is_told_to_whoever_has_no_membership(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    assert "m.room.member" not in [event["type"] for event in await _told(server, room_id, bob)]
