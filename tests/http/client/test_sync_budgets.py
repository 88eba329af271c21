"""What a sync costs: statements, and what a restart leaves of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from config.settings import Settings
from tests.cast import Client, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver

LAZY = {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 5}}}


class Counted:
    statements = 0


@contextmanager
def counting(server: Server) -> Iterator[Counted]:
    counted, before = Counted(), server.application.base.database.statements
    yield counted
    counted.statements = server.application.base.database.statements - before


def forget_everything(server: Server) -> None:
    """Rooms and memberships go out of memory, as if nobody had been here for long."""
    base = server.application.base
    for room in list(base.cache._live.values()):
        base.cache.retire(room)
    for user_id in list(base.awake._users):
        base.awake._drop(user_id)


async def room_of_two(alice: Client, bob: Client, number: int) -> str:
    room_id = await alice.create_room(preset="public_chat", name=f"Room {number}" if number % 2 else None)
    await bob.join(room_id)
    for text in range(6):
        await alice.send(room_id, f"message {text}")
    return room_id


async def settled(client: Client) -> None:
    """Until there is no news."""
    for _ in range(3):
        await client.sync()


async def test_an_empty_sync_asks_nothing(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await room_of_two(alice, bob, 1)
    await settled(bob)
    with counting(server) as counted:
        answer = await bob.sync()
    assert answer.keys() <= {"next_batch", "device_one_time_keys_count", "device_unused_fallback_key_types"}
    assert counted.statements == 0


async def test_a_delivery_asks_nothing_whatever_the_filter(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await room_of_two(alice, bob, 1)
    await settled(alice)
    filters: list[Any] = [None, LAZY, {"room": {"timeline": {"unread_thread_notifications": True}}}]
    for wanted in filters:
        await bob.sync(since=None, filter=wanted)
        await settled(bob)
        event_id = await alice.send(room_id, "hello")
        await alice.post(("rooms", room_id, "receipt", "m.read", event_id))
        await alice.put(("rooms", room_id, "typing", alice.user_id), {"typing": True})
        with counting(server) as counted:
            answer = await bob.sync(filter=wanted)
        assert answer.event_ids(room_id) == [event_id]
        assert answer.ephemeral(room_id, "m.typing")
        assert counted.statements == 0
        await alice.put(("rooms", room_id, "typing", alice.user_id), {"typing": False})


async def test_others_who_come_and_go_cost_the_waiting_nothing(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    dave = await server.register("dave")
    await dave.sync()
    room_id = await room_of_two(alice, bob, 1)
    await settled(bob)
    await dave.join(room_id)
    with counting(server) as counted:
        assert (await bob.sync())["device_lists"]["changed"] == [dave.user_id]
    assert counted.statements == 0


async def test_an_initial_sync_costs_the_same_for_five_rooms_and_for_fifty(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    # What is not about rooms (push rules, counts of keys) is in memory afterwards.
    await bob.sync()
    costs: dict[str, list[int]] = {"cold": [], "warm": []}
    rooms: list[str] = []
    for count in (5, 50):
        rooms += await asyncio.gather(*(room_of_two(alice, bob, number) for number in range(len(rooms), count)))
        for kind in ("cold", "warm"):
            if kind == "cold":
                forget_everything(server)
            else:
                await asyncio.gather(*(alice.send(room_id, "warm") for room_id in rooms))
            with counting(server) as counted:
                answer = await bob.sync(since=None, filter=LAZY)
            assert len(answer["rooms"]["join"]) == count
            assert all(len(room["timeline"]["events"]) == 5 for room in answer["rooms"]["join"].values())
            costs[kind].append(counted.statements)
    assert costs["cold"][0] == costs["cold"][1] <= 10
    assert costs["warm"][0] == costs["warm"][1] <= 3


async def test_many_rooms_with_news_cost_one_sync_a_constant_number_of_statements(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    rooms = await asyncio.gather(*(room_of_two(alice, bob, number) for number in range(20)))
    await settled(bob)
    costs = []
    for some in (rooms[:2], rooms):
        before = bob.next_batch
        for room_id in some:
            for number in range(7):
                await alice.send(room_id, f"more {number}")
        forget_everything(server)
        with counting(server) as counted:
            answer = await bob.sync(since=before, filter=LAZY)
        assert len(answer["rooms"]["join"]) == len(some)
        costs.append(counted.statements)
    assert costs[0] == costs[1] <= 10


async def test_a_token_survives_a_restart(settings: Settings, database_dsn: str, clock: FakeClock) -> None:
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, bob = await server.register("alice"), await server.register("bob")
        room_id = await room_of_two(alice, bob, 1)
        await settled(bob)
        missed = await alice.send(room_id, "sent before the restart")
        await alice.put(("sendToDevice", "m.x", "t1"), {"messages": {bob.user_id: {bob.device_id: {"n": 1}}}})
    clock.advance(minutes=1)
    async with running_homeserver(settings, database_dsn, clock) as again:
        bob = replace(bob, session=again.session, base_url=again.base_url)
        alice = replace(alice, session=again.session, base_url=again.base_url)
        answer = await bob.sync()
        assert answer.event_ids(room_id) == [missed]
        assert answer.room(room_id)["timeline"]["limited"] is False
        assert [event["content"] for event in answer.to_device()] == [{"n": 1}]
        assert answer.room(room_id)["unread_notifications"]["notification_count"] == 7
        await alice.put(("rooms", room_id, "typing", alice.user_id), {"typing": True})
        assert (await bob.sync()).ephemeral(room_id, "m.typing") == [{"user_ids": [alice.user_id]}]
        (own,) = [e for e in (await alice.sync(since=None)).timeline(room_id) if e["event_id"] == missed]
        assert own["unsigned"]["transaction_id"]
