"""Ada, the administrator, deletes Mallory's room."""

from __future__ import annotations

import asyncio
from typing import Any

from config.settings import Settings
from homeserver.storage.database import Database
from homeserver.storage.room_tables import AFTER_EVENTS, BY_ROOM
from tests.cast import Client, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver

V1, V2 = "/_synapse/admin/v1", "/_synapse/admin/v2"


async def settled(server: Server) -> None:
    async with asyncio.timeout(20):
        await server.application.moderation.tasks.settled()


async def lively_room(mallory: Client, bob: Client, carol: Client) -> str:
    """A room with rows in many tables; Bob is in it, Carol is invited."""
    room_id = await mallory.create_room(
        preset="public_chat", visibility="public", room_alias_name="bad", invite=[carol.user_id]
    )
    await bob.join(room_id)
    root = await mallory.send(room_id, "hello there")
    await mallory.send(room_id, {"msgtype": "m.text", "body": "bob", "m.mentions": {"user_ids": [bob.user_id]}})
    reply = {"msgtype": "m.text", "body": "in a thread", "m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    await bob.send(room_id, reply)
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "👍"}}
    await bob.redact(room_id, await bob.send(room_id, reaction, "m.reaction"))
    await bob.post(("rooms", room_id, "receipt", "m.read", root), {})
    await bob.put(("user", bob.user_id, "rooms", room_id, "tags", "u.fun"), {"order": 0.5})
    await bob.post(("rooms", room_id, "read_markers"), {"m.fully_read": root})
    return room_id


async def rows_of(database: Database, room_id: str, room_nid: int) -> dict[str, int]:
    """How many rows of the room there are in each table that has some."""
    found = {}
    places = {(table, column) for table, column in (*BY_ROOM, *AFTER_EVENTS)} | {("events", "room_nid")}
    places |= {(table, "room_nid") for table in ("search_entries", "push_actions")}
    for table, column in sorted(places):
        room = room_nid if column == "room_nid" else room_id
        count = await database.fetchval(f"SELECT count(*) FROM {table} WHERE {column} = $1", room)
        if count:
            found[table] = count
    return found


async def number_of(database: Database, room_id: str) -> int:
    number: int = await database.fetchval("SELECT room_nid FROM rooms WHERE room_id = $1", room_id)
    return number


async def test_a_deleted_room_is_gone(server: Server, ada: Client) -> None:
    mallory, bob, carol = [await server.register(name) for name in ("mallory", "bob", "carol")]
    room_id = await lively_room(mallory, bob, carol)
    for each in (bob, carol):
        await each.sync()
    database = server.application.base.database
    number = await number_of(database, room_id)
    assert len(await rows_of(database, room_id, number)) > 8
    answer = await ada.delete(f"{V1}/rooms/{room_id}", {"block": True})
    assert answer == {
        "kicked_users": ["@bob:test", "@carol:test", "@mallory:test"],
        "failed_to_kick_users": [],
        "local_aliases": ["#bad:test"],
        "new_room_id": None,
    }
    # Memberships of those who were in it stay, so that they are told; and nothing else.
    assert await rows_of(database, room_id, number) == {"events": 3, "memberships": 3, "state_changes": 3}
    bodies = [bytes(row[0]) for row in await database.fetch("SELECT body FROM events WHERE room_nid = $1", number)]
    assert not any(b"hello" in body for body in bodies)
    for each in (mallory, bob):
        await each.get(("rooms", room_id, "messages"), dir="b", expect=403)
        await each.get(("rooms", room_id, "state"), expect=403)
        assert room_id not in (await each.get("joined_rooms"))["joined_rooms"]
    await bob.get(("directory", "room", "#bad:test"), expect=404)
    assert (await bob.get("publicRooms"))["chunk"] == []
    await bob.join(room_id, expect=(403, "M_FORBIDDEN"))


async def test_who_was_away_is_told_that_he_is_out(server: Server, ada: Client) -> None:
    mallory, bob, carol = [await server.register(name) for name in ("mallory", "bob", "carol")]
    room_id = await lively_room(mallory, bob, carol)
    assert room_id in (await bob.sync())["rooms"]["join"]
    assert room_id in (await carol.sync())["rooms"]["invite"]
    await ada.delete(f"{V1}/rooms/{room_id}", {})
    for each in (bob, carol):
        answer = await each.sync()
        assert room_id in answer["rooms"]["leave"]
        assert [event["type"] for event in answer.timeline(room_id, "leave")] in ([], ["m.room.member"])
        assert room_id not in str((await each.sync()).get("rooms", {}))
    fresh = await bob.login()
    assert room_id not in str((await fresh.sync()).get("rooms", {}))
    assert room_id not in str((await fresh.sync(since=None, filter={"room": {"include_leave": True}})).get("rooms", {}))
    await bob.post(("rooms", room_id, "forget"), {})


async def test_people_and_names_move_to_a_new_room(server: Server, ada: Client) -> None:
    mallory, bob, carol = [await server.register(name) for name in ("mallory", "bob", "carol")]
    room_id = await lively_room(mallory, bob, carol)
    answer = await ada.delete(
        f"{V1}/rooms/{room_id}",
        {"new_room_user_id": ada.user_id, "room_name": "Closed", "message": "It was bad.", "purge": False},
    )
    new = answer["new_room_id"]
    assert (await bob.get(("directory", "room", "#bad:test")))["room_id"] == new
    assert (await bob.state(new, "m.room.name"))["name"] == "Closed"
    assert [
        event["content"]["body"] for event in (await bob.messages(new, filter='{"types":["m.room.message"]}'))["chunk"]
    ] == ["It was bad."]
    await bob.put(("rooms", new, "send", "m.room.message", "t"), {"msgtype": "m.text", "body": "x"}, expect=403)
    members = (await ada.get(("rooms", new, "joined_members")))["joined"]
    assert sorted(members) == [ada.user_id, bob.user_id, mallory.user_id]
    # Not purged, not blocked: who was in it reads what he has seen, and may come back.
    assert (await bob.get(("rooms", room_id, "messages"), dir="b"))["chunk"]
    await bob.join(room_id)


async def test_version_two_tells_how_far_it_is(server: Server, ada: Client) -> None:
    mallory, bob = await server.register("mallory"), await server.register("bob")
    room_id = await mallory.create_room(preset="public_chat")
    await bob.join(room_id)
    delete_id = (await ada.delete(f"{V2}/rooms/{room_id}", {"block": False}))["delete_id"]
    await settled(server)
    status = await ada.get(f"{V2}/rooms/delete_status/{delete_id}")
    assert status == {
        "delete_id": delete_id,
        "room_id": room_id,
        "status": "complete",
        "shutdown_room": {
            "kicked_users": ["@bob:test", "@mallory:test"],
            "failed_to_kick_users": [],
            "local_aliases": [],
            "new_room_id": None,
        },
    }
    assert await ada.get(f"{V2}/rooms/{room_id}/delete_status") == {"results": [status]}
    assert await ada.get(f"{V2}/rooms/!other:test/delete_status") == {"results": []}
    await ada.get(f"{V2}/rooms/delete_status/nothing", expect=(404, "M_NOT_FOUND"))
    # What is left of it can be deleted, too.
    await ada.delete(f"{V1}/rooms/{room_id}", {})


async def test_nobody_comes_in_while_a_room_is_deleted_and_a_restart_goes_on(
    database_dsn: str, clock: FakeClock, settings: Settings
) -> None:
    async with running_homeserver(settings, database_dsn, clock) as server:
        ada = await server.administrator()
        mallory, bob = await server.register("mallory"), await server.register("bob")
        room_id = await mallory.create_room(preset="public_chat")
        tasks = server.application.moderation.tasks
        await tasks.stop()  # from here on nothing is done: as if the server were killed
        delete_id = (await ada.delete(f"{V2}/rooms/{room_id}", {}))["delete_id"]
        await bob.join(room_id, expect=(403, "M_FORBIDDEN"))
        await ada.delete(f"{V2}/rooms/{room_id}", {}, expect=(400, "M_UNKNOWN"))
        assert (await ada.get(f"{V2}/rooms/delete_status/{delete_id}"))["status"] == "scheduled"
    async with running_homeserver(settings, database_dsn, clock) as server:
        await settled(server)
        database = server.application.base.database
        number = await number_of(database, room_id)
        assert set(await rows_of(database, room_id, number)) == {"events", "memberships", "state_changes"}
        status = await database.fetchval("SELECT status FROM long_tasks WHERE task_id = $1", delete_id)
        assert status == "complete"


async def test_each_step_may_be_done_twice(server: Server, ada: Client) -> None:
    mallory, bob, carol = [await server.register(name) for name in ("mallory", "bob", "carol")]
    room_id = await lively_room(mallory, bob, carol)
    tasks = server.application.moderation.tasks
    handler = tasks.handlers["delete_room"]
    await tasks.stop()
    await ada.delete(f"{V2}/rooms/{room_id}", {})
    task = tasks.unfinished("delete_room")[0]
    done = False
    for _ in range(200):
        before = dict(task.progress)
        await handler.step(task)  # and the server is killed before the word of it is stored
        task.progress.clear()
        task.progress.update(before)
        done = (await handler.step(task)).done
        if done:
            break
    assert done
    database = server.application.base.database
    left = await rows_of(database, room_id, await number_of(database, room_id))
    assert set(left) == {"events", "memberships", "state_changes"}


async def test_of_two_orders_at_once_one_is_done(server: Server, ada: Client) -> None:
    room_id = await ada.create_room()
    orders = [ada.raw("DELETE", f"{V2}/rooms/{room_id}", data=b"{}") for _ in range(5)]
    answers = await asyncio.gather(*orders)
    await settled(server)
    assert sorted(answer.status for answer in answers)[0] == 200
    results = (await ada.get(f"{V2}/rooms/{room_id}/delete_status"))["results"]
    assert len(results) == [answer.status for answer in answers].count(200)
    assert all(result["status"] == "complete" for result in results)


async def test_an_unknown_room_is_only_blocked(server: Server, ada: Client) -> None:
    room_id = "!evil:elsewhere.example"
    await ada.delete(f"{V1}/rooms/{room_id}", {}, expect=(400, "M_INVALID_PARAM"))
    answer = await ada.delete(f"{V1}/rooms/{room_id}", {"block": True})
    assert answer["kicked_users"] == []
    assert (await ada.get(f"{V1}/rooms/{room_id}/block"))["block"]


async def test_nonsense_deletes_nothing(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    bodies: list[Any] = [
        {"new_room_user_id": "@nobody:test"}, {"new_room_user_id": "@ada:elsewhere.example"}, {"new_room_user_id": "ada"},
        {"new_room_user_id": 5}, {"block": "yes"}, {"purge": 1}, {"room_name": "x" * 256}, {"message": "x" * 10_001}, [],
    ]  # fmt: skip
    for body in bodies:
        await ada.delete(f"{V1}/rooms/{room_id}", body, expect=400)
        await ada.delete(f"{V2}/rooms/{room_id}", body, expect=400)
    await settled(server)
    await alice.send(room_id, "still here")


async def test_only_administrators_may(server: Server) -> None:
    mallory = await server.register("mallory")
    room_id = await mallory.create_room()
    for method, path in (
        ("DELETE", f"{V1}/rooms/{room_id}"), ("DELETE", f"{V2}/rooms/{room_id}"), ("GET", f"{V2}/rooms/{room_id}/delete_status"),
        ("GET", f"{V2}/rooms/delete_status/x"), ("POST", f"{V1}/purge_history/{room_id}"),
        ("POST", f"{V1}/purge_history/{room_id}/$event"), ("GET", f"{V1}/purge_history_status/x"),
    ):  # fmt: skip
        await mallory.request(method, path, json={}, expect=(403, "M_FORBIDDEN"))


async def test_old_messages_go_and_state_stays(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(name="Tea")
    old = [await alice.send(room_id, f"old {number}") for number in range(5)]
    await alice.set_state(room_id, "m.room.topic", {"topic": "leaves"})
    server.clock.advance(hours=1)
    kept = await alice.send(room_id, "kept")
    last = await alice.send(room_id, "last")
    purge_id = (await ada.post(f"{V1}/purge_history/{room_id}/{kept}", {"delete_local_events": True}))["purge_id"]
    await settled(server)
    assert await ada.get(f"{V1}/purge_history_status/{purge_id}") == {"status": "complete"}
    found = [event["event_id"] for event in (await alice.messages(room_id, limit=100))["chunk"]]
    assert found == [last, kept]
    top = (await alice.messages(room_id, limit=100))["end"]
    before = await alice.messages(room_id, **{"from": top})
    assert (before["chunk"], "end" in before) == ([], False)
    await alice.get(("rooms", room_id, "event", old[0]), expect=404)
    fresh = await (await alice.login()).sync()
    assert fresh.event_ids(room_id) == [kept, last]
    assert {"m.room.create", "m.room.member", "m.room.name", "m.room.topic"} <= {
        event["type"] for event in fresh.room(room_id)["state"]["events"]
    }
    assert (await alice.state(room_id, "m.room.name"))["name"] == "Tea"
    assert (await alice.state(room_id, "m.room.topic"))["topic"] == "leaves"
    await alice.send(room_id, "and on it goes")


async def test_the_last_message_stays_and_those_of_our_users_are_kept_where_nothing_else_is_said(
    server: Server, ada: Client
) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    first, last = await alice.send(room_id, "first"), await alice.send(room_id, "last")
    server.clock.advance(hours=1)
    now = server.clock.now_ms()
    database = server.application.base.database
    for local_too, stored in ((False, 1), (True, 0)):
        wish = {"purge_up_to_ts": now, "delete_local_events": local_too}
        await ada.post(f"{V1}/purge_history/{room_id}", wish)
        await settled(server)
        await alice.get(("rooms", room_id, "event", first), expect=404)
        assert await database.fetchval("SELECT count(*) FROM events WHERE event_id = $1", first) == stored
        await alice.get(("rooms", room_id, "event", last))


async def test_what_was_purged_is_not_unread(server: Server, ada: Client) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await bob.sync()
    sent = [await alice.send(room_id, str(number)) for number in range(5)]
    assert (await bob.sync()).room(room_id)["unread_notifications"]["notification_count"] == 5
    await ada.post(f"{V1}/purge_history/{room_id}/{sent[-1]}", {})
    await settled(server)
    await alice.send(room_id, "new")
    assert (await bob.sync()).room(room_id)["unread_notifications"]["notification_count"] == 2


async def test_everything_that_is_older_goes_and_mallorys_clock_moves_nothing(
    server: Server, ada: Client, clock: FakeClock
) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.send(room_id, "old")
    clock.advance(hours=1)
    now = clock.now_ms()
    kept = [await alice.send(room_id, "new"), await alice.send(room_id, "newer")]
    database = server.application.base.database
    await database.execute("UPDATE events SET origin_server_ts = 0 WHERE event_id = $1", kept[1])
    await ada.post(f"{V1}/purge_history/{room_id}", {"purge_up_to_ts": now, "delete_local_events": True})
    await settled(server)
    assert [event["event_id"] for event in (await alice.messages(room_id))["chunk"]] == kept[::-1]
    # Whoever comes later learns who is in it, and may speak.
    bob = await server.register("bob")
    await alice.invite(room_id, bob.user_id)
    await bob.join(room_id)
    await bob.send(room_id, "hello")
    assert set((await bob.get(("rooms", room_id, "joined_members")))["joined"]) == {alice.user_id, bob.user_id}


async def test_nonsense_purges_nothing(ada: Client) -> None:
    room_id = await ada.create_room()
    bodies: list[tuple[dict[str, Any], int]] = [
        ({}, 400), ({"purge_up_to_ts": 0}, 404), ({"purge_up_to_ts": "now"}, 400), ({"purge_up_to_event_id": "$no"}, 404),
        ({"purge_up_to_event_id": 7}, 400), ({"purge_up_to_ts": 2**63}, 400), ({"purge_up_to_ts": -(2**63) - 1}, 400),
        ({"delete_local_events": "x", "purge_up_to_ts": 1}, 400), ({"purge_up_to_event_id": "\x00"}, 400),
    ]  # fmt: skip
    for body, expect in bodies:
        await ada.post(f"{V1}/purge_history/{room_id}", body, expect=expect)
    await ada.post(f"{V1}/purge_history/!nowhere:test", {"purge_up_to_ts": 1}, expect=404)
