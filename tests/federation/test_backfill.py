"""Alice of alpha has joined a room at Mallory's server and reads what was said before."""

from __future__ import annotations

import json as jsonlib
from typing import Any

import pytest

from homeserver.services.timeline.gaps import MAX_FILLS
from tests.cast import Client
from tests.clock import FakeClock
from tests.federation.conftest import Home
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Peer


@pytest.fixture
def mallory(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


@pytest.fixture
async def alice(alpha: Home) -> Client:
    return await alpha.server.register("alice")


def chatty(mallory: ForeignServer, count: int, version: str = "11", **more: Any) -> ForeignRoom:
    room = mallory.host(ForeignRoom.create(version, **more))
    for number in range(count):
        room.send(MALLORY, str(number))
    return room


async def enter(alice: Client, room: ForeignRoom) -> None:
    await alice.post(("join", room.room_id), {}, via="peer.example")


async def read_back(alice: Client, room: ForeignRoom, limit: int = 30, pages: int = 60) -> list[dict[str, Any]]:
    """All that /messages gives, newest first."""
    events: list[dict[str, Any]] = []
    end: str | None = None
    for _ in range(pages):
        page = await alice.get(("rooms", room.room_id, "messages"), dir="b", limit=limit, **{"from": end})
        events += page["chunk"]
        end = page.get("end")
        if end is None:
            break
    return events


def texts(events: list[dict[str, Any]]) -> list[str | None]:
    return [event["content"].get("body") for event in events if event["type"] == "m.room.message"]


def backfills(mallory: ForeignServer) -> list[str]:
    return [path for path in mallory.peer.paths() if path.startswith(f"{V1}/backfill")]


async def test_alice_reads_to_the_beginning(alice: Client, mallory: ForeignServer) -> None:
    room = chatty(mallory, 250)
    await enter(alice, room)
    events = await read_back(alice, room)
    assert texts(events) == [str(number) for number in range(249, -1, -1)]
    assert events[-1]["type"] == "m.room.create"
    assert len({event["event_id"] for event in events}) == len(events)
    asked = len(backfills(mallory))
    assert asked <= 4
    assert texts(await read_back(alice, room)) == texts(events)
    assert len(backfills(mallory)) == asked


async def test_alice_reads_from_the_beginning(alice: Client, mallory: ForeignServer) -> None:
    room = chatty(mallory, 150)
    await enter(alice, room)
    await read_back(alice, room)
    page = await alice.get(("rooms", room.room_id, "messages"), dir="f", limit=20)
    assert page["chunk"][0]["type"] == "m.room.create"
    assert texts(page["chunk"]) == [str(number) for number in range(20 - 5)]


async def test_state_of_then(alice: Client, mallory: ForeignServer) -> None:
    room = chatty(mallory, 3)
    room.set(MALLORY, "m.room.topic", {"topic": "old"})
    then = room.send(MALLORY, "then")
    room.set(MALLORY, "m.room.topic", {"topic": "new"})
    room.send(MALLORY, "now")
    await enter(alice, room)
    await read_back(alice, room)
    context = await alice.get(("rooms", room.room_id, "context", then.event_id), limit=0)
    assert [event["content"] for event in context["state"] if event["type"] == "m.room.topic"] == [{"topic": "old"}]
    assert await alice.state(room.room_id, "m.room.topic") == {"topic": "new"}


async def test_what_is_hidden_from_newcomers_stays_hidden(alice: Client, mallory: ForeignServer) -> None:
    room = chatty(mallory, 5)
    room.set(MALLORY, "m.room.history_visibility", {"history_visibility": "joined"})
    room.send(MALLORY, "secret")
    room.set(MALLORY, "m.room.history_visibility", {"history_visibility": "shared"})
    room.send(MALLORY, "for all")
    await enter(alice, room)
    assert texts(await read_back(alice, room)) == ["for all", *(str(number) for number in range(4, -1, -1))]


async def test_a_server_without_history_makes_readers_wait_once_a_minute(
    alice: Client, mallory: ForeignServer, clock: FakeClock
) -> None:
    room = chatty(mallory, 20)
    await enter(alice, room)
    path = f"{V1}/backfill/{room.room_id}"
    mallory.peer.says(path, {"errcode": "M_UNKNOWN"}, 400)
    for _ in range(3):
        assert texts(await read_back(alice, room, pages=1)) == []
    assert len(backfills(mallory)) == 1
    clock.advance(minutes=1)
    del mallory.peer.answers[path]
    assert len(texts(await read_back(alice, room))) == 20


async def test_what_nobody_gives_hides_nothing_that_is_here(alpha: Home, alice: Client, mallory: ForeignServer) -> None:
    room = chatty(mallory, 3)
    await enter(alice, room)
    await read_back(alice, room)
    for number in range(3):
        room.send(MALLORY, f"lost {number}")
    mallory.peer.says(f"{V1}/get_missing_events/{room.room_id}", {"errcode": "M_UNKNOWN"}, 400)
    await mallory.send(alpha.server, [room.send(MALLORY, "after the loss")])
    mallory.peer.says(f"{V1}/backfill/{room.room_id}", {"errcode": "M_UNKNOWN"}, 400)
    assert texts(await read_back(alice, room)) == ["after the loss", "2", "1", "0"]
    assert texts(await read_back(alice, room, limit=2)) == ["after the loss", "2", "1", "0"]


async def test_mallory_gives_events_of_another_room_and_with_wrong_signatures(
    alice: Client, mallory: ForeignServer
) -> None:
    room = chatty(mallory, 10)
    other = ForeignRoom.create("11", name="other")
    foreign = [other.send(MALLORY, f"other {number}") for number in range(5)]
    good = [room.events[each] for each in list(room.events)[::-1]]
    forged = [{**event.pdu, "signatures": {}} for event in good[:3]]
    garbage: list[Any] = [None, 7, [], {}, {"type": 5}, *forged, *(event.pdu for event in foreign)]
    await enter(alice, room)
    mallory.peer.says(f"{V1}/backfill/{room.room_id}", {"origin": "x", "origin_server_ts": 1, "pdus": garbage})
    assert texts(await read_back(alice, room)) == []


async def test_mallory_builds_a_room_on_another(alice: Client, mallory: ForeignServer) -> None:
    """What is built on an event of another room that is here is taken, and nothing of the other room is shown."""
    other = chatty(mallory, 1, name="other")
    room = chatty(mallory, 2)
    await enter(alice, other)
    [hers] = other.tip
    room.states[hers] = room.state_before(room.tip)
    room.tip = [room.send(MALLORY, "built on the other", prev=[hers]).event_id]
    for number in range(2, 5):
        room.send(MALLORY, str(number))
    await enter(alice, room)
    assert texts(await read_back(alice, room)) == ["4", "3", "2", "built on the other"]


async def test_mallory_goes_on_without_end(alice: Client, mallory: ForeignServer) -> None:
    """Her history is long, and nothing in it is what Alice looks for: each page costs a bounded number of questions."""
    room = chatty(mallory, 1000)
    await enter(alice, room)
    nothing = jsonlib.dumps({"types": ["org.example.nothing"]})
    end: str | None = None
    for number in range(1, 3):
        page = await alice.get(("rooms", room.room_id, "messages"), dir="b", filter=nothing, **{"from": end})
        assert len(backfills(mallory)) == number * MAX_FILLS
        end = page["end"]
    assert page["chunk"] == []


async def test_branches_of_the_past_come_together(alice: Client, mallory: ForeignServer) -> None:
    room = chatty(mallory, 3)
    base = room.tip
    left = [room.add(room.build(MALLORY, "m.room.message", {"body": "left"}, prev=base))]
    right = [room.add(room.build(MALLORY, "m.room.topic", {"topic": "right"}, "", prev=base))]
    for number in range(60):
        left.append(room.add(room.build(MALLORY, "m.room.message", {"body": f"l{number}"}, prev=[left[-1].event_id])))
        right.append(room.add(room.build(MALLORY, "m.room.message", {"body": f"r{number}"}, prev=[right[-1].event_id])))
    room.send(MALLORY, "together")
    await enter(alice, room)
    events = await read_back(alice, room)
    assert {*texts(events)} >= {"together", "left", "l59", "r59", "0"}
    assert len({event["event_id"] for event in events}) == len(events) == len(room.events)
    assert await alice.state(room.room_id, "m.room.topic") == {"topic": "right"}
    # Reading again asks nobody, and gives the same.
    asked = len(backfills(mallory))
    assert texts(await read_back(alice, room, limit=7, pages=200)) == texts(events)
    assert len(backfills(mallory)) == asked


async def test_what_was_not_allowed_then_is_not_shown(alice: Client, mallory: ForeignServer) -> None:
    eve = "@eve:peer.example"
    room = chatty(mallory, 3)
    room.member(eve, "join")
    room.send(eve, "allowed")
    room.member(eve, "ban", sender=MALLORY)
    auth = [each.event_id for each in room.state_events() if each.type != "m.room.member" or each.state_key == eve]
    room.send(eve, "banned", auth=auth)
    room.send(MALLORY, "after")
    await enter(alice, room)
    shown = texts(await read_back(alice, room))
    assert ("allowed" in shown, "banned" in shown, "after" in shown) == (True, False, True)


async def test_mallory_says_that_nothing_was_before(alice: Client, mallory: ForeignServer) -> None:
    """An answer that stops in the middle, and a state that she does not tell: nothing is taken without knowing it."""
    room = chatty(mallory, 10)
    await enter(alice, room)
    newest = room.events[list(room.events)[-2]]
    answer = {"origin": "peer.example", "origin_server_ts": 1, "pdus": [newest.pdu]}
    mallory.peer.says(f"{V1}/backfill/{room.room_id}", answer)
    for wrong in ({}, {"pdu_ids": [], "auth_chain_ids": []}, {"pdu_ids": ["$x"], "auth_chain_ids": 5}):
        mallory.peer.says(f"{V1}/state_ids/{room.room_id}", wrong)
        assert texts(await read_back(alice, room, pages=1)) == []


async def test_events_in_circles(alice: Client, mallory: ForeignServer) -> None:
    """In versions 1 and 2 the sender chooses ids: events may be built on each other."""
    room = chatty(mallory, 3, "1")
    await enter(alice, room)
    joined = room.events[room.tip[0]]
    [top] = [room.events[each] for each in joined.prev_event_ids]
    one = room.build(MALLORY, "m.room.message", {"body": "one"}, prev=["$two:peer.example"])
    again = {**top.pdu, "prev_events": [[one.event_id, {"sha256": "x"}]]}
    pdus = [again, {**one.pdu, "prev_events": [[top.event_id, {"sha256": "x"}]]}]
    mallory.peer.says(f"{V1}/backfill/{room.room_id}", {"origin": "x", "origin_server_ts": 1, "pdus": pdus})
    assert texts(await read_back(alice, room, pages=1)) == []
