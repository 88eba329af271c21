"""Holes of timelines: positions leap, readers end at them, and older history is put in from above (decision 0017)."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.protocol.client_event import split
from homeserver.protocol.events import Event
from homeserver.services.rooms.append import FilledGap, PastChange, PastEvent, StateChange, TipMoved
from homeserver.services.rooms.event_writer import HOLE
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import SOFT_FAILED
from homeserver.services.timeline.gaps import Pages
from tests.cast import Client, Server
from tests.federation.foreign_rooms import ForeignRoom
from tests.services.rooms.elsewhere import MALLORY, Lair

TOPIC = ("m.room.topic", "")


async def history(server: Server) -> tuple[Client, Lair, list[Event]]:
    """Bob joins a room where something has been said, and a topic was set twice, before he came."""
    bob = await server.register("bob")
    await bob.sync()
    room = ForeignRoom.create()
    said = [room.set(MALLORY, "m.room.topic", {"topic": "first"})]
    said += [
        room.send(MALLORY, "one"),
        room.set(MALLORY, "m.room.topic", {"topic": "second"}),
        room.send(MALLORY, "two"),
    ]
    lair = await Lair.enter(server, bob, room)
    return bob, lair, said


def texts(chunk: list[dict[str, Any]]) -> list[str]:
    """Newest first, as pages come."""
    return [event["content"].get("body") or event["content"].get("topic") or event["type"] for event in chunk]


async def entries(server: Server, key: tuple[str, str]) -> list[tuple[int, str | None]]:
    rows = await server.application.base.database.fetch(
        "SELECT c.position, e.event_id FROM state_changes c LEFT JOIN events e USING (event_nid)"
        " WHERE c.type = $1 AND c.state_key = $2 ORDER BY c.position",
        *key,
    )
    return [(row[0], row[1]) for row in rows]


def let_fill(server: Server, lair: Lair, steps: list[Any]) -> list[int]:
    """Each time somebody pages to the hole the next step is done; returns the tops that were asked for."""
    asked: list[int] = []

    async def fill(room: LiveRoom, high: int) -> bool:
        asked.append(high)
        if not steps:
            return False
        await steps.pop(0)()
        return True

    messages = server.application.reading.messages
    pages = Pages(messages.opener, messages.pages.reader, fill)
    object.__setattr__(messages, "pages", pages)
    return asked


async def test_positions_leap_and_the_stream_goes_on_behind(server: Server) -> None:
    alice = await server.register("alice")
    own_room = await alice.create_room()
    before = (await alice.sync())["next_batch"]
    _, lair, _ = await history(server)
    (gap,) = (await lair.live()).gaps
    assert gap.high - gap.low == HOLE + 1
    assert lair.writer.position.current == gap.high
    # Nobody else's room is any different.
    event_id = await alice.send(own_room, "behind the hole")
    answer = await alice.sync(since=before)
    assert answer.event_ids(own_room) == [event_id]
    assert answer.room(own_room)["timeline"]["limited"] is False
    await lair.check_memory()


@pytest.mark.parametrize("cold", [False, True])
async def test_a_sync_over_a_hole_ends_at_its_top(server: Server, cold: bool) -> None:
    bob, lair, _ = await history(server)
    room_id = lair.room.room_id
    await bob.send(room_id, "before we were away")
    since = (await bob.sync())["next_batch"]
    missed = [lair.room.send(MALLORY, f"missed {number}") for number in range(3)]
    after = lair.room.send(MALLORY, "after")
    await lair.arrive(after, missing=[missed[-1].event_id])
    more = await lair.arrive(lair.room.send(MALLORY, "more"))
    if cold:
        server.application.base.cache.retire(await lair.live())
    timeline = (await bob.sync(since=since)).room(room_id)["timeline"]
    assert [event["event_id"] for event in timeline["events"]] == [after.event_id, more.event_id]
    assert timeline["limited"] is True
    gap = (await lair.live()).gaps[-1]
    assert timeline["prev_batch"] == f"t{gap.high - 1}"
    assert gap.missing == (missed[-1].event_id,)
    # With room for one only, the timeline is as limited as any other.
    filtered = await bob.sync(since=since, filter={"room": {"timeline": {"limit": 1}}})
    assert filtered.event_ids(room_id) == [more.event_id]
    # Nobody gives what was missed: pages go on with what is here.
    page = await bob.messages(room_id, **{"from": timeline["prev_batch"]})
    assert page["chunk"][0]["content"]["body"] == "before we were away"
    await lair.check_memory()


async def test_older_history_takes_its_place_and_the_past_has_its_state(server: Server) -> None:
    bob, lair, said = await history(server)
    room_id = lair.room.room_id
    live = await lair.live()
    (gap,) = live.gaps
    nids = {
        event.event_id: event for event in await lair.stored([event.event_id for event in lair.room.state_events()])
    }
    second = nids[said[2].event_id]

    async def newest_two() -> None:
        """ "second" and "two": before them the topic was "first", which is no state of now and is not stored yet."""
        await lair.keep([said[0]])
        (first,) = await lair.stored([said[0].event_id])
        await lair.fill(
            said[2:],
            [said[1].event_id],
            bottom=[StateChange(TOPIC, first)],
            changes=[PastChange(gap.high - 2, TOPIC, second)],
        )

    async def the_rest() -> None:
        (first,) = await lair.stored([said[0].event_id])
        await lair.fill(
            said[:2],
            [lair.room.events[said[0].event_id].prev_event_ids[0]],
            bottom=[StateChange(TOPIC, None)],
            changes=[PastChange(gap.high - 4, TOPIC, first)],
        )

    asked = let_fill(server, lair, [newest_two, the_rest])
    page = await bob.messages(room_id, limit=3)
    assert texts(page["chunk"]) == ["m.room.member", "two", "second"]
    assert asked == [gap.high]
    assert live.gaps == [gap._replace(high=gap.high - 2, missing=(said[1].event_id,))]
    await lair.check_memory()
    page = await bob.messages(room_id, limit=50, **{"from": page["end"]})
    assert texts(page["chunk"]) == ["one", "first"]
    assert asked == [gap.high, gap.high - 2, gap.high - 4]
    assert page["end"] == f"t{gap.high - 5}"
    await lair.check_memory()
    assert await entries(server, TOPIC) == [(gap.high - 4, said[0].event_id), (gap.high - 2, said[2].event_id)]
    for cold in (False, True):
        if cold:
            server.application.base.cache.retire(await lair.live())
        past = server.application.reading.past
        live = await lair.live()
        topics = [await past.one(live, gap.high - below, *TOPIC) for below in (5, 4, 3, 2, 1)]
        expected = [None, "first", "first", "second", "second"]
        assert [topic and topic.content["topic"] for topic in topics] == expected
    # And again, all in one: the ring of the room's newest events has no hole in it that nobody knows of.
    page = await bob.messages(room_id, limit=50)
    assert texts(page["chunk"]) == ["m.room.member", "two", "second", "one", "first"]
    since_the_beginning = (await bob.sync(since=None)).room(room_id)["timeline"]
    assert [event["event_id"] for event in since_the_beginning["events"]][:4] == [event.event_id for event in said]
    assert since_the_beginning["limited"] is True


async def test_what_nobody_has_closes_the_hole(server: Server) -> None:
    bob, lair, said = await history(server)

    async def everything() -> None:
        await lair.fill(said, [])

    let_fill(server, lair, [everything])
    page = await bob.messages(lair.room.room_id, limit=50)
    assert texts(page["chunk"]) == ["m.room.member", "two", "second", "one", "first"]
    live = await lair.live()
    assert live.gaps == []
    await lair.check_memory()
    timeline = (await bob.sync(since=None)).room(lair.room.room_id)["timeline"]
    assert len(timeline["events"]) == 5


async def test_two_who_fill_the_same_hole_do_not_put_the_same_in_twice(server: Server) -> None:
    _, lair, said = await history(server)
    live = await lair.live()
    stale = live.gaps
    await lair.fill(said[2:], [said[1].event_id])
    live.gaps = stale
    with pytest.raises(TipMoved):
        await lair.fill(said[2:], [said[1].event_id])
    # Memory that was wrong about it is read anew.
    assert live.retired
    await lair.fill(said[:2], ["$older"])
    await lair.check_memory()


async def test_an_event_in_the_hole_may_have_soft_failed(server: Server) -> None:
    bob, lair, said = await history(server)
    live = await lair.live()
    (gap,) = live.gaps
    failed = lair.room.build(MALLORY, "m.room.message", {"body": "hidden", "msgtype": "m.text"})
    past = [
        PastEvent(failed, *split(failed), place=gap.high - 2, flags=SOFT_FAILED),
        PastEvent(said[3], *split(said[3]), place=gap.high - 1),
    ]
    await lair.writer.fill(live, FilledGap(gap, past, gap.high - 2, ["$older"]))
    assert texts((await bob.messages(lair.room.room_id, limit=50))["chunk"]) == ["m.room.member", "two"]
    row = await server.application.base.database.fetchrow(
        "SELECT event_nid, position FROM events WHERE event_id = $1", failed.event_id
    )
    assert tuple(row) == (gap.high - 2, None)
    await lair.check_memory()


async def test_who_comes_back_after_an_outage_finds_state_from_the_bottom_of_the_hole(server: Server) -> None:
    bob, lair, _ = await history(server)
    room_id = lair.room.room_id
    since = (await bob.sync())["next_batch"]
    third = lair.room.set(MALLORY, "m.room.topic", {"topic": "third"})
    lair.room.send(MALLORY, "missed")
    await lair.keep([third])
    (topic,) = await lair.stored([third.event_id])
    after = lair.room.send(MALLORY, "after")
    await lair.arrive(after, missing=list(after.prev_event_ids), changes=[StateChange(TOPIC, topic)])
    for cold in (False, True):
        if cold:
            server.application.base.cache.retire(await lair.live())
        answer = await bob.sync(since=since)
        assert answer.event_ids(room_id) == [after.event_id]
        assert [event["content"] for event in answer.room(room_id)["state"]["events"]] == [{"topic": "third"}]
    await lair.check_memory()
