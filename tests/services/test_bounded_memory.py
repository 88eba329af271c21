"""What is held in memory has an end in bytes, not only in numbers: Mallory's things are as large as they may be."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from homeserver.services.account_data.ignored import IgnoredUsers
from homeserver.services.awake import AwakeUsers
from homeserver.services.filters.filters import MAX_KEPT_BYTES
from homeserver.services.rooms import transactions
from homeserver.services.to_device.letterboxes import Letterboxes
from homeserver.storage.account_data import AccountDataRows
from homeserver.storage.database import Database, Queries
from homeserver.storage.memberships import Membership, Memberships
from homeserver.storage.recent import RecentChanges
from tests.cast import Client, Server

# --- Rooms and events ---------------------------------------------------------------------------------------------


async def test_large_events_count_as_what_they_are(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    room = await server.application.base.cache.get(room_id)
    before, events = room.weight(), room.state.count + len(room.recent)
    assert before == events, "ordinary events count one each"
    for number in range(3):
        await alice.send(room_id, "x" * 60_000, txn_id=f"large{number}")
    assert before + 3 * 58 < room.weight() < before + 3 * 64
    # What leaves memory is no longer counted.
    for number in range(70):
        await alice.send(room_id, "small", txn_id=f"small{number}")
    assert room.weight() == room.state.count + len(room.recent)


async def test_the_weight_of_a_room_follows_redactions_and_loading(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    event_id = await alice.send(room_id, "x" * 60_000)
    await alice.set_state(room_id, "org.example.large", {"text": "x" * 50_000})
    await alice.redact(room_id, event_id)
    cache = server.application.base.cache
    room = await cache.get(room_id)
    assert room.weight() == sum(event.weight for event in [*room.state, *room.recent])
    cache.retire(room)
    loaded = await cache.get(room_id)
    assert loaded.weight() == sum(event.weight for event in [*loaded.state, *loaded.recent])


def test_the_ring_of_recent_changes_is_bounded_by_weight() -> None:
    ring: RecentChanges[int] = RecentChanges(100, weigh=lambda change: change)
    for position in range(1, 11):
        ring.add(position, 1)
    ring.add(11, 95)
    assert ring.since(0) is None
    assert ring.since(10) == [95]
    ring.add(12, 300)
    assert ring.since(11) == [300], "one is always kept, however large"
    ring.replace(12, 1)
    ring.add(13, 1)
    assert ring.since(11) == [1, 1]


def test_a_ring_that_missed_something_sends_readers_to_the_database() -> None:
    ring: RecentChanges[str] = RecentChanges()
    ring.add(1, "a")
    ring.add(3, "c")
    ring.forget_up_to(2)
    assert ring.since(1) is None
    assert ring.since(2) == ["c"]
    ring.forget_up_to(1)
    assert ring.since(2) == ["c"]


# --- To-device messages -------------------------------------------------------------------------------------------


def boxes_with(*devices: str, max_bytes: int) -> Letterboxes:
    boxes = Letterboxes(max_bytes=max_bytes)
    for device in devices:
        boxes.finish_loading(("@bob:test", device), boxes.begin_loading(("@bob:test", device)), [])
    return boxes


def test_letterboxes_are_bounded_together() -> None:
    boxes = boxes_with("ONE", "TWO", "THREE", max_bytes=1000)
    for position, device in enumerate(("ONE", "TWO", "THREE"), 1):
        boxes.put(("@bob:test", device), position, b"x" * 400)
    assert boxes.memory_usage() == {"boxes": 2, "messages": 2, "bytes": 800}
    assert boxes.get(("@bob:test", "ONE")) is None, "the database has it"
    boxes.remove_upto(("@bob:test", "TWO"), 2)
    boxes.drop([("@bob:test", "THREE")])
    assert boxes.memory_usage() == {"boxes": 1, "messages": 0, "bytes": 0}


# --- Lists that clients keep --------------------------------------------------------------------------------------


async def test_ignore_lists_are_bounded_together(database: Database) -> None:
    ignored = IgnoredUsers(database, AccountDataRows(), max_entries=10)

    def list_of(count: int) -> bytes:
        return orjson.dumps({"ignored_users": {f"@user{number}:test": {} for number in range(count)}})

    ignored.changed("@alice:test", list_of(6))
    ignored.changed("@bob:test", list_of(4))
    assert ignored.memory_usage() == {"users": 2, "ignored": 10}
    ignored.changed("@bob:test", list_of(5))
    assert ignored.memory_usage() == {"users": 1, "ignored": 5}
    ignored.changed("@mallory:test", list_of(100))
    assert ignored.memory_usage() == {"users": 1, "ignored": 100}
    assert len(await ignored.of_user("@mallory:test")) == 100


async def test_huge_filters_are_not_kept(server: Server) -> None:
    alice = await server.register("alice")
    rooms = [f"!{'x' * 200}{number}:test" for number in range(MAX_KEPT_BYTES // 200)]
    for definition in ({"room": {"timeline": {"limit": 3}}}, {"room": {"not_rooms": rooms}}):
        found = await alice.post(("user", alice.user_id, "filter"), definition)
        await alice.sync(filter=found["filter_id"])
    assert server.application.accounts.filters.memory_usage() == {"filters": 1}


async def test_transaction_ids_are_bounded_together(server: Server, monkeypatch: Any) -> None:
    monkeypatch.setattr(transactions, "MAX_KEYS", 5)
    alice, bob = await server.register("alice"), await server.register("bob")

    async def chat(client: Client) -> None:
        room_id = await client.create_room()
        for number in range(4):
            await client.send(room_id, "hello", txn_id=str(number))
        await client.send(room_id, "hello", txn_id="0")

    await chat(alice)
    await chat(bob)
    assert server.application.kernel.transactions.memory_usage() == {"devices": 1, "keys": 4}


# --- Memberships --------------------------------------------------------------------------------------------------


class SlowMemberships(Memberships):
    """Statements that answer when the test lets them."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = asyncio.Event()

    async def of_user(self, q: Queries, user_id: str) -> dict[str, Membership]:
        found = await super().of_user(q, user_id)
        self.asked += 1
        await self.answers.wait()
        return found


async def test_memberships_in_memory_are_bounded_together(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    for client in (alice, bob):
        for _ in range(3):
            await client.create_room()
    awake = AwakeUsers(server.application.base.database, Memberships(), max_memberships=4)
    await awake.get(alice.user_id)
    await awake.get(bob.user_id)
    assert awake.memory_usage() == {"users": 1, "memberships": 3, "rooms": 3}


async def test_a_reader_who_goes_away_takes_no_news_from_the_other(server: Server) -> None:
    """Two devices of Alice's load her rooms, one of them hangs up, then she joins a room."""
    alice = await server.register("alice")
    base = server.application.base
    memberships = SlowMemberships()
    awake = AwakeUsers(base.database, memberships)
    base.announcer.on_events(awake.apply_events)
    hangs_up, stays = (asyncio.create_task(awake.get(alice.user_id)) for _ in range(2))
    while memberships.asked < 2:
        await asyncio.sleep(0.01)
    hangs_up.cancel()
    await asyncio.gather(hangs_up, return_exceptions=True)
    room_id = await alice.create_room()
    memberships.answers.set()
    assert (await stays).with_membership("join") == [room_id]
    assert list(awake.users_in_room(room_id)) == [alice.user_id]
