"""GET /sync: joining, leaving, being invited, kicked, banned, and knocking."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client, Server, SyncAnswer


async def three(server: Server) -> tuple[Client, Client, Client]:
    return await server.register("alice"), await server.register("bob"), await server.register("mallory")


def types(answer: SyncAnswer, room_id: str, kind: str = "join") -> list[str]:
    return [event["type"] for event in answer.timeline(room_id, kind)]


def last_membership(answer: SyncAnswer, room_id: str, kind: str = "leave") -> tuple[str, str]:
    event = answer.timeline(room_id, kind)[-1]
    return event["state_key"], event["content"]["membership"]


# -- join ------------------------------------------------------------------------------------------


async def test_a_newly_joined_room_comes_with_everything(server: Server) -> None:
    alice, bob, _ = await three(server)
    room_id = await alice.create_room(preset="public_chat", name="Kitchen")
    for number in range(12):
        await alice.send(room_id, f"message {number}")
    await bob.sync()
    await bob.join(room_id)
    answer = await bob.sync()
    room = answer.room(room_id)
    assert room["timeline"]["limited"] is True
    assert len(room["timeline"]["events"]) == 10
    state = {(event["type"], event["state_key"]) for event in room["state"]["events"]}
    assert {("m.room.name", ""), ("m.room.member", alice.user_id)} <= state
    assert room["summary"] == {"m.joined_member_count": 2, "m.invited_member_count": 0}
    memberships = [event["unsigned"]["membership"] for event in room["timeline"]["events"]]
    assert memberships == ["leave"] * 9 + ["join"]


async def test_history_before_the_join_is_hidden_where_the_room_says_so(server: Server) -> None:
    alice, bob, _ = await three(server)
    hidden = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}
    room_id = await alice.create_room(preset="public_chat", name="Kitchen", initial_state=[hidden])
    await alice.send(room_id, "not for Bob")
    await bob.sync()
    await bob.join(room_id)
    after = await alice.send(room_id, "for Bob")
    answer = await bob.sync()
    # What came before the room began to hide its history may be seen, and state that is in force; the rest only by
    # those who were there.
    ends = ["m.room.history_visibility", "m.room.name", "m.room.member", "m.room.message"]
    for seen in (answer, await bob.sync(since=None)):
        assert types(seen, room_id)[-4:] == ends
        assert seen.event_ids(room_id)[-1] == after
        told = {event["type"] for event in seen.room(room_id)["state"]["events"]} | set(types(seen, room_id))
        assert {"m.room.create", "m.room.name"} <= told
    two = await bob.sync(since=None, filter={"room": {"timeline": {"limit": 2}}})
    assert types(two, room_id) == ["m.room.member", "m.room.message"]
    assert "m.room.name" in {event["type"] for event in two.room(room_id)["state"]["events"]}


async def test_a_new_display_name_is_no_new_join(server: Server) -> None:
    alice, bob, _ = await three(server)
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await bob.sync()
    await bob.put(("profile", bob.user_id, "displayname"), {"displayname": "Robert"})
    answer = await bob.sync()
    assert types(answer, room_id) == ["m.room.member"]
    assert answer.room(room_id)["timeline"]["limited"] is False
    assert answer.room(room_id)["state"] == {"events": []}


async def test_left_and_rejoined_between_two_syncs_is_a_new_join(server: Server) -> None:
    alice, bob, _ = await three(server)
    room_id = await alice.create_room(preset="public_chat", name="Kitchen")
    await bob.join(room_id)
    await bob.sync()
    await bob.leave(room_id)
    await alice.set_state(room_id, "m.room.topic", {"topic": "while Bob was away"})
    for number in range(12):
        await alice.send(room_id, f"message {number}")
    await bob.join(room_id)
    answer = await bob.sync()
    assert answer.room(room_id)["timeline"]["limited"] is True
    state = {event["type"] for event in answer.room(room_id)["state"]["events"]}
    assert {"m.room.topic", "m.room.create", "m.room.name"} <= state
    assert room_id not in answer["rooms"].get("leave", {})


# -- leave -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["leave", "kick", "ban"])
async def test_a_room_that_ends_shows_nothing_of_what_came_after(server: Server, how: str) -> None:
    alice, bob, _ = await three(server)
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await bob.sync()
    last = await alice.send(room_id, "the last that Bob hears")
    match how:
        case "leave":
            await bob.leave(room_id)
        case "kick":
            await alice.kick(room_id, bob)
        case _:
            await alice.ban(room_id, bob)
    await alice.send(room_id, "nothing for Bob")
    answer = await bob.sync()
    assert answer.event_ids(room_id, "leave")[0] == last
    assert types(answer, room_id, "leave") == ["m.room.message", "m.room.member"]
    assert last_membership(answer, room_id) == (bob.user_id, "ban" if how == "ban" else "leave")
    assert room_id not in answer["rooms"].get("join", {})
    assert "rooms" not in await bob.sync()


async def test_a_left_room_is_limited_and_has_its_gap_too(server: Server) -> None:
    alice, bob, _ = await three(server)
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await bob.sync()
    await alice.set_state(room_id, "m.room.topic", {"topic": "in the gap"})
    for number in range(4):
        await alice.send(room_id, f"message {number}")
    await bob.leave(room_id)
    answer = await bob.sync(filter={"room": {"timeline": {"limit": 2}}})
    assert types(answer, room_id, "leave") == ["m.room.message", "m.room.member"]
    assert answer.room(room_id, "leave")["timeline"]["limited"] is True
    assert [event["type"] for event in answer.room(room_id, "leave")["state"]["events"]] == ["m.room.topic"]


async def test_joined_and_left_between_two_syncs_is_a_left_room_with_its_state(server: Server) -> None:
    alice, bob, _ = await three(server)
    room_id = await alice.create_room(preset="public_chat", name="Kitchen")
    for number in range(12):
        await alice.send(room_id, f"message {number}")
    await bob.sync()
    await bob.join(room_id)
    await bob.leave(room_id)
    await alice.send(room_id, "nothing for Bob")
    answer = await bob.sync()
    assert last_membership(answer, room_id) == (bob.user_id, "leave")
    assert types(answer, room_id, "leave").count("m.room.member") == 2
    assert "m.room.name" in {event["type"] for event in answer.room(room_id, "leave")["state"]["events"]}


async def test_archived_rooms_come_only_when_asked_for(server: Server) -> None:
    alice, bob, _ = await three(server)
    room_id = await alice.create_room(preset="public_chat", name="Kitchen")
    await bob.join(room_id)
    seen = await alice.send(room_id, "for Bob")
    await bob.leave(room_id)
    await alice.send(room_id, "not for Bob")
    await alice.set_state(room_id, "m.room.topic", {"topic": "not for Bob"})
    assert "rooms" not in await bob.sync(since=None)
    leaving: dict[str, Any] = {"room": {"include_leave": True, "timeline": {"limit": 2}}}
    for answer in (await bob.sync(since=None, filter=leaving), await bob.sync(full_state=True, filter=leaving)):
        state = {event["type"] for event in answer.room(room_id, "leave")["state"]["events"]}
        assert "m.room.name" in state
        assert "m.room.topic" not in state
    first = await bob.sync(since=None, filter=leaving)
    assert first.event_ids(room_id, "leave")[0] == seen
    assert last_membership(first, room_id) == (bob.user_id, "leave")
    await bob.post(("rooms", room_id, "forget"))
    assert "rooms" not in await bob.sync(since=None, filter=leaving)


async def test_a_ban_after_leaving_does_not_show_what_was_in_between(server: Server) -> None:
    alice, bob, _ = await three(server)
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await bob.leave(room_id)
    await bob.sync()
    await alice.send(room_id, "not for Bob")
    await alice.ban(room_id, bob)
    answer = await bob.sync()
    assert types(answer, room_id, "leave") == ["m.room.member"]
    assert last_membership(answer, room_id) == (bob.user_id, "ban")
    leaving = {"room": {"include_leave": True}}
    bodies = [e["content"].get("body") for e in (await bob.sync(since=None, filter=leaving)).timeline(room_id, "leave")]
    assert "not for Bob" not in bodies


# -- invites and knocks ------------------------------------------------------------------------------


async def test_an_invite_brings_stripped_state(server: Server) -> None:
    alice, bob, _ = await three(server)
    await bob.sync()
    room_id = await alice.create_room(name="Kitchen", invite=[bob.user_id])
    for answer in (await bob.sync(since=None), await bob.sync(since="s0_0_0_0_0_0_0")):
        stripped = {event["type"]: event for event in answer.room(room_id, "invite")["invite_state"]["events"]}
        assert stripped["m.room.name"]["content"] == {"name": "Kitchen"}
        assert stripped["m.room.create"]["sender"] == alice.user_id
        assert "event_id" not in stripped["m.room.member"]
    assert "rooms" not in await bob.sync()


async def test_an_invite_of_an_ignored_user_is_not_shown(server: Server) -> None:
    _, bob, mallory = await three(server)
    await bob.put(
        ("user", bob.user_id, "account_data", "m.ignored_user_list"), {"ignored_users": {mallory.user_id: {}}}
    )
    await bob.sync()
    await mallory.create_room(name="Trap", invite=[bob.user_id])
    assert "rooms" not in await bob.sync()
    assert "rooms" not in await bob.sync(since=None)


async def test_a_declined_invite_is_a_left_room_with_nothing_in_it(server: Server) -> None:
    alice, bob, _ = await three(server)
    room_id = await alice.create_room(name="Kitchen", invite=[bob.user_id])
    await alice.send(room_id, "not for Bob")
    await bob.sync()
    await bob.leave(room_id)
    answer = await bob.sync()
    assert types(answer, room_id, "leave") == ["m.room.member"]
    assert last_membership(answer, room_id) == (bob.user_id, "leave")
    assert answer.room(room_id, "leave").get("state", {"events": []}) == {"events": []}


async def test_a_knock_shows_the_room_from_outside(server: Server) -> None:
    alice, bob, _ = await three(server)
    knocking = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room_id = await alice.create_room(name="Kitchen", initial_state=[knocking])
    await bob.sync()
    await bob.post(("knock", room_id))
    answer = await bob.sync()
    assert "m.room.name" in {event["type"] for event in answer.room(room_id, "knock")["knock_state"]["events"]}
    await bob.leave(room_id)
    assert last_membership(await bob.sync(), room_id) == (bob.user_id, "leave")
