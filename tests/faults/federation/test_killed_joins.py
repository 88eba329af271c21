"""A join between two servers, and one of them dies in the middle. The user tries again, and is in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import asyncpg

from tests.cast import Client, Server
from tests.faults.federation.comparing import check_same_history, check_same_state, eventually
from tests.faults.federation.residents import join, resident
from tests.faults.federation.town import ALPHA, BETA, Town

NOTES = 100
"""State events of the room: what a server is told of it when it comes in is far larger than `ANSWERED_BYTES`."""
NOTE = "x" * 2000
ANSWERED_BYTES = 40_000
TABLE = "current_state"
"""Written in the same transaction as the event with which a room is entered."""
WAITING = f"SELECT pid FROM pg_locks WHERE relation = '{TABLE}'::regclass AND NOT granted"


async def large_room(alice: Client) -> str:
    notes = [{"type": "org.example.note", "state_key": str(n), "content": {"text": NOTE}} for n in range(NOTES)]
    return await alice.create_room(preset="public_chat", room_version="10", initial_state=notes)


async def check_joined(alice: Client, bob: Client, room_id: str) -> None:
    """As the server of the room has it."""
    assert (await alice.state(room_id, "m.room.member", bob.user_id, expect={200, 404})).get("membership") == "join"


@asynccontextmanager
async def held_up(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """No room of this database changes meanwhile. What waits for that in the end is given up, like its server."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {TABLE} IN EXCLUSIVE MODE")
            yield connection
            await connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) waiting")
    finally:
        await connection.close()


async def somebody_waits(connection: asyncpg.Connection) -> None:
    assert await connection.fetch(WAITING)


async def killed(town: Town, name: str, request: asyncio.Task[None]) -> None:
    """And the request of its user, or of the other's, comes to nothing."""
    town.processes[name].kill()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)


async def try_again(alice: Client, bob: Client, room_id: str) -> None:
    """Bob tries until it works. Afterwards the servers hold the same, and hear each other."""

    async def attempt() -> None:
        try:
            await join(bob, room_id, ALPHA)
        except aiohttp.ClientError as error:
            raise AssertionError from error

    await eventually(attempt, 30)
    await alice.send(room_id, "welcome")
    said = await bob.send(room_id, "here I am")
    await eventually(lambda: check_same_state(room_id, [alice, bob]))
    await eventually(lambda: hear(said, alice, bob, room_id))


async def hear(said: str, alice: Client, bob: Client, room_id: str) -> None:
    alices, _ = await check_same_history(room_id, [alice, bob])
    assert said in alices


async def test_the_answer_never_arrives(town: Town, servers: Sequence[Server]) -> None:
    """Bob's server dies when it has read half of the state of the room that it was let into."""
    alice, bob = await resident(servers[0], "alice"), await resident(servers[1], "bob")
    room_id = await large_room(alice)
    town.roads.stop_answers_after(BETA, ALPHA, ANSWERED_BYTES)
    request = asyncio.create_task(join(bob, room_id, ALPHA))
    await eventually(lambda: check_joined(alice, bob, room_id))
    assert not request.done()
    assert not town.roads.is_open(BETA, ALPHA)
    await killed(town, BETA, request)
    town.roads.heal()
    await alice.send(room_id, "Bob?")
    await asyncio.to_thread(town.processes[BETA].start)
    # Alice's server tells of a room of which Bob's knows nothing.
    await alice.send(room_id, "Bob!")
    assert room_id not in (await bob.sync()).get("rooms", {}).get("join", {})
    await try_again(alice, bob, room_id)


async def test_what_was_told_is_kept_but_the_room_is_not_entered(town: Town, servers: Sequence[Server]) -> None:
    """Bob's server dies between the events of the room's state and the room."""
    alice, bob = await resident(servers[0], "alice"), await resident(servers[1], "bob")
    room_id = await large_room(alice)
    async with held_up(town.dsn(BETA)) as connection:
        request = asyncio.create_task(join(bob, room_id, ALPHA))
        await eventually(lambda: check_joined(alice, bob, room_id))
        await eventually(lambda: somebody_waits(connection))
        await killed(town, BETA, request)
    await asyncio.to_thread(town.processes[BETA].start)
    assert room_id not in (await bob.sync()).get("rooms", {}).get("join", {})
    await try_again(alice, bob, room_id)


async def test_the_server_of_the_room_dies(town: Town, servers: Sequence[Server]) -> None:
    """It has checked the join and not written it yet: nobody has joined, and nobody was told so."""
    alice, bob = await resident(servers[0], "alice"), await resident(servers[1], "bob")
    room_id = await large_room(alice)
    async with held_up(town.dsn(ALPHA)) as connection:
        request = asyncio.create_task(join(bob, room_id, ALPHA))
        await eventually(lambda: somebody_waits(connection))
        await killed(town, ALPHA, request)
    await asyncio.to_thread(town.processes[ALPHA].start)
    await alice.state(room_id, "m.room.member", bob.user_id, expect=404)
    await try_again(alice, bob, room_id)
