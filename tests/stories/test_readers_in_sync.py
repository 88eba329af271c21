"""What readers see of each other and of themselves through /sync: receipts, typing, presence, counts, settings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from tests.cast import Client, Server, SyncAnswer


async def _room(server: Server) -> tuple[Client, Client, str]:
    """Bob's room; Alice is in it and both have synced."""
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await bob.create_room(preset="public_chat")
    await alice.join(room_id)
    for client in (alice, bob):
        await client.sync()
    return alice, bob, room_id


async def _while_waiting(reader: Client, action: Awaitable[Any]) -> SyncAnswer:
    """The answer to a sync that was waiting when something happened."""
    waiting = asyncio.create_task(reader.sync(timeout=60_000))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await action
    return await asyncio.wait_for(waiting, 10)


def _unread(answer: SyncAnswer, room_id: str) -> tuple[int, int]:
    counts = answer.room(room_id)["unread_notifications"]
    return counts["notification_count"], counts["highlight_count"]


async def test_a_message_arrives_with_its_count(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    answer = await _while_waiting(alice, bob.send(room_id, "one"))
    assert _unread(answer, room_id) == (1, 0)
    mention = {"msgtype": "m.text", "body": "Alice!", "m.mentions": {"user_ids": [alice.user_id]}}
    answer = await _while_waiting(alice, bob.send(room_id, mention))
    assert _unread(answer, room_id) == (2, 1)
    fresh = await alice.login()
    assert _unread(await fresh.sync(), room_id) == (2, 1)


async def test_a_receipt_tells_others_and_ones_own_other_device(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    event_id = await bob.send(room_id, "one")
    phone = await alice.login()
    assert _unread(await phone.sync(), room_id) == (1, 0)
    await bob.sync()
    receipt = alice.post(("rooms", room_id, "receipt", "m.read", event_id))
    seen = await _while_waiting(bob, receipt)
    expected = {event_id: {"m.read": {alice.user_id: {"ts": server.clock.now_ms()}}}}
    assert seen.ephemeral(room_id, "m.receipt") == [expected]
    cleared = await phone.sync()
    assert _unread(cleared, room_id) == (0, 0)
    assert cleared.ephemeral(room_id, "m.receipt") == [expected]


async def test_a_private_receipt_clears_the_other_device_and_tells_nobody_else(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    event_id = await bob.send(room_id, "one")
    phone = await alice.login()
    await phone.sync()
    await bob.sync()
    receipt = alice.post(("rooms", room_id, "receipt", "m.read.private", event_id))
    assert _unread(await _while_waiting(phone, receipt), room_id) == (0, 0)
    assert (await bob.sync()).room(room_id) == {}
    assert (await (await bob.login()).sync()).ephemeral(room_id, "m.receipt") == []


async def test_delivery_to_a_waiting_sync_asks_the_database_nothing(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    database = server.application.base.database
    await bob.send(room_id, "warm")
    await alice.sync()
    mention = {"msgtype": "m.text", "body": "Alice!", "m.mentions": {"user_ids": [alice.user_id]}}

    async def cost(watched: bool) -> int:
        before = database.statements
        if watched:
            answer = await _while_waiting(alice, bob.send(room_id, mention))
            assert _unread(answer, room_id)[1] > 0
        else:
            await bob.send(room_id, mention)
        return int(database.statements - before)

    assert await cost(watched=True) == await cost(watched=False)


async def test_threads_have_counts_of_their_own_where_they_are_asked_for(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    root = await bob.send(room_id, "root")
    relation = {"rel_type": "m.thread", "event_id": root}
    await bob.send(room_id, {"msgtype": "m.text", "body": "x", "m.relates_to": relation})
    wanted = {"room": {"timeline": {"unread_thread_notifications": True}}}
    answer = await (await alice.login()).sync(filter=wanted)
    assert _unread(answer, room_id) == (1, 0)
    threads = answer.room(room_id)["unread_thread_notifications"]
    assert threads == {root: {"notification_count": 1, "highlight_count": 0}}
    assert _unread(await (await alice.login()).sync(), room_id) == (2, 0)


async def test_typing_comes_and_goes(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    path = ("rooms", room_id, "typing", alice.user_id)
    answer = await _while_waiting(bob, alice.put(path, {"typing": True, "timeout": 5000}))
    assert answer.ephemeral(room_id, "m.typing") == [{"user_ids": [alice.user_id]}]

    async def wait_for_it() -> None:
        server.clock.advance(seconds=6)

    answer = await _while_waiting(bob, wait_for_it())
    assert answer.ephemeral(room_id, "m.typing") == [{"user_ids": []}]


async def test_account_data_tags_markers_and_push_rules_reach_the_other_device(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    event_id = await bob.send(room_id, "one")
    phone = await alice.login()
    first = await phone.sync()
    assert first.account_data("m.push_rules")["global"]["override"]
    user = ("user", alice.user_id)
    settings = alice.put((*user, "account_data", "org.example.theme"), {"dark": True})
    assert (await _while_waiting(phone, settings)).account_data("org.example.theme") == {"dark": True}
    tag = alice.put((*user, "rooms", room_id, "tags", "m.favourite"), {"order": 0.5})
    assert (await _while_waiting(phone, tag)).account_data("m.tag", room_id) == {
        "tags": {"m.favourite": {"order": 0.5}}
    }
    marker = alice.post(("rooms", room_id, "read_markers"), {"m.fully_read": event_id})
    assert (await _while_waiting(phone, marker)).account_data("m.fully_read", room_id) == {"event_id": event_id}
    rule = alice.put(("pushrules", "global", "sender", bob.user_id), {"actions": []})
    rules = (await _while_waiting(phone, rule)).account_data("m.push_rules")
    assert rules["global"]["sender"][0]["rule_id"] == bob.user_id
    fresh = await (await alice.login()).sync()
    assert fresh.account_data("org.example.theme") == {"dark": True}
    assert fresh.account_data("m.fully_read", room_id) == {"event_id": event_id}


async def test_presence_of_friends(server: Server) -> None:
    alice, bob, _ = await _room(server)

    async def go_to_lunch() -> None:
        body = {"presence": "unavailable", "status_msg": "lunch"}
        await alice.put(("presence", alice.user_id, "status"), body)
        server.clock.advance(seconds=1)  # changes are told once a second

    answer = await _while_waiting(bob, go_to_lunch())
    (event,) = [each for each in answer["presence"]["events"] if each["sender"] == alice.user_id]
    assert (event["content"]["presence"], event["content"]["status_msg"]) == ("unavailable", "lunch")


async def test_ignored_people_are_silent_at_once(server: Server) -> None:
    alice, bob, room_id = await _room(server)
    await alice.put(
        ("user", alice.user_id, "account_data", "m.ignored_user_list"), {"ignored_users": {bob.user_id: {}}}
    )
    await alice.sync()
    await bob.send(room_id, "hello?")
    answer = await alice.sync()
    assert answer.timeline(room_id) == []
    fresh = await (await alice.login()).sync()
    assert _unread(fresh, room_id) == (0, 0)
