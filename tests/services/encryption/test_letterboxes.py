"""Letterboxes in memory beside the database: nothing is lost and nothing comes twice, whatever happens at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from homeserver.protocol.errors import Unavailable
from homeserver.services.announcer import Announcer
from homeserver.services.awake import AwakeUsers
from homeserver.services.requester import Requester
from homeserver.services.to_device.deliver import Deliveries
from homeserver.services.to_device.letterboxes import MAX_MESSAGES, Letterboxes
from homeserver.services.to_device.send import SendToDevice
from homeserver.storage.database import Database
from homeserver.storage.memberships import Memberships
from homeserver.storage.to_device import ToDeviceMessages
from tests.clock import FakeClock

BOB = ("@bob:test", "BOBSDEVICE")
ALICE = Requester("@alice:test", "ALICESDEVICE", 0, 0, is_guest=False, is_admin=False)


class SlowMessages(ToDeviceMessages):
    """Reads and writes that wait until the test lets them go on."""

    def __init__(self) -> None:
        self.reading, self.read = asyncio.Event(), asyncio.Event()
        self.read.set()
        self.breaks = False

    async def waiting(self, *args: Any) -> list[tuple[int, bytes]]:
        found = await super().waiting(*args)
        self.reading.set()
        await self.read.wait()
        return found

    async def send(self, *args: Any) -> list[Any]:
        sent = await super().send(*args)
        if self.breaks:
            raise Unavailable("the answer to the commit was lost")
        return sent


@dataclass(slots=True)
class Post:
    """Both ends, in one process over one database."""

    database: Database
    clock: FakeClock
    messages: SlowMessages = field(default_factory=SlowMessages)
    letterboxes: Letterboxes = field(default_factory=Letterboxes)
    deliveries: Deliveries = field(init=False)
    sending: SendToDevice = field(init=False)
    sent: int = 0

    def __post_init__(self) -> None:
        announcer = Announcer(AwakeUsers(self.database, Memberships()))
        self.deliveries = Deliveries(self.database, self.messages, self.letterboxes, self.clock)
        self.sending = SendToDevice(
            self.database,
            self.messages,
            self.deliveries.stream,
            self.letterboxes,
            announcer,
            self.clock,
            "test",
        )

    async def send(self) -> int:
        self.sent += 1
        messages = {BOB[0]: {BOB[1]: {"number": self.sent}}}
        await self.sending.send(ALICE, "m.test", f"{self.sent} {id(self)}", messages)
        return self.sent

    async def pending(self, since: int = 0) -> Sequence[bytes]:
        return (await self.deliveries.pending(*BOB, since, self.deliveries.stream.current, limit=1000)).events


@pytest.fixture
async def post(database: Database, clock: FakeClock) -> Post:
    await database.execute("INSERT INTO users (user_id, created_ms) VALUES ($1, 0)", BOB[0])
    await database.execute("INSERT INTO devices (user_id, device_id, created_ms) VALUES ($1, $2, 0)", *BOB)
    post = Post(database, clock)
    await post.deliveries.load()
    return post


async def test_a_letter_that_comes_while_the_box_is_loaded_is_in_it(post: Post) -> None:
    await post.send()
    post.messages.read.clear()
    loading = asyncio.create_task(post.pending())
    await post.messages.reading.wait()
    await post.send()
    post.messages.read.set()
    await loading
    assert len(await post.pending()) == 2


async def test_two_who_load_at_once_and_a_letter_between(post: Post) -> None:
    await post.send()
    post.messages.read.clear()
    first, second = asyncio.create_task(post.pending()), asyncio.create_task(post.pending())
    await post.messages.reading.wait()
    await asyncio.sleep(0.05)
    await post.send()
    post.messages.read.set()
    await asyncio.gather(first, second)
    await post.send()
    assert len(await post.pending()) == 3


async def test_what_is_read_while_the_box_is_loaded_does_not_come_again(post: Post) -> None:
    await post.send()
    post.messages.read.clear()
    loading = asyncio.create_task(post.pending())
    await post.messages.reading.wait()
    await post.deliveries.acknowledge(*BOB, post.deliveries.stream.current)
    await post.deliveries.flush()
    post.messages.read.set()
    await loading
    assert await post.pending() == []


async def test_a_full_box_is_left_to_the_database(post: Post) -> None:
    await post.pending()
    for _ in range(MAX_MESSAGES + 5):
        await post.send()
    assert post.letterboxes.memory_usage()["messages"] == 0
    assert len(await post.pending()) == MAX_MESSAGES + 5
    await post.deliveries.acknowledge(*BOB, post.deliveries.stream.current - 2)
    assert len(await post.pending()) == 2
    await post.deliveries.flush()
    assert len(await post.pending()) == 2


async def test_a_commit_whose_answer_was_lost_is_delivered(post: Post) -> None:
    await post.pending()
    post.messages.breaks = True
    with pytest.raises(Unavailable):
        await post.send()
    assert len(await post.pending()) == 1


async def test_positions_of_a_new_start_are_beyond_all_earlier_ones(post: Post, database: Database) -> None:
    await post.send()
    token = post.deliveries.stream.current
    assert len(await post.pending()) == 1
    again = Post(database, post.clock)
    await again.deliveries.load()
    assert again.deliveries.stream.current > token
    assert await again.pending(since=token) == []
    await again.send()
    assert len(await again.pending(since=token)) == 1
    assert len(await again.pending()) == 2


async def test_a_token_from_nowhere_deletes_only_what_there_is(post: Post) -> None:
    await post.pending()
    await post.send()
    await post.deliveries.acknowledge(*BOB, 2**60)
    await post.deliveries.flush()
    await post.send()
    assert len(await post.pending()) == 1


async def test_old_transactions_and_letters_without_a_device_are_swept(post: Post, database: Database) -> None:
    await post.send()
    await database.execute("INSERT INTO to_device_messages VALUES (999999, 1, 'x')")
    await post.deliveries.tidy()
    assert await database.fetchval("SELECT count(*) FROM to_device_messages") == 1
    assert await database.fetchval("SELECT count(*) FROM to_device_transactions") == 1
    post.clock.advance(days=2)
    await post.deliveries.tidy()
    assert await database.fetchval("SELECT count(*) FROM to_device_transactions") == 0
    assert len(await post.pending()) == 1
