"""Bob of beta goes to rooms of alpha: two of our own servers."""

from __future__ import annotations

import asyncio

import pytest

from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.federation.conftest import ALPHA, Home

VERSIONS = list(ROOM_VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
async def test_bob_joins_and_both_speak(alpha: Home, beta: Home, version: str) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat", room_version=version, name="hall")
    await alice.send(room_id, "before")
    await bob.sync()
    answer = await bob.post(("join", room_id), via=[ALPHA])
    assert answer == {"room_id": room_id}
    shown = (await bob.sync()).room(room_id)
    state = {(each["type"], each["state_key"]): each["content"] for each in shown["state"]["events"]}
    state |= {(e["type"], e["state_key"]): e["content"] for e in shown["timeline"]["events"] if "state_key" in e}
    assert state["m.room.name", ""]["name"] == "hall"
    assert state["m.room.member", alice.user_id]["membership"] == "join"
    assert state["m.room.member", bob.user_id]["membership"] == "join"
    there = await alice.get(("rooms", room_id, "joined_members"))
    assert bob.user_id in there["joined"]
    await bob.send(room_id, "hello")
    assert "Invalid" not in str(await bob.messages(room_id))


async def test_several_join_by_one_handshake(alpha: Home, beta: Home) -> None:
    alice = await alpha.server.register("alice")
    bobs = [await beta.server.register(f"bob{number}") for number in range(4)]
    room_id = await alice.create_room(preset="public_chat")
    await asyncio.gather(*(bob.post(("join", room_id), via=[ALPHA]) for bob in bobs))
    for bob in bobs:
        assert await bob.state(room_id, "m.room.member", bob.user_id)
    members = (await bobs[0].get(("rooms", room_id, "joined_members")))["joined"]
    assert set(members) == {alice.user_id, *(bob.user_id for bob in bobs)}
