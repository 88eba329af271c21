"""Changes of devices and keys are found and numbered for many users at once, and other servers hear of each of them."""

from __future__ import annotations

import asyncio
from typing import Any

from homeserver.storage.database import Database
from homeserver.storage.device_changes import DeviceChangeRows, Newcomer
from tests.cast import Client, Server
from tests.federation.asker import all_is_told, member, stores
from tests.signers import publish

ALICE, BOB = "@alice:test", "@bob:test"


async def recorded(q: Database) -> dict[tuple[str, str], tuple[int, int | None, bool]]:
    rows = await q.fetch("SELECT user_id, device_id, stream_id, prev_id, deleted FROM device_changes")
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}


async def test_twenty_users_cost_as_many_statements_as_one(server: Server) -> None:
    database, lists = server.application.base.database, server.application.encryption.device_lists
    users = [await server.register(f"user{number}") for number in range(20)]
    room_id = await users[0].create_room(preset="public_chat")
    await stores(server, room_id, member("@carol:elsewhere.example", "join"))
    await asyncio.gather(*(user.join(room_id) for user in users[1:]))
    await asyncio.gather(*(publish(user) for user in users))
    await all_is_told(server)
    costs = []
    for changed in (users[:1], users):
        await database.execute("UPDATE device_changes SET digest = '' WHERE user_id = ANY($1)", ids(changed))
        before = database.statements
        async with lists.changing(*ids(changed)) as change:
            await change.record(database)
        await all_is_told(server)
        costs.append(database.statements - before)
        numbers = [number for number, _, _ in (await recorded(database)).values()]
        assert sum(number > max(numbers) - len(changed) for number in numbers) == len(changed)
    # Recorded as changed; devices, signing keys, what changed about them, and who shares a room. Then carol's server is told.
    assert costs[0] == costs[1]
    assert costs[1] <= 12


def ids(users: list[Client]) -> list[str]:
    return [user.user_id for user in users]


async def test_each_users_changes_follow_each_other(database: Database) -> None:
    """ "prev_id": of the same user's change before, whoever else changed something meanwhile."""
    rows = DeviceChangeRows()
    first = await rows.record(database, [ALICE, BOB], [(ALICE, "A", b"1"), (BOB, "B", b"1"), (ALICE, "C", b"1")])
    before = await recorded(database)
    assert before[BOB, "B"][1] is None
    alices = sorted([before[ALICE, "A"], before[ALICE, "C"]])
    assert [prev for _, prev, _ in alices] == [None, alices[0][0]]
    assert first == {ALICE: (alices[0][0], alices[1][0]), BOB: (before[BOB, "B"][0],) * 2}

    second = await rows.record(database, [ALICE, BOB], [(ALICE, "A", b"2"), (BOB, "B", b"1")])
    after = await recorded(database)
    assert after[BOB, "B"] == before[BOB, "B"]
    assert [after[ALICE, "A"][2], after[ALICE, "C"][2]] == [False, True]
    assert min(after[ALICE, "A"], after[ALICE, "C"])[1] == first[ALICE][1]
    assert list(second) == [ALICE]

    third = await rows.renumber(database, [ALICE, BOB, "@nobody:test"])
    renumbered = await recorded(database)
    assert renumbered[ALICE, "A"] == (third[ALICE][0], second[ALICE][1], False)
    assert renumbered[BOB, "B"] == (third[BOB][0], first[BOB][1], False)
    assert renumbered[ALICE, "C"] == after[ALICE, "C"]


async def test_servers_are_those_of_each_users_own_rooms(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    for user, other in ((alice, "@carol:one.example"), (bob, "@dave:two.example")):
        room_id = await user.create_room(preset="public_chat")
        await stores(server, room_id, member(other, "join"))
    found = await DeviceChangeRows().sharing_servers(server.application.base.database, [ALICE, BOB, "@nobody:test"])
    assert found == {ALICE: {"test", "one.example"}, BOB: {"test", "two.example"}}


async def test_a_server_is_new_to_a_user_who_comes_into_two_of_its_rooms(server: Server) -> None:
    """Whichever of the two is looked at first: the other one was not there before it."""
    alice, bob = await server.register("alice"), await server.register("bob")
    database: Any = server.application.base.database
    rooms = [await bob.create_room(preset="public_chat") for _ in range(3)]
    for room_id in rooms:
        await stores(server, room_id, member("@carol:one.example", "join"))
        await alice.join(room_id)
    rows = await database.fetch(
        "SELECT room_nid, position FROM memberships WHERE user_id = $1 ORDER BY position", alice.user_id
    )
    comers = [Newcomer(ALICE, row["room_nid"], row["position"], ["one.example", "test"]) for row in rows]
    changes = DeviceChangeRows()
    assert await changes.strangers(database, comers[:2]) == {ALICE: {"one.example", "test"}}
    assert await changes.strangers(database, comers[1:]) == {}
