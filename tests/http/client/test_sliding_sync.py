"""Sliding sync as Element X asks for it: the room list, rooms that move, invitations, rooms that are opened and left."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.cast import Client, Server

UNSTABLE = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
REQUIRED = [
    ["m.room.name", ""],
    ["m.room.encryption", ""],
    ["m.room.member", "$LAZY"],
    ["m.room.member", "$ME"],
    ["m.room.topic", ""],
    ["m.room.avatar", ""],
    ["m.room.canonical_alias", ""],
    ["m.room.power_levels", ""],
    ["org.matrix.msc3401.call.member", "*"],
    ["m.room.join_rules", ""],
    ["m.room.tombstone", ""],
    ["m.room.create", ""],
    ["m.room.history_visibility", ""],
    ["io.element.functional_members", ""],
    ["m.space.parent", "*"],
    ["m.space.child", "*"],
    ["org.matrix.msc3672.beacon_info", "*"],
]
EXTENSIONS = {
    "account_data": {"enabled": True},
    "receipts": {"enabled": True, "rooms": ["*"]},
    "typing": {"enabled": True},
}


def all_rooms(last: int = 19, timeline_limit: int = 1, **filters: Any) -> dict[str, Any]:
    """Element X's list `all_rooms`."""
    wanted = {"ranges": [[0, last]], "timeline_limit": timeline_limit, "required_state": REQUIRED}
    return {"all_rooms": {**wanted, "filters": filters} if filters else wanted}


def opened(*room_ids: str, timeline_limit: int = 20) -> dict[str, Any]:
    """Subscriptions to rooms that are open on the screen."""
    required = [*REQUIRED, ["m.room.pinned_events", ""]]
    return {room_id: {"timeline_limit": timeline_limit, "required_state": required} for room_id in room_ids}


@dataclass(slots=True)
class Sliding:
    """One connection of one device."""

    client: Client
    conn_id: str = "room-list"
    pos: str | None = None
    body: dict[str, Any] = field(default_factory=lambda: {"lists": all_rooms(), "extensions": EXTENSIONS})

    async def __call__(self, timeout: int = 0, **changes: Any) -> Any:
        """The next answer; `changes` stay part of the request."""
        self.body.update(changes)
        answer = await self.again(timeout)
        self.pos = answer["pos"]
        return answer

    async def again(self, timeout: int = 0, *, expect: Any = 200) -> Any:
        """The same request, as if its answer had been lost."""
        body = {"conn_id": self.conn_id, **self.body}
        return await self.client.post(UNSTABLE, body, timeout=timeout, pos=self.pos, expect=expect)


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["event_id"] for event in events]


def keys(events: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(event["type"], event["state_key"]) for event in events}


async def rooms_with_bob(alice: Client, bob: Client, count: int) -> list[str]:
    """Rooms in order of activity, the quietest first."""
    rooms = []
    for number in range(count):
        room_id = await alice.create_room(preset="public_chat", name=f"Room {number}")
        await bob.join(room_id)
        await alice.send(room_id, f"hello in {number}")
        rooms.append(room_id)
    return rooms


async def test_a_new_user_sees_an_empty_list_and_his_push_rules(server: Server) -> None:
    alice = await server.register("alice")
    answer = await Sliding(alice)()
    assert answer["lists"] == {"all_rooms": {"count": 0}}
    assert answer["rooms"] == {}
    assert [event["type"] for event in answer["extensions"]["account_data"]["global"]] == ["m.push_rules"]
    flags = (await alice.get("/_matrix/client/versions"))["unstable_features"]
    assert flags["org.matrix.simplified_msc3575"] is True


async def test_the_first_window_has_the_twenty_most_recent_of_thirty_rooms(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    rooms = await rooms_with_bob(alice, bob, 30)
    phone = Sliding(bob)
    first = await phone()
    assert first["lists"]["all_rooms"]["count"] == 30
    assert first["rooms"].keys() == set(rooms[10:])
    room = first["rooms"][rooms[29]]
    assert room["initial"] is True
    assert room["name"] == "Room 29"
    assert room["limited"] is True
    assert room["num_live"] == 0
    assert [event["content"]["body"] for event in room["timeline"]] == ["hello in 29"]
    assert (room["joined_count"], room["invited_count"]) == (2, 0)
    assert (room["notification_count"], room["highlight_count"]) == (1, 0)
    wanted = {("m.room.create", ""), ("m.room.name", ""), ("m.room.power_levels", ""), ("m.room.join_rules", "")}
    members = {("m.room.member", alice.user_id), ("m.room.member", bob.user_id)}
    assert keys(room["required_state"]) == wanted | members | {("m.room.history_visibility", "")}
    order = [first["rooms"][room_id]["bump_stamp"] for room_id in rooms[10:]]
    assert order == sorted(order)
    page = await bob.messages(rooms[29], **{"from": room["prev_batch"]})
    assert ids(room["timeline"])[0] not in ids(page["chunk"])
    # The list grows: only what is new in it is sent.
    second = await phone(lists=all_rooms(99))
    assert second["rooms"].keys() == set(rooms[:10])


async def test_a_message_brings_a_room_back_into_the_window(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    rooms = await rooms_with_bob(alice, bob, 4)
    phone = Sliding(bob, body={"lists": all_rooms(1), "extensions": EXTENSIONS})
    assert (await phone())["rooms"].keys() == {rooms[2], rooms[3]}
    event_id = await alice.send(rooms[0], "anybody here?")
    moved = await phone()
    assert moved["rooms"].keys() == {rooms[0]}
    room = moved["rooms"][rooms[0]]
    assert room["initial"] is True
    assert ids(room["timeline"]) == [event_id]
    assert room["num_live"] == 1
    # The room that it pushed out says something, and is told from where the client was.
    missed = await alice.send(rooms[2], "and here?")
    back = (await phone())["rooms"][rooms[2]]
    assert "initial" not in back
    assert ids(back["timeline"]) == [missed]
    assert back["limited"] is False
    assert "required_state" not in back


async def test_a_new_message_is_told_alone_and_once(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    (room_id,) = await rooms_with_bob(alice, bob, 1)
    phone = Sliding(bob)
    await phone()
    event_id = await alice.send(room_id, "news")
    room = (await phone())["rooms"][room_id]
    assert ids(room["timeline"]) == [event_id]
    assert room["bump_stamp"] > 0
    assert "name" not in room
    assert "joined_count" not in room
    assert (await phone())["rooms"] == {}


async def test_an_invitation_is_shown_and_accepted(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    phone = Sliding(bob)
    await phone()
    room_id = await alice.create_room(preset="private_chat", name="Secret", invite=[bob.user_id])
    invited = (await phone())["rooms"][room_id]
    assert invited["initial"] is True
    assert {event["type"] for event in invited["invite_state"]} >= {"m.room.name", "m.room.member", "m.room.create"}
    assert "timeline" not in invited
    assert "required_state" not in invited
    await bob.join(room_id)
    joined = (await phone())["rooms"][room_id]
    assert joined["initial"] is True
    assert joined["name"] == "Secret"
    assert ("m.room.member", bob.user_id) in keys(joined["required_state"])


async def test_leaving_is_told_once_and_rooms_left_are_listed_no_more(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    rooms = await rooms_with_bob(alice, bob, 2)
    phone = Sliding(bob)
    await phone()
    await bob.leave(rooms[0])
    await alice.send(rooms[0], "he is gone")
    told = (await phone())["rooms"][rooms[0]]
    assert [event["content"]["membership"] for event in told["required_state"]] == ["leave"]
    assert [event["type"] for event in told["timeline"]] == ["m.room.member"]
    after = await phone()
    assert after["rooms"] == {}
    await alice.send(rooms[1], "still here")
    assert (await phone())["lists"]["all_rooms"]["count"] == 1
    assert (await Sliding(bob, "another")())["rooms"].keys() == {rooms[1]}


async def test_a_declined_invitation_is_told(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="private_chat", invite=[bob.user_id])
    phone = Sliding(bob)
    assert "invite_state" in (await phone())["rooms"][room_id]
    await bob.leave(room_id)
    told = (await phone())["rooms"][room_id]
    assert [event["content"]["membership"] for event in told["required_state"]] == ["leave"]
    assert (await phone())["rooms"] == {}


async def test_who_was_thrown_out_finds_the_room_on_a_new_device(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = (await rooms_with_bob(alice, bob, 1))[0]
    never_in = await alice.create_room(preset="public_chat")
    await alice.ban(never_in, bob)
    await alice.kick(room_id, bob)
    await alice.send(room_id, "not for Bob")
    phone = Sliding(bob, body={"lists": all_rooms(timeline_limit=5)})
    first = await phone()
    assert first["rooms"].keys() == {room_id}
    room = first["rooms"][room_id]
    assert room["timeline"][-1]["content"]["membership"] == "leave"
    assert "not for Bob" not in str(room)
    assert (await phone())["rooms"] == {}


async def test_who_was_banned_from_where_he_never_was_finds_nothing(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room()
    # What somebody else writes into an invitation makes nobody a member.
    content = {"membership": "invite", "org.example": {"membership": "join"}}
    await alice.set_state(room_id, "m.room.member", content, state_key=bob.user_id)
    await alice.ban(room_id, bob)
    assert (await Sliding(bob, body={"lists": all_rooms()})())["rooms"] == {}


async def test_an_opened_room_gets_its_last_page_at_once(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    (room_id,) = await rooms_with_bob(alice, bob, 1)
    sent = [await alice.send(room_id, f"message {number}") for number in range(5)]
    phone = Sliding(bob)
    assert ids((await phone())["rooms"][room_id]["timeline"]) == sent[-1:]
    room = (await phone(room_subscriptions=opened(room_id, timeline_limit=4)))["rooms"][room_id]
    assert room["unstable_expanded_timeline"] is True
    assert ids(room["timeline"]) == sent[-4:]
    assert room["num_live"] == 0
    assert "initial" not in room
    # Closed, and opened again: the client has that page.
    assert (await phone(room_subscriptions={}))["rooms"] == {}
    assert (await phone(room_subscriptions=opened(room_id, timeline_limit=4)))["rooms"] == {}


async def test_more_required_state_is_sent_when_it_is_asked_for(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    (room_id,) = await rooms_with_bob(alice, bob, 1)
    await alice.set_state(room_id, "m.room.pinned_events", {"pinned": ["$a"]})
    phone = Sliding(bob)
    await phone()
    room = (await phone(room_subscriptions=opened(room_id, timeline_limit=1)))["rooms"][room_id]
    assert keys(room["required_state"]) == {("m.room.pinned_events", "")}
    await alice.set_state(room_id, "m.room.pinned_events", {"pinned": ["$b"]})
    changed = (await phone())["rooms"][room_id]
    assert changed["required_state"][0]["content"] == {"pinned": ["$b"]}


async def test_mallory_cannot_open_a_room_that_she_is_not_in(server: Server) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    secret = await alice.create_room(preset="private_chat")
    phone = Sliding(mallory, body={"room_subscriptions": opened(secret, "!nowhere:test")})
    assert (await phone())["rooms"] == {}


async def test_an_encrypted_room_tells_its_members_as_they_speak(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    carol = await server.register("carol")
    encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
    room_id = await alice.create_room(preset="public_chat", initial_state=[encryption])
    await bob.join(room_id)
    await carol.join(room_id)
    secret = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x"}
    await alice.send(room_id, secret, "m.room.encrypted")
    phone = Sliding(bob)
    members = keys((await phone())["rooms"][room_id]["required_state"])
    assert ("m.room.encryption", "") in members
    assert ("m.room.member", alice.user_id) in members
    assert ("m.room.member", carol.user_id) not in members
    await carol.send(room_id, secret, "m.room.encrypted")
    # The first answer is lost: the member comes again.
    lost = (await phone.again())["rooms"][room_id]
    told = (await phone())["rooms"][room_id]
    assert keys(lost["required_state"]) == keys(told["required_state"]) == {("m.room.member", carol.user_id)}
    await carol.send(room_id, secret, "m.room.encrypted")
    assert "required_state" not in (await phone())["rooms"][room_id]
    await carol.put(("profile", carol.user_id, "displayname"), {"displayname": "Caroline"})
    renamed = (await phone())["rooms"][room_id]
    assert [event["content"]["displayname"] for event in renamed["required_state"]] == ["Caroline"]


async def test_a_room_without_a_name_is_known_by_its_heroes(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="private_chat", invite=[bob.user_id], is_direct=True)
    await bob.join(room_id)
    phone = Sliding(alice)
    assert (await phone())["rooms"][room_id]["heroes"] == [{"user_id": bob.user_id, "displayname": "bob"}]
    await alice.put(("user", alice.user_id, "account_data", "m.direct"), {bob.user_id: [room_id]})
    marked = await phone()
    assert marked["rooms"][room_id]["is_dm"] is True
    assert "timeline" not in marked["rooms"][room_id]
    named = await alice.set_state(room_id, "m.room.name", {"name": "Two"})
    room = (await phone())["rooms"][room_id]
    assert ids(room["timeline"]) == [named["event_id"]]
    assert room["name"] == "Two"


async def test_own_receipts_on_another_device_change_the_counts(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    (room_id,) = await rooms_with_bob(alice, bob, 1)
    event_id = await alice.send(room_id, "unread")
    phone = Sliding(bob)
    assert (await phone())["rooms"][room_id]["notification_count"] == 2
    await bob.post(("rooms", room_id, "receipt", "m.read", event_id))
    answer = await phone()
    assert answer["rooms"][room_id]["notification_count"] == 0
    assert "timeline" not in answer["rooms"][room_id]
    assert event_id in answer["extensions"]["receipts"]["rooms"][room_id]["content"]


async def test_a_message_ends_the_wait_and_what_happens_elsewhere_does_not(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    rooms = await rooms_with_bob(alice, bob, 2)
    phone = Sliding(bob, body={"room_subscriptions": opened(rooms[0])})
    await phone()
    waiting = asyncio.create_task(phone(timeout=30_000))
    while server.application.base.announcer.waiting < 1:
        await asyncio.sleep(0.001)
    await alice.send(rooms[1], "not on the screen")
    await asyncio.sleep(0.02)
    assert not waiting.done()
    event_id = await alice.send(rooms[0], "on the screen")
    answer = await asyncio.wait_for(waiting, 10)
    assert ids(answer["rooms"][rooms[0]]["timeline"]) == [event_id]
    assert answer["rooms"].keys() == {rooms[0]}
    quiet = asyncio.create_task(phone(timeout=30_000))
    while server.application.base.announcer.waiting < 1:
        await asyncio.sleep(0.001)
    server.clock.advance(ms=31_000)
    assert (await asyncio.wait_for(quiet, 10))["rooms"] == {}
