"""Events that reach everybody in the room as long as they stick, whatever else he has missed (MSC4354)."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tests.cast import Client, Server, SyncAnswer
from tests.clock import FakeClock

RTC_MEMBER = "org.matrix.msc4143.rtc.member"
DURATION_MS = 600_000
HOUR_MS = 3_600_000

numbers = itertools.count(1)


async def stick(client: Client, room_id: str, key: str, duration_ms: int = DURATION_MS, **expected: Any) -> str:
    path = ("rooms", room_id, "send", RTC_MEMBER, f"sticky{next(numbers)}")
    query = {"org.matrix.msc4354.sticky_duration_ms": duration_ms}
    answer = await client.request("PUT", path, json={"msc4354_sticky_key": key}, query=query, **expected)
    event_id: str = answer.get("event_id", "")
    return event_id


def stuck(answer: SyncAnswer, room_id: str) -> list[dict[str, Any]]:
    """What the sync says of sticky events beside the timeline."""
    events: list[dict[str, Any]] = answer.room(room_id).get("msc4354_sticky", {}).get("events", [])
    return events


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["event_id"] for event in events]


async def two_in_a_room(server: Server, **room: Any) -> tuple[Client, Client, str]:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat", **room)
    await bob.join(room_id)
    return alice, bob, room_id


async def talk(client: Client, room_id: str, count: int = 12) -> None:
    for number in range(count):
        await client.send(room_id, f"talk {number}")


async def test_a_sticky_event_in_the_timeline_says_how_long_it_sticks(server: Server, clock: FakeClock) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await bob.sync()
    event_id = await stick(alice, room_id, "phone")
    clock.advance(seconds=10)
    answer = await bob.sync()
    event = answer.timeline(room_id)[0]
    assert event["event_id"] == event_id
    assert event["msc4354_sticky"] == {"duration_ms": DURATION_MS}
    assert event["unsigned"]["msc4354_sticky_duration_ttl_ms"] == DURATION_MS - 10_000
    assert stuck(answer, room_id) == []


async def test_bob_misses_no_sticky_event_however_much_was_said(server: Server, clock: FakeClock) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await bob.sync()
    joined = [await stick(alice, room_id, "phone"), await stick(alice, room_id, "laptop")]
    await talk(alice, room_id)
    clock.advance(minutes=1)
    answer = await bob.sync()
    assert answer.room(room_id)["timeline"]["limited"]
    found = stuck(answer, room_id)
    assert ids(found) == joined
    assert found[0]["content"] == {"msc4354_sticky_key": "phone"}
    assert found[0]["unsigned"]["msc4354_sticky_duration_ttl_ms"] == DURATION_MS - 60_000
    assert "room_id" not in found[0]
    await talk(alice, room_id)
    assert stuck(await bob.sync(), room_id) == []


async def test_mallory_neither_fills_the_answers_of_others_nor_drives_out_what_they_said(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await bob.sync()
    joined = await stick(alice, room_id, "phone")
    mallory = await server.register("mallory")
    await mallory.join(room_id)
    for number in range(4):
        body = {"msc4354_sticky_key": "m", "padding": "x" * 50_000}
        path, query = (
            ("rooms", room_id, "send", RTC_MEMBER, f"m{number}"),
            {"org.matrix.msc4354.sticky_duration_ms": DURATION_MS},
        )
        await mallory.request("PUT", path, json=body, query=query)
    await talk(alice, room_id)
    answer = stuck(await bob.sync(), room_id)
    assert joined in ids(answer)
    assert sum(event["sender"] == mallory.user_id for event in answer) == 2  # the newest within 128 KiB


async def test_only_what_still_sticks(server: Server, clock: FakeClock) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await bob.sync()
    await stick(alice, room_id, "short", 1000)
    kept = await stick(alice, room_id, "long", 2000)
    await talk(alice, room_id)
    clock.advance(ms=1000)
    assert ids(stuck(await bob.sync(), room_id)) == [kept]
    phone = await bob.login()
    clock.advance(ms=1000)
    answer = await phone.sync()
    assert stuck(answer, room_id) == []
    event = await bob.get(("rooms", room_id, "event", kept))
    assert event["msc4354_sticky"] == {"duration_ms": 2000}
    assert "msc4354_sticky_duration_ttl_ms" not in event["unsigned"]


async def test_who_joins_gets_all_that_sticks_whatever_the_history_visibility(server: Server) -> None:
    alice, _, room_id = await two_in_a_room(
        server,
        initial_state=[
            {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}
        ],
    )
    event_id = await stick(alice, room_id, "phone")
    before = await alice.send(room_id, "a secret of before")
    carol, mallory = await server.register("carol"), await server.register("mallory")
    await carol.sync()
    await carol.get(("rooms", room_id, "event", event_id), expect=(404, "M_NOT_FOUND"))
    await carol.join(room_id)
    answer = await carol.sync()
    assert ids(stuck(answer, room_id)) == [event_id]
    assert before not in answer.event_ids(room_id)
    assert event_id not in answer.event_ids(room_id)
    assert (await carol.get(("rooms", room_id, "event", event_id)))["event_id"] == event_id
    await carol.get(("rooms", room_id, "event", before), expect=(404, "M_NOT_FOUND"))
    assert "rooms" not in await mallory.sync()
    await mallory.get(("rooms", room_id, "event", event_id), expect=(404, "M_NOT_FOUND"))


async def test_a_first_sync_has_what_its_timeline_does_not_show(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    hidden = await stick(alice, room_id, "phone")
    await talk(alice, room_id)
    shown = await stick(alice, room_id, "laptop")
    answer = await bob.sync()
    assert shown in answer.event_ids(room_id)
    assert ids(stuck(answer, room_id)) == [hidden]


async def test_filters_of_timelines_do_not_hide_it_and_filters_of_rooms_do(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    only_messages = json.dumps({"room": {"timeline": {"types": ["m.room.message"]}}})
    await bob.sync(filter=only_messages)
    event_id = await stick(alice, room_id, "phone")
    other_room = json.dumps({"room": {"rooms": ["!other:test"]}})
    since = bob.next_batch
    assert "rooms" not in await bob.sync(filter=other_room)
    bob.next_batch = since
    answer = await bob.sync(filter=only_messages)
    assert ids(stuck(answer, room_id)) == [event_id]
    assert answer.timeline(room_id) == []
    assert stuck(await bob.sync(filter=only_messages), room_id) == []


async def test_ignored_people_stick_to_nobody(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    await stick(alice, room_id, "phone")
    await talk(alice, room_id)
    path = ("user", bob.user_id, "account_data", "m.ignored_user_list")
    await bob.put(path, {"ignored_users": {alice.user_id: {}}})
    assert stuck(await bob.sync(), room_id) == []


async def test_a_redacted_event_does_not_stick(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    event_id = await stick(alice, room_id, "phone")
    kept = await stick(alice, room_id, "laptop")
    await alice.put(("rooms", room_id, "redact", event_id, "r"))
    await talk(alice, room_id)
    assert ids(stuck(await bob.sync(), room_id)) == [kept]
    event = await bob.get(("rooms", room_id, "event", event_id))
    assert "msc4354_sticky" not in event
    assert "msc4354_sticky_duration_ttl_ms" not in event["unsigned"]


@pytest.mark.parametrize(("asked", "given"), [(HOUR_MS + 1, HOUR_MS), (10**15, HOUR_MS), (0, 0), (1, 1)])
async def test_nothing_sticks_longer_than_an_hour(server: Server, asked: int, given: int) -> None:
    alice, _, room_id = await two_in_a_room(server)
    event_id = await stick(alice, room_id, "phone", asked)
    event = await alice.get(("rooms", room_id, "event", event_id))
    assert event["msc4354_sticky"] == {"duration_ms": given}
    assert event["unsigned"].get("msc4354_sticky_duration_ttl_ms", 0) == given


@pytest.mark.parametrize("bad", [-1, "long", "1.5", "", "9" * 30])
async def test_durations_that_are_none(server: Server, bad: Any) -> None:
    alice, _, room_id = await two_in_a_room(server)
    await stick(alice, room_id, "phone", bad, expect=(400, "M_INVALID_PARAM"))


async def test_sending_takes_the_power_that_any_message_takes(server: Server) -> None:
    alice, bob, room_id = await two_in_a_room(server, power_level_content_override={"events_default": 50, "events": {}})
    await stick(bob, room_id, "phone", expect=(403, "M_FORBIDDEN"))
    await stick(alice, room_id, "phone")


async def test_a_delayed_sticky_event_sticks_from_when_it_is_sent(server: Server, clock: FakeClock) -> None:
    """What Element Call does when it leaves: a sticky event that says so, sent when nobody puts it off any more."""
    alice, bob, room_id = await two_in_a_room(server)
    await bob.sync()
    path = ("rooms", room_id, "send", RTC_MEMBER, "leave")
    query = {"org.matrix.msc4140.delay": 18_000, "org.matrix.msc4354.sticky_duration_ms": DURATION_MS}
    await alice.raw("PUT", path, data=b'{"msc4354_sticky_key":"phone"}', query=query, check=False)
    clock.advance(seconds=18)
    answer = await bob.sync_until(lambda answer: answer.timeline(room_id))
    event = answer.timeline(room_id)[0]
    assert event["content"] == {"msc4354_sticky_key": "phone"}
    assert event["unsigned"]["msc4354_sticky_duration_ttl_ms"] == DURATION_MS


async def test_rooms_without_sticky_events_cost_no_statement(server: Server, clock: FakeClock) -> None:
    alice, bob, room_id = await two_in_a_room(server)
    other_id = await alice.create_room(preset="public_chat")
    await bob.join(other_id)
    database = server.application.base.database

    async def statements_of_a_gap(answer_is_sticky: bool) -> int:
        await bob.sync()
        await talk(alice, room_id)
        before = database.statements
        answer = await bob.sync()
        assert bool(stuck(answer, room_id)) == answer_is_sticky
        return int(database.statements - before)

    usual = await statements_of_a_gap(False)
    await stick(alice, other_id, "phone")
    assert await statements_of_a_gap(False) <= usual
    await bob.sync()
    await stick(alice, room_id, "phone", 60_000)
    assert await statements_of_a_gap(False) <= usual + 1
    await stick(alice, room_id, "laptop", 60_000)
    before = database.statements
    assert "rooms" in await bob.sync()
    assert database.statements - before <= 1
    clock.advance(minutes=1)
    assert await statements_of_a_gap(False) <= usual


async def test_it_is_remembered_by_a_server_that_starts_anew_and_forgotten_when_it_is_over(
    server: Server, clock: FakeClock
) -> None:
    alice, _, room_id = await two_in_a_room(server)
    await stick(alice, room_id, "phone", 1000)
    database = server.application.base.database
    assert await database.fetchval("SELECT count(*) FROM sticky_events") == 1
    rooms = server.application.sync.sync.answers.parts.sticky.rooms
    await rooms.load()
    assert rooms.memory_usage() == {"rooms": 1}
    clock.advance(seconds=1)
    await rooms.tidy()
    assert rooms.memory_usage() == {"rooms": 0}
    assert await database.fetchval("SELECT count(*) FROM sticky_events") == 0


async def test_the_feature_is_shown(server: Server) -> None:
    assert (await server.anonymous().get("/_matrix/client/versions"))["unstable_features"]["org.matrix.msc4354"]
