"""Events that stick (MSC4354), told to servers that come into the room later."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cast import Client, SyncAnswer
from tests.clock import FakeClock
from tests.federation.conftest import ALPHA, Home

RTC_MEMBER = "org.matrix.msc4143.rtc.member"
MINUTE_MS = 60_000
WAIT_SECONDS = 5


async def sticks(client: Client, room_id: str, key: str, minutes: int = 60) -> str:
    query = {"org.matrix.msc4354.sticky_duration_ms": minutes * MINUTE_MS}
    path = ("rooms", room_id, "send", RTC_MEMBER, f"txn-{key}")
    content = {"application": {"type": "m.call"}, "msc4354_sticky_key": key}
    return str((await client.put(path, content, **query))["event_id"])


def sticky_keys(answer: SyncAnswer, room_id: str) -> list[str]:
    room: dict[str, Any] = answer.room(room_id)
    events = [*room.get("msc4354_sticky", {}).get("events", []), *room.get("timeline", {}).get("events", [])]
    return [each["content"]["msc4354_sticky_key"] for each in events if each["type"] == RTC_MEMBER]


async def told(client: Client, room_id: str, count: int) -> list[str]:
    """The keys of so many sticky events, as they come."""
    keys: list[str] = []
    async with asyncio.timeout(WAIT_SECONDS):
        while len(keys) < count:
            answer = await client.sync()
            keys += sticky_keys(answer, room_id) if room_id in answer.get("rooms", {}).get("join", {}) else []
            await asyncio.sleep(0.02)
    return keys


async def said(client: Client, room_id: str) -> list[str]:
    """All messages of the room, oldest first."""
    events = (await client.messages(room_id, limit=50))["chunk"]
    return [each["content"]["body"] for each in reversed(events) if each["type"] == "m.room.message"]


@pytest.mark.parametrize("visibility", ["shared", "joined"])
async def test_bob_of_beta_comes_late_and_sees_who_is_in_the_call(
    alpha: Home, beta: Home, clock: FakeClock, visibility: str
) -> None:
    """ "When a new server joins the room, existing servers MUST attempt to push all of their own sticky events"."""
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    shown = {"type": "m.room.history_visibility", "content": {"history_visibility": visibility}}
    room_id = await alice.create_room(preset="public_chat", initial_state=[shown])
    await sticks(alice, room_id, "short", minutes=1)
    await sticks(alice, room_id, "first")
    await alice.send(room_id, "chatter")
    await sticks(alice, room_id, "second")
    for number in range(30):
        await alice.send(room_id, f"chatter {number}")
    clock.advance(minutes=2)
    await bob.sync()

    await bob.post(("join", room_id), via=[ALPHA])

    assert await told(bob, room_id, 2) == ["first", "second"]


async def test_what_was_before_bob_came_is_not_told_as_news_with_it(alpha: Home, beta: Home) -> None:
    """What the event that sticks is built on is not here; it is history, into which Bob may scroll."""
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    for number in range(5):
        await alice.send(room_id, f"before {number}")
    event_id = await sticks(alice, room_id, "call")
    await alice.send(room_id, "last before")
    await bob.sync()
    await bob.post(("join", room_id), via=[ALPHA])
    came: list[dict[str, Any]] = []
    async with asyncio.timeout(WAIT_SECONDS):
        while event_id not in [each["event_id"] for each in came]:
            answer = await bob.sync()
            came += answer.timeline(room_id) if room_id in answer.get("rooms", {}).get("join", {}) else []
            await asyncio.sleep(0.02)
    assert [each["content"]["body"] for each in came if each["type"] == "m.room.message"] == []
    # The room goes on, and whoever scrolls up finds everything once.
    await alice.send(room_id, "hello")
    async with asyncio.timeout(WAIT_SECONDS):
        while (spoken := await said(bob, room_id))[-1:] != ["hello"]:
            await asyncio.sleep(0.02)
    assert sorted(spoken) == [*(f"before {number}" for number in range(5)), "hello", "last before"]
