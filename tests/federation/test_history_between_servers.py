"""Bob of beta reads what was said at alpha before he came, or while his server was away: two of our own servers."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.federation.serving.past import MAX_BACKFILL
from tests.cast import Client
from tests.clock import START_MS, FakeClock
from tests.federation.conftest import ALPHA, Home


async def hall(alpha: Home, beta: Home, said: int, **body: Any) -> tuple[Client, Client, str]:
    """Alice has said things in a room; then Bob joins."""
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat", **body)
    for number in range(said):
        await alice.send(room_id, str(number))
    await bob.post(("join", room_id), via=[ALPHA])
    return alice, bob, room_id


def visible_to(visibility: str) -> dict[str, Any]:
    content = {"history_visibility": visibility}
    return {"initial_state": [{"type": "m.room.history_visibility", "state_key": "", "content": content}]}


async def read_back(client: Client, room_id: str, limit: int = 40) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    end: str | None = None
    for _ in range(30):
        page = await client.get(("rooms", room_id, "messages"), dir="b", limit=limit, **{"from": end})
        events += page["chunk"]
        end = page.get("end")
        if end is None:
            return events
    raise AssertionError("pages without end")


def texts(events: list[dict[str, Any]]) -> list[str | None]:
    return [event["content"].get("body") for event in events if event["type"] == "m.room.message"]


@pytest.mark.parametrize("version", ["1", "6", "12"])
async def test_bob_reads_the_same_as_alice(alpha: Home, beta: Home, version: str) -> None:
    alice, bob, room_id = await hall(alpha, beta, MAX_BACKFILL + 20, room_version=version)
    at_alpha, at_beta = await read_back(alice, room_id), await read_back(bob, room_id)
    assert [event["event_id"] for event in at_beta] == [event["event_id"] for event in at_alpha]
    assert texts(at_beta) == [str(number) for number in range(MAX_BACKFILL + 19, -1, -1)]
    gaps = await beta.server.application.base.database.fetch("SELECT * FROM timeline_gaps")
    assert list(gaps) == []


async def test_redacted_words_stay_away(alpha: Home, beta: Home) -> None:
    alice = await alpha.server.register("alice")
    bob = await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    said = await alice.send(room_id, "oops")
    await alice.put(("rooms", room_id, "redact", said, "txn"), {})
    await bob.post(("join", room_id), via=[ALPHA])
    events = {event["event_id"]: event for event in await read_back(bob, room_id)}
    assert events[said]["content"] == {}
    assert "redacted_because" in events[said]["unsigned"]


async def test_what_only_members_see_does_not_leave_alpha(alpha: Home, beta: Home) -> None:
    _, bob, room_id = await hall(alpha, beta, 3, **visible_to("joined"))
    assert texts(await read_back(bob, room_id)) == []
    rows = await beta.server.application.base.database.fetch("SELECT body FROM events WHERE type = 'm.room.message'")
    assert all(b'"body"' not in row["body"] for row in rows)


async def test_context_and_state_of_what_was_fetched(alpha: Home, beta: Home) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat", name="old name")
    then = await alice.send(room_id, "then")
    await alice.put(("rooms", room_id, "state", "m.room.name", ""), {"name": "new name"})
    await alice.send(room_id, "after")
    await bob.post(("join", room_id), via=[ALPHA])
    await read_back(bob, room_id)
    context = await bob.get(("rooms", room_id, "context", then), limit=4)
    names = [event["content"]["name"] for event in context["state"] if event["type"] == "m.room.name"]
    assert names == ["new name"]  # as it was after the last event shown
    assert (await bob.get(("rooms", room_id, "context", then), limit=0))["event"]["content"]["body"] == "then"
    assert (await bob.state(room_id, "m.room.name"))["name"] == "new name"


# --- Moments ---


async def test_a_moment_before_bob_came(alpha: Home, beta: Home, clock: FakeClock) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    clock.advance(hours=1)
    said = await alice.send(room_id, "hello")
    at_ms = clock.now_ms()
    clock.advance(hours=1)
    await bob.post(("join", room_id), via=[ALPHA])

    async def nearest(client: Client, ts: int, direction: str) -> str:
        answer = await client.get(f"/_matrix/client/v1/rooms/{room_id}/timestamp_to_event", ts=ts, dir=direction)
        return str(answer["event_id"])

    assert await nearest(bob, at_ms - 1000, "f") == said
    assert await nearest(bob, at_ms + 1000, "b") == said
    assert (await bob.get(("rooms", room_id, "context", said)))["event"]["content"]["body"] == "hello"


async def test_the_first_of_all_moments(alpha: Home, beta: Home, clock: FakeClock) -> None:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    for number in range(MAX_BACKFILL + 20):
        clock.advance(minutes=1)
        await alice.send(room_id, str(number))
    await bob.post(("join", room_id), via=[ALPHA])
    path = f"/_matrix/client/v1/rooms/{room_id}/timestamp_to_event"
    first = await bob.get(path, ts=0, dir="f")
    assert first == await alice.get(path, ts=0, dir="f")
    assert (first["origin_server_ts"], (await read_back(bob, room_id))[-1]["event_id"]) == (START_MS, first["event_id"])
    await bob.get(path, ts=0, dir="b", expect=(404, "M_NOT_FOUND"))
