"""Mallory manages roles of the harbour, and wants to be more than he is: by every door there is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client, Server
from tests.services.roles.harbour import (
    CREW,
    KEEPER,
    apply,
    assign,
    channel,
    define,
    levels,
    override,
    plan,
    roles_path,
    space_of,
    undo,
)

BOSS = {"id": "boss", "name": "Boss", "permissions": [*KEEPER["permissions"], "manage_channel"]}
FORBIDDEN = (403, "M_FORBIDDEN")


@pytest.fixture
async def alice(server: Server) -> Client:
    return await server.register("alice")


@pytest.fixture
async def mallory(server: Server) -> Client:
    return await server.register("mallory")


@pytest.fixture
async def harbour(server: Server, alice: Client, mallory: Client) -> str:
    space_id = await space_of(alice)
    await mallory.join(space_id)
    await define(alice, space_id, BOSS, KEEPER, CREW)
    await assign(alice, space_id, mallory, "keeper")
    await apply(server, alice, space_id)
    return space_id


async def test_through_our_own_doors(server: Server, alice: Client, mallory: Client, harbour: str) -> None:
    room_id = await channel(alice, harbour)
    await assign(mallory, harbour, mallory, "keeper", "boss", expect=FORBIDDEN)
    await assign(mallory, harbour, alice, "crew", expect=FORBIDDEN)
    await override(mallory, harbour, room_id, {"keeper": {"allow": ["manage_channel"]}}, expect=FORBIDDEN)
    await override(mallory, harbour, room_id, {"everyone": {"allow": ["manage_channel"]}}, expect=FORBIDDEN)
    for roles in ([KEEPER, BOSS, CREW], [{**KEEPER, "permissions": BOSS["permissions"]}, CREW], [BOSS, CREW, KEEPER]):
        await mallory.put(roles_path(harbour), {"roles": roles}, expect=FORBIDDEN)
    await mallory.post(roles_path(harbour, "plan"), {"overwrite": [room_id]}, expect=FORBIDDEN)
    listed = (await mallory.get(roles_path(harbour, "applications")))["applications"]
    await mallory.post(roles_path(harbour, "applications", listed[0]["application"], "undo"), expect=FORBIDDEN)
    await mallory.post(roles_path(harbour, "applications", "guessed", "undo"), expect=FORBIDDEN)
    assert (await alice.get(roles_path(harbour)))["members"] == {mallory.user_id: ["keeper"]}


async def test_into_a_channel_that_he_does_not_see(alice: Client, mallory: Client, harbour: str) -> None:
    category = await channel(alice, harbour, creation_content={"type": "m.space"})
    bridge = await channel(alice, category)
    secret = {"everyone": {"deny": ["see"]}, "boss": {"allow": ["see"]}}
    await override(alice, harbour, category, secret)
    open_again = {"boss": {"allow": ["see"]}, "crew": {"deny": ["kick"]}}
    for room_id in (category, bridge):
        await override(mallory, harbour, room_id, {**secret, "crew": {"allow": ["see"]}}, expect=FORBIDDEN)
        await override(mallory, harbour, room_id, open_again, expect=FORBIDDEN)
    await override(mallory, harbour, category, {}, expect=FORBIDDEN)
    # Not yet a channel of the space: who may say something about it now would have said it when it becomes one.
    later = await alice.create_room()
    await override(mallory, harbour, later, {"crew": {"deny": ["kick"]}}, expect=FORBIDDEN)
    await override(alice, harbour, later, {"crew": {"deny": ["kick"]}})


async def test_what_is_his_to_do_he_does_without_having_the_level_for_it(
    server: Server, alice: Client, mallory: Client, harbour: str
) -> None:
    """Power levels are edited in the name of the steward: nobody who manages roles could edit them by himself."""
    carol = await server.register("carol")
    await carol.join(harbour)
    await assign(mallory, harbour, carol, "crew")
    assert (await apply(server, mallory, harbour))["failed"] == []
    said = await levels(alice, harbour)
    assert said["users"][carol.user_id] < said["users"][mallory.user_id] < said["events"]["m.room.power_levels"]
    await assign(mallory, harbour, mallory)
    await assign(mallory, harbour, carol, expect=FORBIDDEN)


async def test_through_plain_matrix(alice: Client, mallory: Client, harbour: str) -> None:
    key = mallory.user_id.removeprefix("@")
    for event_type, state_key, content in (
        ("org.voicechat.roles", "", {"roles": [{**KEEPER, "permissions": BOSS["permissions"]}]}),
        ("org.voicechat.member_roles", key, {"roles": ["boss"]}),
        ("org.voicechat.role_override", harbour, {"roles": {"keeper": {"allow": ["manage_channel"]}}}),
        ("m.room.power_levels", "", {**await levels(alice, harbour), "kick": 0}),
    ):
        await mallory.put(["rooms", harbour, "state", event_type, state_key], content, expect=FORBIDDEN)


async def test_what_was_written_before_there_were_roles_is_void(server: Server, alice: Client, mallory: Client) -> None:
    space_id = await space_of(alice, initial_state=[])
    said: dict[str, Any] = await levels(alice, space_id)
    said["users"] = {**said["users"], mallory.user_id: 50}
    await alice.set_state(space_id, "m.room.power_levels", said)
    await mallory.join(space_id)
    key = mallory.user_id.removeprefix("@")
    await mallory.set_state(space_id, "org.voicechat.member_roles", {"roles": ["boss"]}, key)
    await mallory.set_state(space_id, "org.voicechat.roles", {"roles": [BOSS]})
    await mallory.post(roles_path(space_id, "plan"), expect=FORBIDDEN)
    await mallory.put(roles_path(space_id), {"roles": [BOSS]}, expect=FORBIDDEN)
    await define(alice, space_id, BOSS)
    shown = await alice.get(roles_path(space_id))
    assert (shown["members"], shown["steward"]) == ({}, alice.user_id)


async def test_with_nonsense(mallory: Client, alice: Client, harbour: str) -> None:
    invalid = (400, "M_INVALID_PARAM")
    await alice.put(roles_path(harbour), {"roles": [CREW, KEEPER, CREW]}, expect=invalid)
    await alice.put(roles_path(harbour), {"roles": [{"id": "Ünïcode", "name": "x"}]}, expect=invalid)
    await alice.put(roles_path(harbour), {"roles": 3}, expect=(400, "M_BAD_JSON"))
    await override(alice, harbour, "!no", {"nothing": {"allow": ["kick"]}}, expect=invalid)
    await override(alice, harbour, "#room", {}, expect=invalid)
    await alice.put(roles_path(harbour, "members", "nobody"), {"roles": []}, expect=invalid)
    await assign(alice, harbour, mallory, "everyone", "nothing", expect=invalid)
    room_id = await alice.create_room()
    await alice.put(roles_path(room_id), {"roles": []}, expect=invalid)
    await alice.get(roles_path("!nowhere:test"), expect=(404, "M_NOT_FOUND"))
    stranger_space = await space_of(mallory)
    await alice.get(roles_path(stranger_space), expect=FORBIDDEN)


async def test_undoing_takes_nothing_that_came_since(
    server: Server, alice: Client, mallory: Client, harbour: str
) -> None:
    room_id = await channel(alice, harbour)
    done = await apply(server, alice, harbour)
    await alice.set_state(room_id, "m.room.power_levels", {**await levels(alice, room_id), "kick": 1})
    back = await undo(server, alice, harbour, done["application"])
    assert [each["type"] for each in back["failed"]] == ["m.room.power_levels"]
    assert (await levels(alice, room_id))["kick"] == 1
    assert [each["type"] for each in (await plan(alice, harbour))["conflicts"]] == ["m.room.power_levels"]
