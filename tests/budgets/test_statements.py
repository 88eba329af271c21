"""How many SQL statements the common operations send, BEGIN and COMMIT included."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from tests.cast import Client, Server

SEND, JOIN, CREATE_ROOM, DELIVERY, INITIAL_SYNC = 6, 12, 20, 0, 12


async def statements(server: Server, operation: Awaitable[Any]) -> int:
    """The statements sent while the operation runs."""
    database = server.application.base.database
    before = database.statements
    await operation
    return int(database.statements - before)


async def test_sending(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.send(room_id, "the first of a device also reads its transactions")
    assert await statements(server, alice.send(room_id, "hello")) <= SEND


async def test_joining(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    assert await statements(server, bob.join(room_id)) <= JOIN


async def test_creating_a_room_with_everything(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    wishes = {
        "name": "Tea",
        "topic": "Only tea",
        "room_alias_name": "tea",
        "preset": "private_chat",
        "invite": [bob.user_id],
        "initial_state": [
            {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        ],
    }
    assert await statements(server, alice.create_room(**wishes)) <= CREATE_ROOM


async def test_delivering_to_waiting_syncs(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room(preset="public_chat")
    readers = [await server.register(f"reader{number}") for number in range(10)]
    for reader in readers:
        await reader.join(room_id)
    await alice.send(room_id, "everybody is awake")
    for reader in (*readers, *readers):
        await reader.sync()
    alone = await statements(server, alice.send(room_id, "nobody listens"))
    for reader in readers:
        await reader.sync()
    waiting = [asyncio.create_task(reader.sync(timeout=30_000)) for reader in readers]
    while server.application.base.announcer.waiting < len(readers):
        await asyncio.sleep(0.01)

    async def send_and_deliver() -> None:
        event_id = await alice.send(room_id, "everybody listens")
        for answer in await asyncio.gather(*waiting):
            assert answer.event_ids(room_id) == [event_id]

    assert await statements(server, send_and_deliver()) - alone <= DELIVERY


async def rooms_for(alice: Client, bob: Client, count: int) -> None:
    for number in range(count):
        room_id = await alice.create_room(preset="public_chat", name=f"Room {number}")
        await bob.join(room_id)
        await alice.send(room_id, "hello")


@pytest.mark.parametrize("count", [3, 30])
async def test_the_first_sync_costs_the_same_whatever_the_number_of_rooms(server: Server, count: int) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    await rooms_for(alice, bob, count)
    assert await statements(server, bob.sync(since=None)) <= INITIAL_SYNC


async def test_an_empty_sync_asks_nothing(server: Server) -> None:
    alice = await server.register("alice")
    await alice.create_room()
    await alice.sync()
    await alice.sync()
    assert await statements(server, alice.sync()) == 0
