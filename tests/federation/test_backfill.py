"""Alice of alpha has joined a room at Mallory's server and reads what was said before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import Client
from tests.clock import FakeClock
from tests.federation.conftest import Home
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.federation.foreign_servers import V1, ForeignServer
from tests.federation.peers import Asked, Peer


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


async def test_a_dead_server_makes_readers_wait_once_a_minute(
    alice: Client, mallory: ForeignServer, clock: FakeClock
) -> None:
    room = chatty(mallory, 20)
    await enter(alice, room)

    def fails(asked: Asked) -> Any:
        raise ValueError

    mallory.peer.says(f"{V1}/backfill/{room.room_id}", {"errcode": "M_UNKNOWN"}, 400)
    for _ in range(3):
        assert texts(await read_back(alice, room)) == []
    assert len(backfills(mallory)) == 1


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


async def test_mallory_goes_on_without_end(alice: Client, mallory: ForeignServer) -> None:
    """Her history has no beginning: each page costs a bounded number of questions."""
    room = chatty(mallory, 1000)
    await enter(alice, room)
    await read_back(alice, room, limit=10, pages=1)
    assert len(backfills(mallory)) <= 2
