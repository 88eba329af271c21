"""Sliding sync: lost answers, places that are not known any longer, several connections, extensions, budgets."""

from __future__ import annotations

import asyncio
from typing import Any

from config.settings import Settings
from homeserver.services.sliding_sync.connections import MAX_CONNECTIONS_OF_DEVICE
from tests.cast import Client, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver

UNSTABLE = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
LIST: dict[str, Any] = {
    "ranges": [[0, 19]],
    "timeline_limit": 10,
    "required_state": [
        ["m.room.name", ""],
        ["m.room.create", ""],
        ["m.room.member", "$LAZY"],
        ["m.room.member", "$ME"],
    ],
}
ALL = {name: {"enabled": True} for name in ("to_device", "e2ee", "account_data", "receipts", "typing")}


async def ask(client: Client, pos: str | None = None, *, expect: Any = 200, **body: Any) -> Any:
    return await client.post(UNSTABLE, {"lists": {"all": LIST}, "extensions": ALL, **body}, pos=pos, expect=expect)


async def letter(sender: Client, to: Client, text: str) -> None:
    messages = {to.user_id: {to.device_id: {"body": text}}}
    await sender.put(("sendToDevice", "m.dummy", next(sender.txn_ids)), {"messages": messages})


def letters(answer: Any) -> list[str]:
    return [event["content"]["body"] for event in answer["extensions"]["to_device"]["events"]]


async def room_of_two(alice: Client, bob: Client, **body: Any) -> str:
    room_id = await alice.create_room(preset="public_chat", **body)
    await bob.join(room_id)
    return room_id


async def test_a_lost_answer_comes_again(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await room_of_two(alice, bob)
    pos = (await ask(bob))["pos"]
    first = await alice.send(room_id, "one")
    lost = await ask(bob, pos)
    second = await alice.send(room_id, "two")
    again = await ask(bob, pos)
    assert lost["pos"] != again["pos"]
    assert [event["event_id"] for event in again["rooms"][room_id]["timeline"]] == [first, second]
    # The lost one was not the last: its place leads nowhere.
    await ask(bob, lost["pos"], expect=(400, "M_UNKNOWN_POS"))
    assert (await ask(bob, again["pos"]))["rooms"] == {}
    # A place behind the last confirmed one is gone.
    await ask(bob, pos, expect=(400, "M_UNKNOWN_POS"))


async def test_letters_stay_until_the_device_says_that_it_has_them(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    first = await ask(bob)
    await letter(alice, bob, "a")
    answer = await ask(bob, first["pos"])
    assert letters(answer) == ["a"]
    # A new connection without a place of its own gets it again: nothing was confirmed.
    assert letters(await ask(bob)) == ["a"]
    since = answer["extensions"]["to_device"]["next_batch"]
    confirmed = {**ALL, "to_device": {"enabled": True, "since": since}}
    await letter(alice, bob, "b")
    assert letters(await ask(bob, extensions=confirmed)) == ["b"]
    assert letters(await ask(bob)) == ["b"]
    limited = {**ALL, "to_device": {"enabled": True, "since": since, "limit": 1}}
    await letter(alice, bob, "c")
    page = await ask(bob, extensions=limited)
    assert letters(page) == ["b"]
    limited["to_device"]["since"] = page["extensions"]["to_device"]["next_batch"]
    assert letters(await ask(bob, extensions=limited)) == ["c"]


async def test_two_connections_of_one_device_do_not_disturb_each_other(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await room_of_two(alice, bob)
    rooms = {"conn_id": "room-list", "extensions": {}}
    keys = {
        "conn_id": "encryption",
        "lists": {},
        "extensions": {"e2ee": {"enabled": True}, "to_device": {"enabled": True}},
    }
    list_pos, keys_pos = (await ask(bob, **rooms))["pos"], (await ask(bob, **keys))["pos"]
    await letter(alice, bob, "hello")
    await alice.send(room_id, "hello")
    assert letters(await ask(bob, keys_pos, **keys)) == ["hello"]
    told = await ask(bob, list_pos, **rooms)
    assert told["rooms"].keys() == {room_id}
    assert told["extensions"] == {}
    # The place of one connection is nothing to the other, nor to another device, nor to Mallory.
    await ask(bob, told["pos"], **keys, expect="M_UNKNOWN_POS")
    await ask(await bob.login(), told["pos"], **rooms, expect="M_UNKNOWN_POS")
    await ask(alice, told["pos"], **rooms, expect="M_UNKNOWN_POS")


async def test_after_a_restart_the_client_begins_anew(settings: Settings, database_dsn: str, clock: FakeClock) -> None:
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice = await server.register("alice")
        room_id = await alice.create_room(name="Here")
        pos = (await ask(alice))["pos"]
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice = Client(server.session, server.base_url, alice.user_id, alice.device_id, alice.access_token)
        await ask(alice, pos, expect=(400, "M_UNKNOWN_POS"))
        await ask(alice, "5/s1_2_3", expect=(400, "M_UNKNOWN_POS"))
        assert (await ask(alice))["rooms"][room_id]["name"] == "Here"


async def test_a_device_has_only_so_many_connections(server: Server) -> None:
    alice = await server.register("alice")
    first = (await ask(alice, conn_id="0"))["pos"]
    for number in range(1, MAX_CONNECTIONS_OF_DEVICE + 1):
        last = (await ask(alice, conn_id=str(number)))["pos"]
    await ask(alice, first, conn_id="0", expect="M_UNKNOWN_POS")
    await ask(alice, last, conn_id=str(MAX_CONNECTIONS_OF_DEVICE))
    assert server.application.sliding_sync.sync.memory_usage()["connections"] == MAX_CONNECTIONS_OF_DEVICE


async def test_a_second_request_on_a_connection_ends_the_first(server: Server) -> None:
    alice = await server.register("alice")
    pos = (await ask(alice))["pos"]
    path, body = UNSTABLE, {"lists": {"all": LIST}, "extensions": ALL}
    waiting = asyncio.create_task(alice.post(path, body, pos=pos, timeout=30_000))
    while server.application.base.announcer.waiting < 1:
        await asyncio.sleep(0.001)
    newer = asyncio.create_task(alice.post(path, body, pos=pos, timeout=30_000))
    # It leads back to where it began.
    assert (await asyncio.wait_for(waiting, 10))["pos"] == pos
    room_id = await alice.create_room()
    answer = await asyncio.wait_for(newer, 10)
    assert answer["rooms"].keys() == {room_id}
    await ask(alice, answer["pos"])


async def test_mallory_does_not_wait_on_more_connections_than_he_has(server: Server) -> None:
    mallory = await server.register("mallory")
    engine = server.application.sliding_sync.sync
    waiting = []
    for number in range(MAX_CONNECTIONS_OF_DEVICE + 5):
        body = {"conn_id": f"{number}"}
        pos = (await mallory.post(UNSTABLE, body))["pos"]
        pos = (await mallory.post(UNSTABLE, body, pos=pos))["pos"]
        waiting.append(asyncio.create_task(mallory.post(UNSTABLE, body, pos=pos, timeout=600_000)))
        async with asyncio.timeout(10):
            if number >= MAX_CONNECTIONS_OF_DEVICE:
                await waiting[number - MAX_CONNECTIONS_OF_DEVICE]
            while engine.polls.memory_usage()["polls"] != min(number + 1, MAX_CONNECTIONS_OF_DEVICE):
                await asyncio.sleep(0.01)
    # Who begins anew, or logs out, has given up what waits.
    await mallory.post(UNSTABLE, {"conn_id": f"{MAX_CONNECTIONS_OF_DEVICE}"})
    await asyncio.wait_for(waiting[MAX_CONNECTIONS_OF_DEVICE], 10)
    await mallory.post("logout")
    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert engine.memory_usage() == {"connections": 0, "weight": 0, "devices": 0, "polls": 0}


async def test_keys_and_device_lists(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    keys = {"lists": {}, "extensions": {"e2ee": {"enabled": True}}}
    first = await ask(bob, **keys)
    assert first["extensions"]["e2ee"]["device_one_time_keys_count"] == {"signed_curve25519": 0}
    assert "device_lists" not in first["extensions"]["e2ee"]
    room_id = await room_of_two(alice, bob)
    shared = await ask(bob, first["pos"], **keys)
    assert shared["extensions"]["e2ee"]["device_lists"]["changed"] == [alice.user_id]
    quiet = await ask(bob, shared["pos"], **keys)
    assert "device_lists" not in quiet["extensions"]["e2ee"]
    await bob.leave(room_id)
    gone = await ask(bob, quiet["pos"], **keys)
    assert gone["extensions"]["e2ee"]["device_lists"]["left"] == [alice.user_id]


async def test_typing_and_receipts_of_chosen_rooms(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    rooms = [await room_of_two(alice, bob) for _ in range(2)]
    event_id = await alice.send(rooms[0], "read me")
    await alice.post(("rooms", rooms[0], "receipt", "m.read", event_id))
    await alice.put(("rooms", rooms[0], "typing", alice.user_id), {"typing": True, "timeout": 30_000})
    first = await ask(bob)
    assert first["extensions"]["typing"]["rooms"][rooms[0]]["content"] == {"user_ids": [alice.user_id]}
    assert event_id in first["extensions"]["receipts"]["rooms"][rooms[0]]["content"]
    assert (await ask(bob, first["pos"]))["extensions"].keys() == {"to_device", "e2ee"}
    no_lists = {"typing": {"enabled": True, "lists": [], "rooms": [rooms[1]]}}
    open_rooms = {each: {"timeline_limit": 1, "required_state": []} for each in rooms}
    chosen = {"extensions": no_lists, "room_subscriptions": open_rooms, "conn_id": "chosen"}
    pos = (await ask(bob, **chosen))["pos"]
    for room_id in rooms:
        await alice.put(("rooms", room_id, "typing", alice.user_id), {"typing": True, "timeout": 30_000})
    answer = await ask(bob, pos, **chosen)
    assert answer["extensions"]["typing"]["rooms"].keys() == {rooms[1]}
    await alice.put(("rooms", rooms[1], "typing", alice.user_id), {"typing": False})
    ended = await ask(bob, answer["pos"], **chosen)
    assert ended["extensions"]["typing"]["rooms"][rooms[1]]["content"] == {"user_ids": []}


async def test_account_data_of_rooms_that_come_into_the_window(server: Server) -> None:
    alice = await server.register("alice")
    rooms = [await alice.create_room() for _ in range(2)]
    for room_id in rooms:
        await alice.put(("user", alice.user_id, "rooms", room_id, "account_data", "my.note"), {"of": room_id})
    one = {"lists": {"all": {**LIST, "ranges": [[0, 0]]}}}
    first = await ask(alice, **one)
    assert first["extensions"]["account_data"]["rooms"].keys() == {rooms[1]}
    await alice.send(rooms[0], "up")
    second = await ask(alice, first["pos"], **one)
    (note,) = second["extensions"]["account_data"]["rooms"][rooms[0]]
    assert note["content"] == {"of": rooms[0]}
    assert "global" not in second["extensions"]["account_data"]
    await alice.put(("user", alice.user_id, "account_data", "my.setting"), {"a": 1})
    third = await ask(alice, second["pos"], **one)
    assert [event["type"] for event in third["extensions"]["account_data"]["global"]] == ["my.setting"]


async def test_sticky_events_in_pages(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await room_of_two(alice, bob)
    sticky = {"org.matrix.msc4354.sticky_duration_ms": 600_000}
    sent = []
    for number in range(3):
        path = ("rooms", room_id, "send", "m.custom", f"s{number}")
        sent.append((await alice.request("PUT", path, json={"n": number}, query=sticky))["event_id"])
    for number in range(12):
        await alice.send(room_id, f"so that they are up in history {number}")
    name = "org.matrix.msc4354.sticky_events"
    first = await ask(bob, extensions={name: {"enabled": True, "limit": 2}})
    page = first["extensions"][name]
    assert [event["event_id"] for event in page["rooms"][room_id]["events"]] == sent[:2]
    rest = await ask(bob, first["pos"], extensions={name: {"enabled": True, "since": page["next_batch"]}})
    assert [event["event_id"] for event in rest["extensions"][name]["rooms"][room_id]["events"]] == sent[2:]
    since = rest["extensions"][name]["next_batch"]
    done = await ask(bob, rest["pos"], extensions={name: {"enabled": True, "since": since}})
    assert "rooms" not in done["extensions"][name]


async def stick(client: Client, room_id: str, text: str) -> str:
    path = ("rooms", room_id, "send", "m.custom", text)
    sticky = {"org.matrix.msc4354.sticky_duration_ms": 600_000}
    event_id: str = (await client.request("PUT", path, json={"text": text}, query=sticky))["event_id"]
    return event_id


async def test_sticky_events_of_a_new_room_come_at_once_and_pages_of_others_hold_nobody_up(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    here, there = await room_of_two(alice, bob), await alice.create_room(preset="public_chat")
    name = "org.matrix.msc4354.sticky_events"
    sent = [await stick(alice, there, f"before {number}") for number in range(3)]
    first = await ask(bob, extensions={name: {"enabled": True, "limit": 2}}, lists={})
    assert "rooms" not in first["extensions"][name]
    await bob.join(there)
    since = first["extensions"][name]["next_batch"]
    came = await ask(bob, first["pos"], extensions={name: {"enabled": True, "limit": 2, "since": since}}, lists={})
    assert [event["event_id"] for event in came["extensions"][name]["rooms"][there]["events"]] == sent
    # A page of what an ignored user said is empty, and is followed by the next one without waiting.
    ignored = {"ignored_users": {alice.user_id: {}}}
    await bob.put(("user", bob.user_id, "account_data", "m.ignored_user_list"), ignored)
    for number in range(4):
        await stick(alice, here, f"ignored {number}")
    own = await stick(bob, here, "at last")
    since, found, pos = came["extensions"][name]["next_batch"], [], came["pos"]
    for _ in range(3):
        extensions = {name: {"enabled": True, "limit": 2, "since": since}}
        answer = await bob.post(UNSTABLE, {"lists": {}, "extensions": extensions}, pos=pos, timeout=10_000)
        pos, since = answer["pos"], answer["extensions"][name]["next_batch"]
        found += answer["extensions"][name].get("rooms", {}).get(here, {}).get("events", [])
    assert [event["event_id"] for event in found] == [own]


async def test_what_answers_cost(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    base = server.application.base
    costs = []
    await ask(bob, conn_id="warm")
    rooms: list[str] = []
    for count in (5, 25):
        new = range(len(rooms), count)
        rooms += [await room_of_two(alice, bob, name=f"Room {number}" if number % 2 else None) for number in new]
        for room in list(base.cache._live.values()):
            base.cache.retire(room)
        for user_id in list(base.awake._users):
            base.awake._drop(user_id)
        server.application.sliding_sync.sync.answers.lists.facts._facts.clear()
        before = base.database.statements
        answer = await ask(bob, conn_id=f"c{count}")
        costs.append(base.database.statements - before)
        assert len(answer["rooms"]) == min(count, 20)
    assert costs[0] == costs[1] <= 12
    pos = (await ask(bob, answer["pos"], conn_id="c25"))["pos"]
    before = base.database.statements
    quiet = await ask(bob, pos, conn_id="c25")
    assert base.database.statements == before
    assert quiet["rooms"] == {}
    await alice.send(rooms[3], "hello")
    pos = (await ask(bob, quiet["pos"], conn_id="c25"))["pos"]
    await alice.send(rooms[3], "hello again")
    before = base.database.statements
    told = await ask(bob, pos, conn_id="c25")
    assert told["rooms"].keys() == {rooms[3]}
    assert base.database.statements == before
