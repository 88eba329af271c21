"""A role change in a large community: `python bench/roles/role_change.py [rooms] [members]`. Prints a table for RESULTS.md."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from homeserver.services.requester import on_behalf_of  # noqa: E402
from tests.cast import Client, Server  # noqa: E402
from tests.clock import FakeClock  # noqa: E402
from tests.homeserver import running_homeserver, server_settings  # noqa: E402
from tests.postgres import running_server  # noqa: E402
from tests.services.roles.harbour import CLOSED, CREW, KEEPER, assign, channel, define, override, roles_path, space_of  # noqa: E402

ROOMS, MEMBERS, HOLDERS = 50, 1_000, 200
TOGETHER = 50
MAKE_USERS = """
INSERT INTO users (user_id, created_ms) SELECT '@person' || n || ':test', 1 FROM generate_series(0, $1 - 1) AS n
"""
EVENTS = "SELECT count(*) FROM events"


class Bench:
    """One server, and Alice's community on it."""

    def __init__(self, server: Server, alice: Client) -> None:
        self.server, self.alice = server, alice
        self.database = server.application.base.database
        self.space_id = ""
        self.rooms: list[str] = []
        self.waited = 0.0

    async def fill(self, rooms: int, members: int) -> None:
        """Rooms on which both sides agree, and people in all of them."""
        self.space_id = await space_of(self.alice)
        self.rooms = [await channel(self.alice, self.space_id) for _ in range(rooms)]
        await self.database.execute(MAKE_USERS, members)
        join = self.server.application.rooms.memberships.join
        for room_id in [self.space_id, *self.rooms]:
            for start in range(0, members, TOGETHER):
                people = [f"@person{number}:test" for number in range(start, min(start + TOGETHER, members))]
                await asyncio.gather(*(join(on_behalf_of(each), room_id) for each in people))

    async def roles(self, holders: int) -> None:
        await define(self.alice, self.space_id)
        for number in range(holders):
            await assign(self.alice, self.space_id, self.person(number), "crew")

    def person(self, number: int) -> Client:
        return Client(self.server.session, self.server.base_url, f"@person{number}:test")

    async def others_wait(self) -> None:
        """How long somebody waits for his turn meanwhile."""
        while True:
            started = time.perf_counter()
            await asyncio.sleep(0.001)
            self.waited = max(self.waited, (time.perf_counter() - started) * 1000 - 1)

    async def measure(self, name: str, prepare: Callable[[], Awaitable[Any]]) -> str:
        """What the change costs: the word about it, the plan, and the application. The id of the application."""
        await prepare()
        plans, self.waited = [], 0.0
        for _ in range(3):
            before = self.database.statements
            started = time.perf_counter()
            seen = await self.alice.post(roles_path(self.space_id, "plan"), {})
            plans.append((time.perf_counter() - started) * 1000)
        plan_statements = self.database.statements - before
        order = {"plan": seen["plan"]}
        return await self._apply(name, len(seen["changes"]), statistics.median(plans), plan_statements, "apply", order)

    async def undo(self, name: str, application_id: str) -> None:
        self.waited = 0.0
        await self._apply(name, 0, 0.0, 0, f"applications/{application_id}/undo", {})

    async def _apply(
        self, name: str, changes: int, plan_ms: float, plan_statements: int, path: str, body: dict[str, Any]
    ) -> str:
        events, before = await self.database.fetchval(EVENTS), self.database.statements
        started, used = time.perf_counter(), time.process_time()
        order = await self.alice.post(roles_path(self.space_id, *path.split("/")), body)
        await self.server.application.moderation.tasks.settled()
        took, used = (time.perf_counter() - started) * 1000, (time.process_time() - used) * 1000
        statements = self.database.statements - before
        sent = await self.database.fetchval(EVENTS) - events
        done = await self.alice.get(roles_path(self.space_id, "applications", order["application"]))
        assert (done["status"], done["failed"]) == ("complete", []), done
        print(
            f"| {name} | {changes or done['changes']} | {plan_ms:.0f} ({plan_statements}) | {sent} | {statements} "
            f"| {took:.0f} | {used:.0f} | {self.waited:.0f} |",
            flush=True,
        )
        return str(order["application"])


async def bench(dsn: str, folder: Path, rooms: int, members: int) -> None:
    async with running_homeserver(server_settings(folder), dsn, FakeClock()) as server:
        bench = Bench(server, await server.register("alice"))
        await bench.fill(rooms, members)
        alice, space_id = bench.alice, bench.space_id
        print(
            "| change | changes | plan, ms (statements) | events | statements | ms | CPU of ours, ms "
            "| others waited at most, ms |"
        )
        print("|---|---|---|---|---|---|---|---|")
        watch = asyncio.create_task(bench.others_wait())
        holders = min(HOLDERS, members // 2)
        await bench.measure(f"roles for the first time, {holders} hold one", lambda: bench.roles(holders))
        one = bench.person(members - 1)
        change = await bench.measure("one person gets a role", lambda: assign(alice, space_id, one, "crew"))
        await bench.undo("the same undone", change)
        lesser = {**CREW, "permissions": ["send"]}
        await bench.measure("a role loses two permissions", lambda: define(alice, space_id, KEEPER, lesser))
        closed = await bench.measure(
            f"a channel is closed to all but {holders}", lambda: override(alice, space_id, bench.rooms[0], CLOSED)
        )
        await bench.undo("the same undone", closed)
        watch.cancel()


def main() -> None:
    """Run it."""
    rooms, members = (int(each) for each in (sys.argv[1:] + [str(ROOMS), str(MEMBERS)][len(sys.argv) - 1 :])[:2])
    with running_server() as postgres, tempfile.TemporaryDirectory() as folder:
        name = asyncio.run(postgres.clone())
        asyncio.run(bench(postgres.dsn_of(name), Path(folder), rooms, members))
        asyncio.run(postgres.drop(name))


if __name__ == "__main__":
    main()
