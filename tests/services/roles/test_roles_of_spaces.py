"""Alice gives her community roles, and plain Matrix shows what they mean."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.cast import Client, Server
from tests.services.roles.harbour import (
    CLOSED,
    CREW,
    KEEPER,
    apply,
    assign,
    channel,
    define,
    levels,
    outcome,
    override,
    plan,
    roles_path,
    space_of,
    undo,
)

WRITERS = {"everyone": {"deny": ["send"]}, "crew": {"allow": ["send"]}, "keeper": {"allow": ["send"]}}
TAGS = "in.cinny.room.power_level_tags"


@pytest.fixture
async def alice(server: Server) -> Client:
    return await server.register("alice")


@pytest.fixture
async def bob(server: Server) -> Client:
    return await server.register("bob")


@pytest.fixture
async def harbour(alice: Client, bob: Client) -> str:
    """The space, with Bob in it."""
    space_id = await space_of(alice)
    await bob.join(space_id)
    return space_id


async def test_roles_become_levels_names_and_doors(server: Server, alice: Client, bob: Client, harbour: str) -> None:
    open_id, closed_id = await channel(alice, harbour), await channel(alice, harbour)
    await define(alice, harbour)
    await assign(alice, harbour, bob, "crew")
    await override(alice, harbour, closed_id, CLOSED)
    done = await apply(server, alice, harbour)
    assert (done["status"], done["failed"], done["left"]) == ("complete", [], 0)
    said = await levels(alice, open_id)
    assert said["users"][bob.user_id] == said["kick"] == said["notifications"]["room"] == 10
    assert (said["ban"], said["events_default"], said["state_default"]) == (20, 0, 100)
    assert await alice.state(open_id, TAGS) == {
        "100": {"name": "Owner"}, "20": {"name": "Keeper"}, "10": {"name": "Crew", "color": "#1f8b4c"},
        "0": {"name": "Member"},
    }  # fmt: skip
    assert (await alice.state(closed_id, "m.room.join_rules"))["join_rule"] == "invite"
    assert closed_id in (await bob.sync())["rooms"]["invite"]
    assert (await plan(alice, harbour))["changes"] == []
    shown = await bob.get(roles_path(harbour))
    assert shown["members"] == {bob.user_id: ["crew"]}
    assert shown["steward"] == alice.user_id
    assert shown["me"] == {
        "owner": False,
        "permissions": sorted({*CREW["permissions"], *shown["everyone"]["permissions"]}),
    }


async def test_one_event_a_place_and_none_twice(server: Server, alice: Client, bob: Client, harbour: str) -> None:
    room_id = await channel(alice, harbour)
    await define(alice, harbour)
    await apply(server, alice, harbour)
    since = (await alice.sync())["next_batch"]
    await assign(alice, harbour, bob, "crew")
    await assign(alice, harbour, bob, "crew")
    first = await plan(alice, harbour)
    assert [(each["room_id"], each["type"], each["diff"]) for each in first["changes"]] == [
        (each, "m.room.power_levels", {"users": {bob.user_id: {"from": None, "to": 10}}}) for each in (harbour, room_id)
    ]
    assert await plan(alice, harbour) == first
    await apply(server, alice, harbour)
    news = await alice.sync(since=since)
    assert [event["type"] for event in news.timeline(room_id)] == ["m.room.power_levels"]
    assert [event["type"] for event in news.timeline(harbour)] == ["org.voicechat.member_roles", "m.room.power_levels"]


async def test_a_plan_that_is_not_what_was_seen_is_not_applied(alice: Client, bob: Client, harbour: str) -> None:
    await define(alice, harbour)
    seen = await plan(alice, harbour)
    await assign(alice, harbour, bob, "keeper")
    await alice.post(roles_path(harbour, "apply"), {"plan": seen["plan"]}, expect=409)


async def test_what_was_applied_is_undone(server: Server, alice: Client, bob: Client, harbour: str) -> None:
    room_id = await channel(alice, harbour)
    await bob.join(room_id)
    before = await levels(alice, room_id)
    await define(alice, harbour)
    await override(alice, harbour, room_id, CLOSED)
    done = await apply(server, alice, harbour)
    assert bob.user_id not in (await alice.get(["rooms", room_id, "joined_members"]))["joined"]
    back = await undo(server, alice, harbour, done["application"])
    assert (back["status"], back["failed"], back["undoes"]) == ("complete", [], done["application"])
    after = await levels(alice, room_id)
    assert {**after, "notifications": None} == {**before, "notifications": None}
    assert (await alice.state(room_id, "m.room.join_rules"))["join_rule"] == "public"
    await bob.join(room_id)
    assert (await alice.get(roles_path(harbour)))["roles"] == []


async def test_changes_by_hand_are_shown_and_stay_until_an_owner_gives_them_up(
    server: Server, alice: Client, bob: Client, harbour: str
) -> None:
    room_id = await channel(alice, harbour)
    await define(alice, harbour)
    await apply(server, alice, harbour)
    by_hand = {**await levels(alice, room_id), "kick": 0}
    await alice.set_state(room_id, "m.room.power_levels", by_hand)
    await assign(alice, harbour, bob, "crew")
    seen = await plan(alice, harbour)
    assert seen["conflicts"] == [
        {"room_id": room_id, "type": "m.room.power_levels", "diff": {"kick": {"from": 10, "to": 0}}}
    ]
    await apply(server, alice, harbour)
    assert await levels(alice, room_id) == by_hand
    await apply(server, alice, harbour, room_id)
    said = await levels(alice, room_id)
    assert (said["kick"], said["users"][bob.user_id]) == (10, 10)
    assert (await plan(alice, harbour))["conflicts"] == []


async def test_what_roles_do_not_rule_may_be_edited_by_hand(server: Server, alice: Client, harbour: str) -> None:
    room_id = await channel(alice, harbour)
    await define(alice, harbour)
    await apply(server, alice, harbour)
    said = await levels(alice, room_id)
    await alice.set_state(room_id, "m.room.power_levels", {**said, "events": {**said["events"], "com.example.game": 7}})
    await alice.put(roles_path(harbour), {"roles": [KEEPER, {**CREW, "permissions": ["send"]}]})
    assert (await apply(server, alice, harbour))["failed"] == []
    after = await levels(alice, room_id)
    assert (after["events"]["com.example.game"], after["kick"]) == (7, 20)


async def test_a_room_is_ruled_only_where_its_owner_has_said_so(
    server: Server, alice: Client, bob: Client, harbour: str
) -> None:
    """Mallory adds Alice's diary, in which he is a moderator, to the space."""
    mallory = await server.register("mallory")
    diary = await alice.create_room(
        preset="public_chat", power_level_content_override={"users": {mallory.user_id: 50}, "state_default": 50}
    )
    await mallory.join(diary)
    await mallory.set_state(diary, "m.space.parent", {"via": ["test"]}, harbour)
    await alice.set_state(harbour, "m.space.child", {"via": ["test"]}, diary)
    elsewhere = await bob.create_room(preset="public_chat")
    await bob.set_state(elsewhere, "m.space.parent", {"via": ["test"]}, harbour)
    await alice.set_state(harbour, "m.space.child", {"via": ["test"]}, elsewhere)
    await define(alice, harbour)
    seen = await plan(alice, harbour)
    assert {each["room_id"] for each in seen["changes"]} == {harbour}
    assert set(seen["unruled"]) == {diary, elsewhere}


async def test_circles_of_spaces_end_and_a_room_has_one_ruler(server: Server, alice: Client, harbour: str) -> None:
    category = await channel(alice, harbour, creation_content={"type": "m.space"})
    inside = await channel(alice, category)
    await alice.set_state(category, "m.space.child", {"via": ["test"]}, harbour)
    await alice.set_state(harbour, "m.space.parent", {"via": ["test"]}, category)
    await define(alice, harbour)
    await override(alice, harbour, category, WRITERS)
    await apply(server, alice, harbour)
    assert (await levels(alice, category))["events_default"] == 10
    assert (await levels(alice, inside))["events_default"] == 10
    other = await space_of(alice)
    await alice.set_state(inside, "m.space.parent", {"via": ["test"]}, other)
    await alice.set_state(other, "m.space.child", {"via": ["test"]}, inside)
    await define(alice, other)
    seen = await plan(alice, other)
    assert set(seen["unruled"]) == {inside}
    assert {each["room_id"] for each in seen["changes"]} == {other}


async def test_one_that_cannot_be_done_keeps_no_other(server: Server, alice: Client, bob: Client, harbour: str) -> None:
    """Bob takes no invitations of Alice; Carol gets hers all the same."""
    carol = await server.register("carol")
    await carol.join(harbour)
    room_id = await channel(alice, harbour, preset="private_chat")
    path = ["user", bob.user_id, "account_data", "org.matrix.msc4155.invite_permission_config"]
    await bob.put(path, {"enabled": True, "blocked_users": [alice.user_id]})
    await define(alice, harbour)
    await override(alice, harbour, room_id, CLOSED)
    await assign(alice, harbour, bob, "crew")
    await assign(alice, harbour, carol, "crew")
    done = await apply(server, alice, harbour)
    assert [(each["type"], each["state_key"]) for each in done["failed"]] == [("m.room.member", bob.user_id)]
    assert room_id in (await carol.sync())["rooms"]["invite"]


async def test_who_has_no_steward_has_no_roles(server: Server, alice: Client, bob: Client, harbour: str) -> None:
    await define(alice, harbour)
    said = await levels(alice, harbour)
    if alice.user_id in said["users"]:
        await alice.set_state(harbour, "m.room.power_levels", {**said, "users": {alice.user_id: 100, bob.user_id: 100}})
    else:
        await alice.set_state(harbour, "m.room.power_levels", {**said, "users": {bob.user_id: 100}})
    await alice.leave(harbour)
    await bob.post(roles_path(harbour, "plan"), expect=403)
    await define(bob, harbour)
    assert (await bob.get(roles_path(harbour)))["steward"] == bob.user_id
    assert (await plan(bob, harbour))["steward"] == bob.user_id


async def test_power_levels_that_would_be_too_large_are_reported(
    server: Server, alice: Client, bob: Client, harbour: str
) -> None:
    """The room's levels are full of other things already; the names of levels go in all the same."""
    room_id = await channel(alice, harbour)
    said = await levels(alice, room_id)
    left = 64_800 - len(json.dumps(said, separators=(",", ":")))
    many = {f"com.example.{number:04}.{'x' * 77}": 50 for number in range(left // 100)}
    await alice.set_state(room_id, "m.room.power_levels", {**said, "events": {**said["events"], **many}})
    await define(alice, harbour)
    await assign(alice, harbour, bob, "crew")
    done = await apply(server, alice, harbour)
    assert [(each["room_id"], each["type"]) for each in done["failed"]] == [(room_id, "m.room.power_levels")]
    assert "more than 65536" in done["failed"][0]["why"]
    assert "10" in await alice.state(room_id, TAGS)
    assert [change["room_id"] for change in (await plan(alice, harbour))["changes"]] == [room_id]


async def test_who_may_not_attach_sends_no_files(server: Server, alice: Client, bob: Client, harbour: str) -> None:
    room_id = await channel(alice, harbour)
    await bob.join(room_id)
    await define(alice, harbour, everyone={"permissions": ["see", "read_history", "send"]})
    await apply(server, alice, harbour)
    picture = {"msgtype": "m.image", "body": "cat.png", "url": "mxc://test/cat"}
    edit = {"msgtype": "m.text", "body": "* cat", "m.new_content": picture}
    for content in (picture, edit):
        await bob.put(
            ["rooms", room_id, "send", "m.room.message", content["body"]], content, expect=(403, "M_FORBIDDEN")
        )
    await bob.put(
        ["rooms", room_id, "send", "m.sticker", "s"], {"body": "cat", "url": "mxc://t/c", "info": {}}, expect=403
    )
    await bob.put(["rooms", room_id, "send", "m.room.message", "odd"], {"msgtype": ["m.image"], "body": "x"})
    await bob.send(room_id, "no pictures here")
    await alice.put(["rooms", room_id, "send", "m.room.message", "hers"], picture)


async def test_of_two_orders_at_once_one_is_taken(server: Server, alice: Client, harbour: str) -> None:
    await define(alice, harbour)
    seen = await plan(alice, harbour)
    order = {"plan": seen["plan"]}
    answers = await asyncio.gather(
        *(alice.post(roles_path(harbour, "apply"), order, expect={200, 409}) for _ in range(3))
    )
    taken = [each["application"] for each in answers if "application" in each]
    assert len(taken) == 1
    done = await outcome(server, alice, harbour, taken[0])
    assert (done["status"], done["failed"]) == ("complete", [])
    listed = (await alice.get(roles_path(harbour, "applications")))["applications"]
    assert [each["application"] for each in listed] == taken
