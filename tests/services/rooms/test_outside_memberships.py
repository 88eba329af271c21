"""Invitations and knocks of rooms that this server is not in: kept, shown, ended."""

from __future__ import annotations

import asyncio

import pytest

from homeserver.protocol.errors import Forbidden
from homeserver.protocol.events import Event
from homeserver.services.rooms.outside import OutsideMemberships
from tests.cast import Client, Server
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.homeserver import SIGNING_KEY
from tests.services.rooms.elsewhere import OURS, Lair

NAME = b'{"type":"m.room.name","state_key":"","sender":"@mallory:peer.example","content":{"name":"Lair \\u0000"}}'
RULES = b'{"type":"m.room.join_rules","state_key":"","sender":"@mallory:peer.example","content":{"join_rule":"invite"}}'


def invitation(room: ForeignRoom, user: Client) -> Event:
    return room.build(MALLORY, "m.room.member", {"membership": "invite"}, user.user_id)


def outside(server: Server) -> OutsideMemberships:
    memberships: OutsideMemberships = server.application.kernel.outside
    return memberships


def forget_memory(server: Server) -> None:
    """As after a restart: neither the news nor anybody's memberships are in memory."""
    application = server.application
    application.kernel.writer.recent.forget_up_to(application.kernel.writer.position.current)
    application.base.awake._users.clear()


@pytest.mark.parametrize("cold", [False, True])
async def test_bob_is_woken_by_an_invitation_and_sees_what_is_known_of_the_room(server: Server, cold: bool) -> None:
    bob, room = await server.register("bob"), ForeignRoom.create()
    await bob.sync()
    waiting = asyncio.create_task(bob.sync(timeout=30_000))
    await asyncio.sleep(0.05)
    since = bob.next_batch
    await outside(server).record(invitation(room, bob), [NAME, RULES])
    answer = await asyncio.wait_for(waiting, 5)
    if cold:
        forget_memory(server)
        answer = await bob.sync(since=since)
    events = answer["rooms"]["invite"][room.room_id]["invite_state"]["events"]
    assert [event["type"] for event in events] == ["m.room.name", "m.room.join_rules"]
    assert events[0]["content"] == {"name": "Lair \0"}
    assert "rooms" not in await bob.sync()
    assert room.room_id in (await bob.sync(since=None))["rooms"]["invite"]
    await bob.get(("rooms", room.room_id, "state"), expect=403)


@pytest.mark.parametrize("cold", [False, True])
async def test_a_declined_invitation_goes(server: Server, cold: bool) -> None:
    bob, room = await server.register("bob"), ForeignRoom.create()
    room.keys[OURS] = SIGNING_KEY
    invite = invitation(room, bob)
    await outside(server).record(invite, [NAME])
    await bob.sync()
    no = room.build(bob.user_id, "m.room.member", {"membership": "leave"}, bob.user_id, auth=[invite.event_id])
    await outside(server).record(no)
    if cold:
        forget_memory(server)
    answer = await bob.sync()
    assert answer.event_ids(room.room_id, "leave") == [no.event_id]
    assert "invite" not in answer["rooms"]
    assert "rooms" not in await bob.sync(since=None)
    assert await server.application.base.database.fetchval("SELECT count(*) FROM stripped_states") == 0


async def test_a_knock_is_shown_as_one(server: Server) -> None:
    bob, room = await server.register("bob"), ForeignRoom.create()
    room.keys[OURS] = SIGNING_KEY
    await bob.sync()
    knock = room.build(bob.user_id, "m.room.member", {"membership": "knock"}, bob.user_id)
    await outside(server).record(knock, [NAME])
    state = (await bob.sync())["rooms"]["knock"][room.room_id]["knock_state"]["events"]
    assert [event["content"] for event in state] == [{"name": "Lair \0"}]


async def test_an_invitation_is_not_lost_among_plain_news(server: Server) -> None:
    bob, room = await server.register("bob"), ForeignRoom.create()
    room_id = await bob.create_room()
    await bob.sync()
    event_id = await bob.send(room_id, "hello")
    await outside(server).record(invitation(room, bob), [])
    answer = await bob.sync()
    assert answer.event_ids(room_id) == [event_id]
    assert answer["rooms"]["invite"][room.room_id]["invite_state"]["events"] == []


async def test_the_same_invitation_twice_is_told_again_and_kept_once(server: Server) -> None:
    bob, room = await server.register("bob"), ForeignRoom.create()
    invite = invitation(room, bob)
    await outside(server).record(invite, [NAME])
    await bob.sync()
    await outside(server).record(invite, [RULES])
    events = (await bob.sync())["rooms"]["invite"][room.room_id]["invite_state"]["events"]
    assert [event["type"] for event in events] == ["m.room.join_rules"]
    rows = await server.application.base.database.fetch("SELECT event_nid, position, flags FROM events")
    assert [(row[1], row[2]) for row in rows] == [(None, 64)]


async def test_an_invitation_that_is_void_leaves_no_trace(server: Server) -> None:
    bob, room = await server.register("bob"), ForeignRoom.create()
    await outside(server).record(invitation(room, bob), [NAME])
    await outside(server).forget(bob.user_id, room.room_id)
    assert "rooms" not in await bob.sync(since=None)
    forget_memory(server)
    assert "rooms" not in await bob.sync(since=None)
    # Of rooms that Bob is in he is not put out by it.
    lair = await Lair.enter(server, bob, ForeignRoom.create(name="other"))
    await outside(server).forget(bob.user_id, lair.room.room_id)
    forget_memory(server)
    assert lair.room.room_id in (await bob.sync(since=None))["rooms"]["join"]


async def test_an_event_of_a_room_we_are_in_is_no_invitation_from_outside(server: Server) -> None:
    bob, carol = await server.register("bob"), await server.register("carol")
    lair = await Lair.enter(server, bob)
    invite = lair.room.member(carol.user_id, "invite", sender=MALLORY)
    await lair.arrive(invite)
    with pytest.raises(Forbidden):
        await outside(server).record(invite, [NAME])
    stripped = (await carol.sync())["rooms"]["invite"][lair.room.room_id]["invite_state"]["events"]
    assert "m.room.create" in {event["type"] for event in stripped}


async def test_bob_joins_the_room_he_was_invited_to(server: Server) -> None:
    bob, room = await server.register("bob"), ForeignRoom.create()
    invite = room.add(invitation(room, bob))
    await outside(server).record(invite, [NAME])
    await bob.sync()
    lair = await Lair.enter(server, bob, room)
    answer = await bob.sync()
    assert list(answer["rooms"]) == ["join"]
    part = answer.room(room.room_id)
    assert part["timeline"]["limited"] is True
    # He sees what he was before, and the room as it is.
    assert ("m.room.member", bob.user_id) in {(event["type"], event["state_key"]) for event in part["state"]["events"]}
    assert await server.application.base.database.fetchval("SELECT count(*) FROM stripped_states") == 0
    await lair.check_memory()
    # Later, when all of ours have left, he is invited anew: what was known before is not what he is shown.
    await lair.arrive(room.member(bob.user_id, "leave", sender=MALLORY))
    await bob.sync()
    again = invitation(room, bob)
    await outside(server).record(again, [RULES])
    events = (await bob.sync())["rooms"]["invite"][room.room_id]["invite_state"]["events"]
    assert [event["type"] for event in events] == ["m.room.join_rules"]
