"""Counts of one-time keys in memory are never older than what the device was told."""

from __future__ import annotations

import asyncio
from typing import Any

from homeserver.services.announcer import Announcer
from homeserver.services.awake import AwakeUsers
from homeserver.services.keys.counts import KeyCountCache
from homeserver.storage.database import Database
from homeserver.storage.memberships import Memberships
from homeserver.storage.one_time_keys import OneTimeKeys

BOB = ("@bob:test", "BOBSDEVICE")


class SlowKeys(OneTimeKeys):
    """A read that ends when the test says so."""

    def __init__(self) -> None:
        self.reading, self.read = asyncio.Event(), asyncio.Event()

    async def counts(self, *args: Any) -> tuple[dict[str, int], list[str]]:
        found = await super().counts(*args)
        self.reading.set()
        await self.read.wait()
        return found


async def cache_with(database: Database, keys: OneTimeKeys) -> tuple[KeyCountCache, int]:
    await database.execute("INSERT INTO users (user_id, created_ms) VALUES ($1, 0)", BOB[0])
    sql = "INSERT INTO devices (user_id, device_id, created_ms) VALUES ($1, $2, 0) RETURNING device_nid"
    device_nid = await database.fetchval(sql, *BOB)
    return KeyCountCache(database, keys, Announcer(AwakeUsers(database, Memberships()))), device_nid


async def add_key(database: Database, device_nid: int, key_id: str) -> None:
    sql = "INSERT INTO one_time_keys (device_nid, algorithm, key_id, key) VALUES ($1, 'signed_curve25519', $2, '\"k\"')"
    await database.execute(sql, device_nid, key_id)


async def test_a_change_while_the_counts_are_read_is_not_missed(database: Database) -> None:
    keys = SlowKeys()
    cache, device_nid = await cache_with(database, keys)
    reading = asyncio.create_task(cache.counts(*BOB))
    await keys.reading.wait()
    await add_key(database, device_nid, "A")
    cache.changed([BOB])
    keys.read.set()
    assert (await reading).one_time_keys == {"signed_curve25519": 0}
    assert (await cache.counts(*BOB)).one_time_keys == {"signed_curve25519": 1}


async def test_counts_that_did_not_change_cost_nothing(database: Database) -> None:
    cache, device_nid = await cache_with(database, OneTimeKeys())
    await add_key(database, device_nid, "A")
    assert (await cache.counts(*BOB)).one_time_keys == {"signed_curve25519": 1}
    before = database.statements
    await cache.counts(*BOB)
    assert database.statements == before


async def test_a_change_wakes_the_user(database: Database) -> None:
    cache, _ = await cache_with(database, OneTimeKeys())
    waiter = cache.announcer.waiter(BOB[0])
    cache.changed([BOB])
    assert waiter.done()


async def test_keys_without_a_device_are_swept(database: Database) -> None:
    cache, device_nid = await cache_with(database, OneTimeKeys())
    await add_key(database, device_nid, "A")
    await add_key(database, 999_999, "B")
    await cache.tidy()
    assert [row[0] for row in await database.fetch("SELECT key_id FROM one_time_keys")] == ["A"]


async def test_only_so_many_devices_are_kept(database: Database) -> None:
    cache, _ = await cache_with(database, OneTimeKeys())
    cache.capacity = 2
    for number in range(5):
        await cache.counts(BOB[0], f"DEVICE{number}")
    assert cache.memory_usage() == {"devices": 2}
