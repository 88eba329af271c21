"""Servers that do not hear each other for a while, with writes on all sides; then they do, and hold the same."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.cast import Client, Server
from tests.faults.federation.comparing import (
    HEAL_SECONDS,
    check_order,
    check_same_history,
    check_same_state,
    check_same_state_before,
    devices_of,
    eventually,
    history_of,
)
from tests.faults.federation.residents import Talker, Whispers, join, new_device, resident
from tests.faults.federation.town import ALPHA, BETA, GAMMA, NAMES, Town

MINUTE_SECONDS = float(os.environ.get("VOICECHAT_TEST_PARTITION_SECONDS", "60"))
SHORT_SECONDS = MINUTE_SECONDS / 3
PAUSE_SECONDS = 0.4
BEFORE_SECONDS = 15.0
SILENT_SECONDS = HEAL_SECONDS + 30.0
"""Requests on dead connections are given up after a minute, and the server is then tried again."""
Meanwhile = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Square:
    """A room in which all three servers are. Alice made it; Bob and Carol are moderators; the others are nobody."""

    servers: Sequence[Server]
    alice: Client
    bob: Client
    carol: Client
    dora: Client
    """At gamma, like Carol and those who follow."""
    mallory: Client
    """Is kicked."""
    oscar: Client
    """Is banned."""
    frank: Client
    """Leaves."""
    room_id: str
    whispers: Whispers = field(default_factory=Whispers)
    doubtful: list[str] = field(default_factory=list)
    """Events of people who were not allowed to any more, which their own server did not know."""

    @property
    def readers(self) -> list[Client]:
        """One at each server."""
        return [self.alice, self.bob, self.carol]

    @property
    def people(self) -> list[Client]:
        return [self.alice, self.bob, self.carol, self.dora]


async def make_square(servers: Sequence[Server], version: str) -> Square:
    alpha, beta, gamma = servers
    alice, bob = await resident(alpha, "alice"), await resident(beta, "bob")
    names = ("carol", "dora", "mallory", "oscar", "frank")
    carol, dora, mallory, oscar, frank = [await resident(gamma, name) for name in names]
    users = {bob.user_id: 50, carol.user_id: 50}
    if version != "12":  # where creators have no level
        users[alice.user_id] = 100
    levels = {"users": users}
    room_id = await alice.create_room(preset="public_chat", room_version=version, power_level_content_override=levels)
    for client in (bob, carol, dora, mallory, oscar, frank):
        await join(client, room_id, ALPHA)
    square = Square(servers, alice, bob, carol, dora, mallory, oscar, frank, room_id)
    await eventually(lambda: check_same_state(room_id, square.readers), BEFORE_SECONDS)
    for client in square.people:
        await client.sync()
        await devices_of(client, [each.user_id for each in square.people])
    return square


async def levels_without(square: Square, fallen: Client) -> None:
    """Alice takes somebody's power."""
    levels = await square.alice.state(square.room_id, "m.room.power_levels")
    users = {user_id: level for user_id, level in levels["users"].items() if user_id != fallen.user_id}
    await square.alice.set_state(square.room_id, "m.room.power_levels", {**levels, "users": users})


async def whisper_to_all(square: Square) -> None:
    for sender in square.people:
        for receiver in square.people:
            if sender is not receiver:
                await square.whispers.tell(sender, receiver)


async def first_half(square: Square) -> None:
    """What each side believes to be allowed."""
    room_id = square.room_id
    await square.alice.kick(room_id, square.mallory)
    await square.alice.ban(room_id, square.oscar)
    await levels_without(square, square.carol)
    for number in range(3):
        square.doubtful.append(await square.mallory.send(room_id, f"still here {number}"))
    renamed = await square.carol.set_state(room_id, "m.room.name", {"name": "Carol's"})
    square.doubtful.append(renamed["event_id"])
    await square.bob.set_state(room_id, "m.room.topic", {"topic": "Bob's"})
    await square.frank.leave(room_id)
    await whisper_to_all(square)


async def second_half(square: Square) -> list[Client]:
    """The new people."""
    room_id = square.room_id
    newcomers = [await resident(server, f"new{number}") for number, server in enumerate(square.servers)]
    for client in newcomers:
        await join(client, room_id)
        await client.send(room_id, "I am new")
    await square.alice.set_state(room_id, "m.room.topic", {"topic": "Alice's"})
    # A kick would not hold against this: who comes into a public room after it may.
    renamed = {"membership": "join", "displayname": "Oscar the Great"}
    answer = await square.oscar.set_state(room_id, "m.room.member", renamed, square.oscar.user_id)
    square.doubtful.append(answer["event_id"])
    for client in square.people:
        await new_device(client)
    await whisper_to_all(square)
    return newcomers


async def no_more() -> None:
    """Nothing else happens while the servers are apart."""


async def live_apart(square: Square, seconds: float, chance: random.Random, more: Meanwhile) -> list[Talker]:
    """So long, everybody does what he can."""
    start, enough = time.monotonic(), asyncio.Event()
    talkers = [Talker(client, square.room_id) for client in square.people]
    async with asyncio.TaskGroup() as group:
        for talker in talkers:
            group.create_task(talker.talk(enough, PAUSE_SECONDS, chance))
        await first_half(square)
        await asyncio.sleep(max(0.0, start + seconds / 2 - time.monotonic()))
        newcomers = await second_half(square)
        await more()
        await asyncio.sleep(max(0.0, start + seconds - time.monotonic()))
        enough.set()
    assert all(len(talker.said) > seconds / 3 for talker in talkers)
    return talkers + [Talker(client, square.room_id) for client in newcomers]


async def check_whispers(square: Square) -> None:
    for client in square.people:
        await square.whispers.listen(client)
    assert square.whispers.heard == square.whispers.told


async def check_told_of_devices(square: Square) -> None:
    """Everybody's client knows whose devices it has to ask for again."""
    everybody = {client.user_id for client in square.people}
    for client in square.people:
        assert square.whispers.changed[client.user_id] >= everybody - {client.user_id}


async def check_devices(square: Square) -> None:
    users = [client.user_id for client in square.people]
    seen = [await devices_of(reader, users) for reader in square.readers]
    assert seen[1:] == seen[:1] * 2
    assert all(len(devices) == 2 for devices in seen[0].values())


async def check_room(square: Square, talkers: Sequence[Talker]) -> None:
    """The same state and the same history at all three, nothing lost, in the order of each speaker."""
    await check_same_state(square.room_id, square.readers)
    await check_same_history(square.room_id, square.readers, may_lack=square.doubtful)
    for reader in square.readers:
        history = [event["event_id"] for event in await history_of(reader, square.room_id)]
        for talker in talkers:
            check_order(f"{reader.user_id} reads {talker.client.user_id}", talker.said, history)


async def check_outcome(square: Square, newcomers: Sequence[Client]) -> None:
    """What was decided: who had the power is right, whatever the others believed meanwhile."""
    alice, room_id = square.alice, square.room_id
    levels = await alice.state(room_id, "m.room.power_levels")
    assert square.carol.user_id not in levels["users"]
    assert (await alice.state(room_id, "m.room.topic"))["topic"] == "Alice's"
    await alice.state(room_id, "m.room.name", expect=404)
    left = [(square.mallory, "leave"), (square.oscar, "ban"), (square.frank, "leave")]
    for client, membership in [*left, *((each, "join") for each in newcomers)]:
        assert (await alice.state(room_id, "m.room.member", client.user_id))["membership"] == membership
    history = {event["event_id"] for event in await history_of(alice, room_id)}
    assert history.isdisjoint(square.doubtful), "Alice's server knew that these were not allowed any more"


async def partition(
    town: Town,
    square: Square,
    sides: Sequence[Sequence[str]],
    seconds: float,
    *,
    more: Meanwhile = no_more,
    silent: bool = False,
) -> None:
    await square.alice.send(square.room_id, "before")
    town.roads.part(*sides)
    talkers = await live_apart(square, seconds, random.Random(town.seed), more)
    town.roads.heal(silent=silent)
    last = await square.alice.send(square.room_id, "after")
    took = {
        "room": await eventually(lambda: check_room(square, talkers), SILENT_SECONDS if silent else HEAL_SECONDS),
        "whispers": await eventually(lambda: check_whispers(square)),
        "devices": await eventually(lambda: check_devices(square)),
    }
    print("seconds after the heal:", took)
    await check_told_of_devices(square)
    await check_outcome(square, [talker.client for talker in talkers[len(square.people) :]])
    await check_same_state_before(town, square.room_id, last, dict(zip(NAMES, square.servers, strict=True)))
    await check_whispers(square)


async def test_two_and_one_for_a_minute(town: Town, servers: Sequence[Server]) -> None:
    """Meanwhile Erin, at beta, comes into a room of alpha and gamma; gamma is told later who else is in it now."""
    square, erin = await make_square(servers, "10"), await resident(servers[1], "erin")
    yard = await square.alice.create_room(preset="public_chat", room_version="10")
    await join(square.carol, yard, ALPHA)

    async def erin_comes() -> None:
        await join(erin, yard, ALPHA)
        for client in (square.carol, erin, square.alice):
            await client.send(yard, "in the yard")

    await partition(town, square, [(ALPHA, BETA), (GAMMA,)], MINUTE_SECONDS, more=erin_comes)
    readers = [square.alice, erin, square.carol]
    await eventually(lambda: check_same_state(yard, readers))
    # Carol's server has heard of Erin from alpha only.
    last = await square.carol.send(yard, "and now?")
    await eventually(lambda: check_yard(yard, readers, last))


async def check_yard(yard: str, readers: Sequence[Client], last: str) -> None:
    """All read the same, this too."""
    histories = await check_same_history(yard, readers)
    assert all(last in history for history in histories)


async def test_everybody_alone(town: Town, servers: Sequence[Server]) -> None:
    """And what was under way when the servers were parted is never answered, not even with an error."""
    square, apart = await make_square(servers, "12"), [(ALPHA,), (BETA,), (GAMMA,)]
    await partition(town, square, apart, SHORT_SECONDS, silent=True)
