"""How many statements a change of roles takes: so many for each room, whoever many people are concerned."""

from __future__ import annotations

from tests.cast import Server
from tests.services.roles.harbour import apply, assign, channel, define, plan, space_of

PLAN = 1
EACH_ROOM = 8
"""Which changes are next; a transaction that writes the events, marks the changes as done and remembers what stands there
now; how far the order is.
"""
ORDER = 16
"""The order with its changes, its audit entry and its end, and what the test itself asks for."""


async def test_a_change_of_roles(server: Server) -> None:
    alice = await server.register("alice")
    database = server.application.base.database
    space_id, rooms, holders = await space_of(alice), 1, 0
    await define(alice, space_id)
    for more_rooms, more_people in ((2, 2), (4, 12)):
        for _ in range(more_rooms):
            await channel(alice, space_id)
        rooms += more_rooms
        for _ in range(more_people):
            holders += 1
            person = await server.register(f"person{holders}")
            await person.join(space_id)
            await assign(alice, space_id, person, "crew")
        before = database.statements
        assert len((await plan(alice, space_id))["changes"]) >= rooms
        assert database.statements - before == PLAN
        before = database.statements
        assert (await apply(server, alice, space_id))["failed"] == []
        assert database.statements - before <= PLAN + ORDER + rooms * EACH_ROOM
