"""Alpha was away while others talked: what it fetches when the next event comes, and what Alice sees of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clock import FakeClock
from tests.federation.conftest import Home
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Asked, Peer, Refusal
from tests.federation.shared_rooms import BOB, shared_room


@pytest.fixture
def bobs(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


def gives_no_missing_events(bobs: ForeignServer) -> None:
    def refuse(asked: Asked) -> Any:
        raise Refusal(403, "M_FORBIDDEN")

    bobs.peer.serves("POST", f"{V1}/get_missing_events/{{room_id}}", refuse)


@pytest.mark.parametrize("version", ["1", "6", "12"])
async def test_what_was_said_meanwhile_is_fetched(alpha: Home, bobs: ForeignServer, version: str) -> None:
    alice, room = await shared_room(alpha, bobs, version=version)
    await alice.sync()
    meanwhile = [room.send(BOB, str(number)) for number in range(7)]
    now = room.send(BOB, "now")
    assert await bobs.send(alpha.server, [now]) == {now.event_id: {}}
    sync = await alice.sync()
    assert sync.event_ids(room.room_id) == [event.event_id for event in (*meanwhile, now)]
    assert not sync.room(room.room_id)["timeline"].get("limited")


@pytest.mark.parametrize("version", ["2", "10", "12"])
async def test_where_that_is_not_given_the_state_is_taken_over(alpha: Home, bobs: ForeignServer, version: str) -> None:
    alice, room = await shared_room(alpha, bobs, version=version)
    await alice.sync()
    gives_no_missing_events(bobs)
    room.send(BOB, "lost")
    renamed = room.member(BOB, "join", content={"displayname": "Bob"})
    eve = room.member("@eve:peer.example", "join")
    last = room.send(BOB, "lost too")
    now = room.send("@eve:peer.example", "now")
    assert await bobs.send(alpha.server, [now]) == {now.event_id: {}}
    sync = await alice.sync()
    assert sync.event_ids(room.room_id)[-1] == now.event_id
    # What is missing is written down, for readers who get there.
    gaps = await alpha.server.application.base.database.fetch("SELECT missing FROM timeline_gaps")
    assert [row["missing"] for row in gaps] == [[last.event_id]]
    assert (await alice.state(room.room_id, "m.room.member", BOB))["displayname"] == "Bob"
    joined = await alice.get(("rooms", room.room_id, "joined_members"))
    assert set(joined["joined"]) == {alice.user_id, BOB, "@eve:peer.example"}
    # The next ones are built on what is here.
    heard = len(bobs.peer.heard)
    after = room.send(BOB, "after")
    assert await bobs.send(alpha.server, [after]) == {after.event_id: {}}
    assert len(bobs.peer.heard) == heard
    known = await alpha.server.application.foreign.standings([renamed.event_id, eve.event_id])
    assert len(known) == 2


async def test_a_told_state_does_not_undo_what_alice_did(
    alpha: Home, bobs: ForeignServer, clock: FakeClock
) -> None:  # fmt: skip
    """Bob's server has not seen that Alice closed the room, and tells the state as it knows it."""
    alice, room = await shared_room(alpha, bobs)
    gives_no_missing_events(bobs)
    clock.advance(seconds=1)  # of two rules of the same moment, either may win
    await alice.set_state(room.room_id, "m.room.join_rules", {"join_rule": "invite"})
    await alice.set_state(room.room_id, "m.room.topic", {"topic": "closed"})
    room.send(BOB, "lost")
    now = room.send(BOB, "now")
    assert await bobs.send(alpha.server, [now]) == {now.event_id: {}}
    assert await alice.state(room.room_id, "m.room.join_rules") == {"join_rule": "invite"}
    assert await alice.state(room.room_id, "m.room.topic") == {"topic": "closed"}
    event_id = await alice.send(room.room_id, "reply")
    (reply,) = (await alpha.server.application.foreign.pdus.events([event_id])).values()
    assert now.event_id in reply.prev_event_ids


async def test_events_that_two_servers_bring_are_shown_once(alpha: Home, bobs: ForeignServer) -> None:
    alice, room = await shared_room(alpha, bobs)
    await alice.sync()
    between, now = room.send(BOB, "between"), room.send(BOB, "now")
    await bobs.send(alpha.server, [now])
    assert await bobs.send(alpha.server, [between, now]) == {between.event_id: {}, now.event_id: {}}
    assert (await alice.sync()).event_ids(room.room_id) == [between.event_id, now.event_id]
