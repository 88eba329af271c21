"""GET /sync: everything that is not an event of a room's timeline."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server

THREADED: dict[str, Any] = {"room": {"timeline": {"unread_thread_notifications": True}}}


async def two_in_a_room(server: Server) -> tuple[Client, Client, str]:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await alice.sync()
    await bob.sync()
    return alice, bob, room_id


def presences(answer: dict[str, Any]) -> dict[str, str]:
    events = answer.get("presence", {}).get("events", [])
    return {event["sender"]: event["content"]["presence"] for event in events}


async def test_typing_begins_and_ends(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    path = ("rooms", room_id, "typing", bob.user_id)
    await bob.put(path, {"typing": True, "timeout": 20_000})
    assert (await alice.sync()).ephemeral(room_id, "m.typing") == [{"user_ids": [bob.user_id]}]
    assert (await alice.sync(since=None)).ephemeral(room_id, "m.typing") == [{"user_ids": [bob.user_id]}]
    await bob.put(path, {"typing": False})
    assert (await alice.sync()).ephemeral(room_id, "m.typing") == [{"user_ids": []}]
    assert (await alice.sync(since=None)).ephemeral(room_id, "m.typing") == [{"user_ids": []}]
    unwanted = {"room": {"ephemeral": {"not_types": ["m.typing"]}}}
    await bob.put(path, {"typing": True})
    assert "rooms" not in await alice.sync(filter=unwanted)


async def test_a_receipt_reaches_the_others_and_clears_what_was_unread(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    event_id = await alice.send(room_id, "hello")
    unread = (await bob.sync()).room(room_id)["unread_notifications"]
    assert unread == {"notification_count": 1, "highlight_count": 0}
    await alice.sync()
    await bob.post(("rooms", room_id, "receipt", "m.read", event_id))
    (content,) = (await alice.sync()).ephemeral(room_id, "m.receipt")
    assert bob.user_id in content[event_id]["m.read"]
    answer = await bob.sync(filter={"room": {"ephemeral": {"types": []}}})
    assert answer.room(room_id)["unread_notifications"] == {"notification_count": 0, "highlight_count": 0}
    assert bob.user_id in (await alice.sync(since=None)).ephemeral(room_id, "m.receipt")[0][event_id]["m.read"]


async def test_threads_are_counted_apart_when_asked_for(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    root = await alice.send(room_id, "root")
    relation = {"rel_type": "m.thread", "event_id": root}
    await alice.send(room_id, {"msgtype": "m.text", "body": "in the thread", "m.relates_to": relation})
    room = (await bob.sync(filter=THREADED)).room(room_id)
    assert room["unread_notifications"] == {"notification_count": 1, "highlight_count": 0}
    assert room["unread_thread_notifications"] == {root: {"notification_count": 1, "highlight_count": 0}}
    room = (await bob.sync(since=None)).room(room_id)
    assert room["unread_notifications"] == {"notification_count": 2, "highlight_count": 0}
    assert "unread_thread_notifications" not in room


async def test_account_data_of_the_user_and_of_a_room(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await alice.put(("user", alice.user_id, "account_data", "org.example.theme"), {"dark": True})
    await alice.put(("user", alice.user_id, "rooms", room_id, "account_data", "org.example.note"), {"x": 1})
    await alice.put(("user", alice.user_id, "rooms", room_id, "tags", "m.favourite"), {"order": 0.5})
    for answer in (await alice.sync(), await alice.sync(since=None)):
        assert answer.account_data("org.example.theme") == {"dark": True}
        assert answer.account_data("org.example.note", room_id) == {"x": 1}
        assert "m.favourite" in answer.account_data("m.tag", room_id)["tags"]
    assert (await alice.sync(since=None)).account_data("m.push_rules")["global"]
    assert "account_data" not in await bob.sync()
    wanted = {"account_data": {"types": ["org.example.*"]}, "room": {"account_data": {"not_types": ["m.tag"]}}}
    answer = await alice.sync(since=None, filter=wanted)
    assert [event["type"] for event in answer["account_data"]["events"]] == ["org.example.theme"]
    assert answer.account_data("m.tag", room_id) is None


async def test_presence_of_those_who_share_a_room(server: Server) -> None:
    alice, bob, _ = await two_in_a_room(server)
    mallory = await server.register("mallory")
    await mallory.sync()
    server.clock.advance(seconds=2)
    await bob.put(("presence", bob.user_id, "status"), {"presence": "unavailable", "status_msg": "away"})
    seen = presences(await alice.sync())
    assert seen[bob.user_id] == "unavailable"
    assert mallory.user_id not in seen
    assert presences(await alice.sync(since=None))[bob.user_id] == "unavailable"
    assert presences(await alice.sync(since=None, filter={"presence": {"not_senders": [bob.user_id]}})).keys() == {
        alice.user_id
    }
    assert bob.user_id not in presences(await alice.sync())


async def test_presence_of_whoever_newly_shares_a_room(server: Server) -> None:
    alice, _, room_id = await two_in_a_room(server)
    dave = await server.register("dave")
    await dave.sync()
    server.clock.advance(seconds=2)
    await alice.sync()
    await dave.join(room_id)
    assert presences(await alice.sync())[dave.user_id] == "online"
    assert alice.user_id in presences(await dave.sync())
    assert dave.user_id not in presences(await alice.sync())


async def test_messages_to_a_device_stay_until_a_token_says_they_arrived(server: Server) -> None:
    alice, bob, _ = await two_in_a_room(server)
    messages = {bob.user_id: {bob.device_id: {"number": 1}}}
    await alice.put(("sendToDevice", "org.example.hello", "t1"), {"messages": messages})
    before = bob.next_batch
    for _ in range(2):
        answer = await bob.sync(since=before)
        assert [event["content"] for event in answer.to_device("org.example.hello")] == [{"number": 1}]
    assert (await bob.sync()).to_device() == []
    assert (await bob.sync(since=None)).to_device() == []


async def test_many_messages_to_a_device_come_in_several_answers(server: Server) -> None:
    alice, bob, _ = await two_in_a_room(server)
    for number in range(130):
        messages = {bob.user_id: {bob.device_id: {"number": number}}}
        await alice.put(("sendToDevice", "org.example.hello", f"t{number}"), {"messages": messages})
    numbers = []
    for expected in (100, 30, 0):
        events = (await bob.sync()).to_device()
        assert len(events) == expected
        numbers += [event["content"]["number"] for event in events]
    assert numbers == list(range(130))


async def test_a_user_who_comes_is_changed_and_one_who_goes_is_left(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    dave = await server.register("dave")
    await dave.sync()
    await dave.join(room_id)
    assert (await alice.sync())["device_lists"]["changed"] == [dave.user_id]
    assert set((await dave.sync())["device_lists"]["changed"]) == {alice.user_id, bob.user_id}
    other = await alice.create_room(preset="public_chat")
    await bob.join(other)
    await alice.sync()
    await dave.leave(room_id)
    await bob.leave(room_id)
    # Bob still shares the other room.
    before = alice.next_batch
    for _ in range(2):
        assert (await alice.sync(since=before))["device_lists"] == {"left": [dave.user_id]}
    assert set((await dave.sync())["device_lists"]["left"]) == {alice.user_id, bob.user_id}


async def test_an_invited_user_is_changed_for_people_will_encrypt_for_him(server: Server) -> None:
    alice, _, room_id = await two_in_a_room(server)
    dave = await server.register("dave")
    before = alice.next_batch
    await alice.invite(room_id, dave)
    for since in (before, before):
        assert (await alice.sync(since=since))["device_lists"] == {"changed": [dave.user_id]}
    await dave.leave(room_id)
    assert "changed" not in (await alice.sync()).get("device_lists", {})


async def test_a_new_name_is_no_change_of_a_device_list(server: Server) -> None:
    alice, bob, _ = await two_in_a_room(server)
    await bob.put(("profile", bob.user_id, "displayname"), {"displayname": "Robert"})
    assert "device_lists" not in await alice.sync()
    await bob.put(("devices", bob.device_id), {"display_name": "Phone"})
    assert (await alice.sync())["device_lists"]["changed"] == [bob.user_id]
