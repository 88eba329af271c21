"""Changes of device lists: recorded with what changed, told to those concerned, from memory or from the database."""

from __future__ import annotations

import pytest

from homeserver.services.announcer import Announcer
from homeserver.services.awake import AwakeUsers
from homeserver.services.device_lists.changes import DeviceLists
from homeserver.storage.database import Database
from homeserver.storage.device_lists import DeviceListChanges
from homeserver.storage.memberships import Memberships

ALICE, BOB, MALLORY = "@alice:test", "@bob:test", "@mallory:test"


def device_lists(database: Database) -> DeviceLists:
    awake = AwakeUsers(database, Memberships())
    return DeviceLists(database, DeviceListChanges(), awake, Announcer(awake))


@pytest.fixture
async def lists(database: Database) -> DeviceLists:
    """Alice and Bob are in one room, Mallory was and left."""
    room_nid = await database.fetchval(
        "INSERT INTO rooms (room_id, version, created_ms) VALUES ('!room:test', '11', 0) RETURNING room_nid"
    )
    for nid, (user_id, membership) in enumerate(((ALICE, "join"), (BOB, "join"), (MALLORY, "leave"))):
        sql = "INSERT INTO memberships VALUES ($1, $2, $3, $4, $1, false, $4)"
        await database.execute(sql, user_id, room_nid, membership, nid)
    lists = device_lists(database)
    await lists.load()
    return lists


async def changed(lists: DeviceLists, reader: str, since: int = 0) -> set[str]:
    """What memory says, after checking that a server that was started anew says the same."""
    restarted = device_lists(lists.queries)  # type: ignore[arg-type]
    await restarted.load()
    from_memory = await lists.changed(reader, since)
    assert await restarted.changed(reader, since) == from_memory
    return from_memory


async def test_those_who_share_a_room_hear_of_it(lists: DeviceLists) -> None:
    await lists.announce(ALICE)
    assert await changed(lists, BOB) == {ALICE}
    assert await changed(lists, ALICE) == {ALICE}
    assert await changed(lists, MALLORY) == set()
    assert await changed(lists, BOB, lists.stream.current) == set()


async def test_a_change_for_one_observer_is_heard_by_nobody_else(lists: DeviceLists) -> None:
    async with lists.changing(MALLORY, observer=BOB) as change:
        await change.record(lists.queries)
    assert await changed(lists, BOB) == {MALLORY}
    assert await changed(lists, ALICE) == set()
    assert await changed(lists, MALLORY) == set()


async def test_what_was_not_recorded_is_not_announced(lists: DeviceLists) -> None:
    told: list[str] = []
    lists.on_change(told.append)
    waiter = lists.announcer.waiter(ALICE)
    async with lists.changing(ALICE):
        pass
    with pytest.raises(ValueError, match="no"):
        async with lists.changing(ALICE) as change:
            await change.record(lists.queries)
            raise ValueError("no")
    assert told == []
    assert not waiter.done()
    await lists.announce(ALICE)
    assert told == [ALICE]
    assert waiter.done()


async def test_only_those_concerned_are_woken(lists: DeviceLists) -> None:
    for reader in (ALICE, BOB, MALLORY):
        await lists.awake.get(reader)
    waiters = {reader: lists.announcer.waiter(reader) for reader in (ALICE, BOB, MALLORY)}
    await lists.announce(ALICE)
    assert [reader for reader, waiter in waiters.items() if waiter.done()] == [ALICE, BOB]


async def test_only_the_newest_change_is_kept(lists: DeviceLists) -> None:
    for _ in range(3):
        await lists.announce(ALICE)
    middle = lists.stream.current - 1
    assert await changed(lists, BOB, middle) == {ALICE}
    rows = await lists.queries.fetch("SELECT position FROM device_list_changes")
    assert [row[0] for row in rows] == [lists.stream.current]


async def test_recent_changes_are_told_without_a_statement(lists: DeviceLists, database: Database) -> None:
    for reader in (ALICE, BOB):
        await lists.awake.get(reader)
    await lists.announce(ALICE)
    before = database.statements
    assert await lists.changed(BOB, 0) == {ALICE}
    assert database.statements == before
