"""Bob at beta is in Alice's room at alpha; Ada, who administers beta, deletes it there."""

from __future__ import annotations

import asyncio

from homeserver.services.room_removal.delete_room import TELLING_MS
from tests.cast import Client
from tests.clock import FakeClock
from tests.federation.conftest import ALPHA, Home
from tests.voice.waiting import until

ROOMS = "/_synapse/admin/v2/rooms"


async def join_elsewhere(bob: Client, room_id: str) -> None:
    await bob.post(("join", room_id), {}, via=ALPHA)


async def deleted(ada: Client, home: Home, room_id: str, clock: FakeClock, **body: object) -> None:
    """Until it is done."""
    delete_id = (await ada.delete(f"{ROOMS}/{room_id}", body))["delete_id"]
    tasks = home.server.application.moderation.tasks
    task = await tasks.get("delete_room", delete_id)
    await until(lambda: task.progress.get("stage") == "close", "the last departure")
    assert (await ada.get(f"{ROOMS}/delete_status/{delete_id}"))["status"] == "active"
    clock.advance(ms=TELLING_MS + 2_000)
    async with asyncio.timeout(10):
        await tasks.settled()
    assert task.status == "complete", task.error


async def test_the_others_are_told_and_bob_can_come_back(alpha: Home, beta: Home, clock: FakeClock) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    ada = await beta.server.administrator()
    room_id = await alice.create_room(preset="public_chat", name="Tea")
    await alice.send(room_id, "before")
    await join_elsewhere(bob, room_id)
    await bob.send(room_id, "hello")
    assert room_id in (await bob.sync())["rooms"]["join"]
    await deleted(ada, beta, room_id, clock)
    assert room_id in (await bob.sync())["rooms"]["leave"]
    application = alpha.server.application
    room = await application.base.cache.get(room_id)
    await until(lambda: room.membership(bob.user_id) == "leave", "alpha hears that Bob has left")
    database = beta.server.application.base.database
    number = await database.fetchval("SELECT room_nid FROM rooms WHERE room_id = $1", room_id)
    assert await database.fetchval("SELECT count(*) FROM events WHERE room_nid = $1", number) == 1
    # What alpha still says of the room is nothing to beta.
    await alice.send(room_id, "without bob")
    assert (await bob.get("joined_rooms"))["joined_rooms"] == []
    await join_elsewhere(bob, room_id)
    await alice.send(room_id, "welcome back")
    answer = await bob.sync_until(
        lambda answer: any(event["content"].get("body") == "welcome back" for event in answer.timeline(room_id))
    )
    assert answer
    event_id = await bob.send(room_id, "here again")
    await alice.sync_until(lambda answer: event_id in answer.event_ids(room_id))
    assert (await bob.state(room_id, "m.room.name"))["name"] == "Tea"


async def test_a_blocked_room_invites_nobody_of_ours(alpha: Home, beta: Home, clock: FakeClock) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    ada = await beta.server.administrator()
    room_id = await alice.create_room(preset="public_chat")
    await join_elsewhere(bob, room_id)
    await deleted(ada, beta, room_id, clock, block=True)
    await alice.invite(room_id, bob, expect=(403, "M_FORBIDDEN"))
    await bob.post(("join", room_id), {}, via=ALPHA, expect=(403, "M_FORBIDDEN"))
    await bob.post(("knock", room_id), {}, via=ALPHA, expect=(403, "M_FORBIDDEN"))
    assert "invite" not in (await bob.sync()).get("rooms", {})


async def test_an_invitation_that_waits_is_declined_with_the_room(alpha: Home, beta: Home, clock: FakeClock) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    ada = await beta.server.administrator()
    room_id = await alice.create_room()
    await alice.invite(room_id, bob)
    assert room_id in (await bob.sync())["rooms"]["invite"]
    await ada.delete(f"{ROOMS}/{room_id}", {})
    async with asyncio.timeout(10):
        await beta.server.application.moderation.tasks.settled()
    answer = await bob.sync()
    assert room_id in answer["rooms"]["leave"]
    room = await alpha.server.application.base.cache.get(room_id)
    assert room.membership(bob.user_id) == "leave"


async def test_a_room_whose_history_was_purged_goes_on_between_servers(alpha: Home, beta: Home) -> None:
    """Alpha has the room's state outside of its timeline afterwards, and lets others in and speaks with them all the same."""
    alice, ada = await alpha.server.register("alice"), await alpha.server.administrator()
    bob, carol = await beta.server.register("bob"), await beta.server.register("carol")
    room_id = await alice.create_room(preset="public_chat", name="Tea")
    await join_elsewhere(bob, room_id)
    said = [await bob.send(room_id, "from beta"), await alice.send(room_id, "from alpha")]
    await bob.sync_until(lambda answer: said[1] in answer.event_ids(room_id))
    last = await bob.send(room_id, "last")
    await alice.sync_until(lambda answer: last in answer.event_ids(room_id))
    wish = {"purge_up_to_event_id": last, "delete_local_events": True}
    await ada.post(f"/_synapse/admin/v1/purge_history/{room_id}", wish)
    async with asyncio.timeout(10):
        await alpha.server.application.moderation.tasks.settled()
    # Scrolling up fetches nothing of it.
    await alice.sync()
    assert [event["event_id"] for event in (await alice.messages(room_id))["chunk"]] == [last]
    assert (await alice.get(("rooms", room_id, "event", said[0]), expect=404))["errcode"] == "M_NOT_FOUND"
    # Beta leaves for good, and Carol comes: all that she knows of the room is from alpha.
    await bob.leave(room_id)
    room = await alpha.server.application.base.cache.get(room_id)
    await until(lambda: room.membership(bob.user_id) == "leave", "alpha hears that Bob has left")
    await join_elsewhere(carol, room_id)
    assert (await carol.state(room_id, "m.room.name"))["name"] == "Tea"
    hello = await carol.send(room_id, "hello")
    await alice.sync_until(lambda answer: hello in answer.event_ids(room_id))
    topic = (await alice.set_state(room_id, "m.room.topic", {"topic": "leaves"}))["event_id"]
    await carol.sync_until(lambda answer: topic in answer.event_ids(room_id))
    assert set((await alice.get(("rooms", room_id, "joined_members")))["joined"]) == {alice.user_id, carol.user_id}
