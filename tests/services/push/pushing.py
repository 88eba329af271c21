"""What stories of pushers have in common."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.cast import Client, Server


async def alice_and_bob(server: Server, **room: Any) -> tuple[Client, Client, str]:
    """Bob's room with Alice in it."""
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await bob.create_room(preset="public_chat", **room)
    await alice.join(room_id)
    return alice, bob, room_id


async def read(reader: Client, room_id: str, event_id: str, **body: Any) -> None:
    await reader.post(("rooms", room_id, "receipt", "m.read", event_id), body)


async def until(reached: Any) -> None:
    """For what the server does on its own, without being asked."""
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.01)


async def failed(server: Server, times: int) -> None:
    """The server has understood that its only pusher could not be told."""
    delivery = server.application.push.delivery
    await until(lambda: [waiting.failures for waiting in delivery.waiting.values()] == [times])
