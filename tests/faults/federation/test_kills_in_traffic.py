"""One server is killed again and again while its users talk and the others talk to it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from tests.cast import Client, Server
from tests.faults.crowd import Sender
from tests.faults.federation.comparing import check_order, check_same_history, check_same_state, eventually, history_of
from tests.faults.federation.residents import Whispers, join, resident
from tests.faults.federation.town import ALPHA, BETA, Town

KILLS = 4
MAX_UP_SECONDS = 4.0
MAX_DOWN_SECONDS = 2.0
TALKERS = 2
"""At each server."""
PAUSE_SECONDS = 0.1
WHISPER_SECONDS = 0.3


async def slowly(sender: Sender, enough: asyncio.Event) -> None:
    """Sends until it is enough, with a little pause: three servers share this machine."""
    number = 0
    while not enough.is_set():
        number += 1
        await sender.send(f"{sender.client.user_id}-{number}")
        await asyncio.sleep(PAUSE_SECONDS)


async def whisper(whispers: Whispers, sender: Client, receiver: Client, enough: asyncio.Event) -> None:
    """To a device at the server that is killed."""
    while not enough.is_set():
        await whispers.tell(sender, receiver)
        await asyncio.sleep(WHISPER_SECONDS)


async def kill_again_and_again(town: Town, name: str) -> None:
    """At moments that the seed decides; dead for a moment each time."""
    chance, process = random.Random(town.seed), town.processes[name]
    for _ in range(KILLS):
        await asyncio.sleep(1 + chance.random() * MAX_UP_SECONDS)
        process.kill()
        await asyncio.sleep(chance.random() * MAX_DOWN_SECONDS)
        await asyncio.to_thread(process.start)


async def check_all_arrived(senders: Sequence[Sender], readers: Sequence[Client], room_id: str) -> None:
    """What was acknowledged is at all servers, once, in the order in which each of its senders said it."""
    await check_same_state(room_id, readers)
    await check_same_history(room_id, readers)
    for reader in readers:
        history = [event["event_id"] for event in await history_of(reader, room_id)]
        for sender in senders:
            said = list(sender.acknowledged.values())
            check_order(f"{reader.user_id} reads {sender.client.user_id}", said, history)


async def test_killed_in_the_middle_of_sending_and_receiving(town: Town, servers: Sequence[Server]) -> None:
    people = [[await resident(server, f"sender{number}") for number in range(TALKERS)] for server in servers]
    room_id = await people[0][0].create_room(preset="public_chat")
    for client in people[0][1:] + people[1] + people[2]:
        await join(client, room_id, ALPHA)
    readers, receiver = [each[0] for each in people], people[1][1]
    senders = [Sender(client, room_id) for each in people for client in each]
    await eventually(lambda: check_same_state(room_id, readers))
    await receiver.sync()
    enough, whispers, start = asyncio.Event(), Whispers(), time.monotonic()
    async with asyncio.TaskGroup() as group:
        for sender in senders:
            group.create_task(slowly(sender, enough))
        for sender in (people[0][1], people[2][1]):
            group.create_task(whisper(whispers, sender, receiver, enough))
        await kill_again_and_again(town, BETA)
        await asyncio.sleep(1)
        enough.set()
    took = time.monotonic() - start
    await people[0][0].send(room_id, "after")
    healed = await eventually(lambda: check_all_arrived(senders, readers, room_id))
    sent = [len(sender.acknowledged) for sender in senders]
    print(f"{sum(sent)} messages in {took:.1f} s ({sent}), all there after {healed:.1f} s")
    assert sum(sent) > 200
    assert all(sender.statuses[0] for sender in senders[TALKERS : 2 * TALKERS]), "nobody noticed the kills"
    await eventually(lambda: all_heard(whispers, receiver))
    await all_heard(whispers, receiver)


async def all_heard(whispers: Whispers, receiver: Client) -> None:
    """Each once, in order."""
    await whispers.listen(receiver)
    assert whispers.heard == whispers.told
