"""Mistakes of ours around a commit: one listener, one room, one batch may suffer, never the server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import TimelineEvent
from tests.cast import Server


async def test_a_listener_that_fails_keeps_events_from_nobody(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    told: list[str] = []

    def stumbles(events: Sequence[TimelineEvent]) -> None:
        raise RuntimeError("a mistake in a listener")

    def listens(events: Sequence[TimelineEvent]) -> None:
        told.extend(event.event_id for event in events)

    announcer = server.application.base.announcer
    announcer.on_events(stumbles)
    announcer.on_events(listens)
    since = (await alice.sync())["next_batch"]
    waiting = asyncio.create_task(alice.sync(since=since, timeout=30_000))
    await asyncio.sleep(0.05)
    event_id = await alice.send(room_id, "hello")
    assert told == [event_id]
    assert (await asyncio.wait_for(waiting, 5)).event_ids(room_id) == [event_id]
    assert "a mistake in a listener" in caplog.text
    assert await alice.send(room_id, "the next one") == told[1]


async def test_memory_that_could_not_follow_is_read_anew_and_the_next_commit_goes_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await server.register("alice")
    room_id, other = await alice.create_room(), await alice.create_room()
    since = (await alice.sync())["next_batch"]

    def stumbles(cache: RoomCache, room: object) -> None:
        raise RuntimeError("a mistake while memory follows")

    monkeypatch.setattr(RoomCache, "reweigh", stumbles)
    path = ("rooms", room_id, "send", "m.room.message", "1")
    await alice.put(path, {"msgtype": "m.text", "body": "a"}, expect=500)
    monkeypatch.undo()
    await alice.send(other, "b")
    # It was committed all the same, and whoever reads finds it.
    answer = await alice.sync(since=since)
    assert [event["content"]["body"] for event in answer.timeline(room_id)] == ["a"]
    assert [event["content"]["body"] for event in answer.timeline(other)] == ["b"]
