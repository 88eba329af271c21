"""The server is killed in the middle: what is left is done after the next start, and nothing twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeserver.services.long_tasks.step import Handler, Step
from homeserver.services.roles.apply import KIND
from homeserver.storage.long_tasks import LongTask
from tests.cast import Client
from tests.clock import FakeClock
from tests.homeserver import running_homeserver, server_settings
from tests.services.roles.harbour import assign, channel, define, outcome, plan, roles_path, space_of

ROOMS = 4


@dataclass
class StopsAfter:
    """A handler whose process dies in its third step."""

    handler: Handler
    steps: int = 0

    async def step(self, task: LongTask) -> Step:
        self.steps += 1
        if self.steps > 2:
            await asyncio.Event().wait()
        return await self.handler.step(task)

    async def finished(self, task: LongTask) -> None:
        await self.handler.finished(task)


async def power_levels_sent(alice: Client, room_id: str) -> int:
    chunk: list[dict[str, Any]] = (await alice.messages(room_id, dir="b", limit=100))["chunk"]
    return sum(event["type"] == "m.room.power_levels" for event in chunk)


async def test_what_was_ordered_is_done_after_a_restart(database_dsn: str, tmp_path: Path) -> None:
    settings, clock = server_settings(tmp_path), FakeClock()
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, bob = await server.register("alice"), await server.register("bob")
        space_id = await space_of(alice)
        await bob.join(space_id)
        rooms = [await channel(alice, space_id) for _ in range(ROOMS)]
        await define(alice, space_id)
        await assign(alice, space_id, bob, "crew")
        before = {room_id: await power_levels_sent(alice, room_id) for room_id in rooms}
        tasks = server.application.moderation.tasks
        stops = StopsAfter(tasks.handlers[KIND])
        tasks.handlers[KIND] = stops
        seen = await plan(alice, space_id)
        order = await alice.post(roles_path(space_id, "apply"), {"plan": seen["plan"]})
        async with asyncio.timeout(10):
            while stops.steps < 3:
                await asyncio.sleep(0.01)
        half = await alice.get(roles_path(space_id, "applications", order["application"]))
        assert 0 < half["left"] < half["changes"]
        assert half["status"] == "active"
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice = Client(server.session, server.base_url, access_token=alice.access_token)
        done = await outcome(server, alice, space_id, order["application"])
        assert (done["status"], done["failed"]) == ("complete", [])
        assert (await plan(alice, space_id))["changes"] == []
        assert {room_id: await power_levels_sent(alice, room_id) for room_id in rooms} == {
            room_id: sent + 1 for room_id, sent in before.items()
        }
