"""Servers that are away, refuse, or were never in the room: who gets what once they are back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from homeserver.storage.database import Database
from tests.clock import FakeClock
from tests.federation.asker import all_is_told, member, stores
from tests.federation.conftest import ALPHA, Home, World, running_home
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Asked, Peer, Refusal
from tests.federation.shared_rooms import BOB, shared_room
from tests.federation.test_sending import WAIT_SECONDS, device_keys, edus, event_bodies, goes_away, say_all, until

CAROL = "@carol:peer.example"


@pytest.fixture
def bobs(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


async def speaks(bobs: ForeignServer, alpha: Home) -> None:
    """Anything that the other server asks."""
    await bobs.ask(alpha.server, "GET", f"{V1}/query/profile?user_id=@alice:{ALPHA}")


async def is_left_alone(alpha: Home, bobs: ForeignServer) -> None:
    pauses = alpha.server.application.federation.client.pauses
    await until(lambda: pauses.retry_at_ms(bobs.name) > 0)


def members(bobs: ForeignServer, user_id: str) -> list[str]:
    """The memberships of a user that have arrived."""
    pdus = [pdu for transaction in bobs.received for pdu in transaction["pdus"]]
    return [pdu["content"]["membership"] for pdu in pdus if pdu.get("state_key") == user_id]


async def test_who_was_only_invited_reads_nothing(alpha: Home, bobs: ForeignServer) -> None:
    """Bob's invitation is taken back while his server is away. It hears of that, and of nothing that was said."""
    alice, open_room = await shared_room(alpha, bobs)
    secret_room = await alice.create_room()
    await stores(alpha.server, secret_room, member(CAROL, "invite", alice.user_id))
    come_back = goes_away(bobs)
    await alice.send(open_room.room_id, "open")
    await is_left_alone(alpha, bobs)
    await alice.send(secret_room, "secret")
    await alice.kick(secret_room, CAROL)
    come_back()
    await speaks(bobs, alpha)
    await until(lambda: members(bobs, CAROL) == ["leave"])
    assert event_bodies(bobs) == ["open"]


async def test_no_character_in_an_invitation_ends_what_is_told(alpha: Home, bobs: ForeignServer) -> None:
    """PostgreSQL reads no JSON that has NUL characters in it; anybody may invite somebody with some."""
    alice, open_room = await shared_room(alpha, bobs)
    other_room = await alice.create_room()
    invitation = member(CAROL, "invite", alice.user_id)
    invitation.content["reason"] = "come\0in"
    await stores(alpha.server, other_room, invitation)
    come_back = goes_away(bobs)
    await alice.send(open_room.room_id, "one")
    await is_left_alone(alpha, bobs)
    await alice.send(other_room, "among ourselves")
    await alice.send(open_room.room_id, "two")
    come_back()
    await speaks(bobs, alpha)
    await until(lambda: event_bodies(bobs) == ["one", "two"])


async def test_who_joined_later_gets_what_came_later(alpha: Home, bobs: ForeignServer) -> None:
    alice, open_room = await shared_room(alpha, bobs)
    other_room = await alice.create_room()
    come_back = goes_away(bobs)
    await alice.send(open_room.room_id, "one")
    await is_left_alone(alpha, bobs)
    await alice.send(other_room, "among ourselves")
    await stores(alpha.server, other_room, member(CAROL, "invite", alice.user_id), member(CAROL, "join"))
    await alice.send(other_room, "two")
    await alice.kick(other_room, CAROL)
    await alice.send(other_room, "among ourselves again")
    await alice.send(open_room.room_id, "three")
    come_back()
    await speaks(bobs, alpha)
    await until(lambda: event_bodies(bobs) == ["one", "two", "three"])
    assert members(bobs, CAROL)[-1] == "leave"


async def test_a_killed_server_tells_what_it_could_not_write_down(world: World, bobs: ForeignServer) -> None:
    """As after kill -9: nothing of the last second about other servers is in the database, only events and keys are."""
    database = await world.postgres.clone()
    try:
        async with running_home(ALPHA, 1, world, database=database) as alpha:
            alice, room = await shared_room(alpha, bobs)
            await alice.send(room.room_id, "before")
            await until(lambda: event_bodies(bobs) == ["before"])
            queries = alpha.server.application.base.database
            newest, lists = await queries.fetchrow(
                "SELECT max(position), (SELECT coalesce(max(position), 0) FROM device_list_changes) FROM events"
            )
            goes_away(bobs)
            await say_all(alice, room.room_id, ["one", "two"])
            await alice.post("keys/upload", {"device_keys": device_keys(alice)})
        await forget_what_was_noted(world, database, newest, lists)
        ForeignServer(bobs.peer, received=bobs.received)  # and is back
        world.clock.advance(hours=2)
        async with running_home(ALPHA, 1, world, database=database):
            await until(lambda: event_bodies(bobs) == ["before", "one", "two"])
            (update,) = await until(lambda: edus(bobs, "m.device_list_update"))
            assert (update["user_id"], update["device_id"]) == (alice.user_id, alice.device_id)
    finally:
        await world.postgres.drop(database)


async def forget_what_was_noted(world: World, name: str, newest: int, lists: int) -> None:
    database = Database(world.postgres.dsn_of(name))
    for statement in ("DELETE FROM destinations", "DELETE FROM device_changes"):
        await database.execute(statement)
    await database.execute(
        "UPDATE outbound_progress SET position = $1, devices = 0, lists_position = $2", newest, lists
    )
    await database.close()


async def test_device_changes_of_an_outage(alpha: Home, bobs: ForeignServer) -> None:
    """Each device's newest change arrives, once; what was told before is not told again."""
    alice, room = await shared_room(alpha, bobs)
    await alice.post("keys/upload", {"device_keys": device_keys(alice)})
    await until(lambda: edus(bobs, "m.device_list_update"))
    come_back = goes_away(bobs)
    await alice.send(room.room_id, "hello?")
    await is_left_alone(alpha, bobs)
    phone, tablet = await alice.login(), await alice.login()
    await phone.post("keys/upload", {"device_keys": device_keys(phone)})
    await tablet.post("keys/upload", {"device_keys": device_keys(tablet)})
    come_back()
    await speaks(bobs, alpha)
    updates = await until(lambda: edus(bobs, "m.device_list_update")[2:])
    assert [each["device_id"] for each in edus(bobs, "m.device_list_update")][1:] == [phone.device_id, tablet.device_id]
    assert updates[-1]["prev_id"] == [edus(bobs, "m.device_list_update")[1]["stream_id"]]


async def test_who_comes_into_a_room_brings_his_devices(alpha: Home, bobs: ForeignServer) -> None:
    _, room = await shared_room(alpha, bobs)
    dora = await alpha.server.register("dora")
    await dora.post("keys/upload", {"device_keys": device_keys(dora)})
    await all_is_told(alpha.server)
    await dora.join(room.room_id)
    (update,) = await until(lambda: edus(bobs, "m.device_list_update"))
    assert (update["user_id"], update["keys"]["device_id"]) == (dora.user_id, dora.device_id)
    await dora.put(("profile", dora.user_id, "displayname"), {"displayname": "Dora"})
    await until(lambda: len(members(bobs, dora.user_id)) == 2)
    assert len(edus(bobs, "m.device_list_update")) == 1  # a new name is no new device


async def test_what_a_server_does_not_take_holds_up_nothing_else(
    alpha: Home, bobs: ForeignServer, clock: FakeClock
) -> None:
    alice, room = await shared_room(alpha, bobs)
    working = bobs.peer.operations[("PUT", f"{V1}/send/{{txn_id}}")]

    def picky(asked: Asked) -> Any:
        if "poison" in str(asked.body):
            raise Refusal(400, "M_BAD_JSON")
        return working(asked)

    goes_away(bobs)
    await alice.send(room.room_id, "hello?")
    await is_left_alone(alpha, bobs)
    await say_all(alice, room.room_id, ["one", "poison", "two"])
    bobs.peer.serves("PUT", f"{V1}/send/{{txn_id}}", picky)
    await speaks(bobs, alpha)
    await until(lambda: event_bodies(bobs) == ["hello?", "one"])

    def later() -> bool:
        """Each refusal is followed by a pause of its own."""
        clock.advance(seconds=1)
        return event_bodies(bobs) == ["hello?", "one", "two"]

    await until(later)


async def test_a_server_that_refuses_is_not_asked_for_each_event(
    alpha: Home, bobs: ForeignServer, clock: FakeClock
) -> None:
    """Somebody else has the domain now, and his pages are all 404."""
    alice, room = await shared_room(alpha, bobs)
    working = bobs.peer.operations[("PUT", f"{V1}/send/{{txn_id}}")]
    asked: list[Asked] = []

    def refuses(request: Asked) -> Any:
        asked.append(request)
        raise Refusal(404, "M_UNRECOGNIZED")

    bobs.peer.serves("PUT", f"{V1}/send/{{txn_id}}", refuses)
    memory = alpha.server.application.base.life.memory["sending"]
    for word in ("one", "two", "three"):
        await alice.send(room.room_id, word)
        await until(lambda: asked and memory()["sending"] == 0)
    assert len(asked) == 1
    bobs.peer.serves("PUT", f"{V1}/send/{{txn_id}}", working)
    clock.advance(seconds=10)
    await until(lambda: event_bodies(bobs) == ["one", "two", "three"])


async def test_what_is_remembered_of_a_dead_server(alpha: Home, bobs: ForeignServer, clock: FakeClock) -> None:
    """One row, which further events do not touch."""
    alice, room = await shared_room(alpha, bobs)
    database = alpha.server.application.base.database
    goes_away(bobs)
    await alice.send(room.room_id, "one")
    await is_left_alone(alpha, bobs)

    async def row() -> Any:
        clock.advance(seconds=1)
        return await database.fetchrow("SELECT xmin, * FROM destinations WHERE destination = $1", bobs.name)

    before = await until_row(row)
    await say_all(alice, room.room_id, [str(number) for number in range(20)])
    assert await row() == before
    memory = alpha.server.application.base.life.memory["sending"]()
    assert (memory["events"], memory["sending"]) == (0, 0)


async def until_row(row: Callable[[], Awaitable[Any]]) -> Any:
    """Ask the database until it has the row."""
    async with asyncio.timeout(WAIT_SECONDS):
        while (found := await row()) is None:
            await asyncio.sleep(0.01)
    return found


async def test_receipts_for_a_server_that_is_away(alpha: Home, bobs: ForeignServer) -> None:
    """The newest of each reader is kept; who typed is forgotten."""
    alice, room = await shared_room(alpha, bobs)
    hello, again = room.send(BOB, "hello"), room.send(BOB, "again")
    await bobs.send(alpha.server, [hello, again])
    come_back = goes_away(bobs)
    await alice.send(room.room_id, "one")
    await is_left_alone(alpha, bobs)
    await alice.put(("rooms", room.room_id, "typing", alice.user_id), {"typing": True})
    for event in (hello, again):
        await alice.post(("rooms", room.room_id, "receipt", "m.read", event.event_id))
    come_back()
    await speaks(bobs, alpha)
    (receipt,) = await until(lambda: edus(bobs, "m.receipt"))
    assert receipt[room.room_id]["m.read"][alice.user_id]["event_ids"] == [again.event_id]
    assert edus(bobs, "m.typing") == []


async def test_who_came_through_our_door_is_announced_by_us(alpha: Home, beta: Home, bobs: ForeignServer) -> None:
    """Erin of beta joins by way of alpha; peer is in the room and hears of it, also if it was away."""
    _, room = await shared_room(alpha, bobs)
    come_back = goes_away(bobs)
    erin = await beta.server.register("erin")
    await erin.post(("join", room.room_id), via=[ALPHA])
    await is_left_alone(alpha, bobs)
    come_back()
    await speaks(bobs, alpha)
    await until(lambda: members(bobs, erin.user_id) == ["join"])
