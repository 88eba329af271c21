"""Alice says now what is to be said later: scheduled messages, and the leave of somebody in a call (MSC4140)."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from config.settings import DelayedEventSettings, RateLimitSettings, Settings
from homeserver.services.delayed_events.schedule import MAX_OF_USER
from tests.cast import Client, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver, server_settings

UNSTABLE = "/_matrix/client/unstable/org.matrix.msc4140/"
CALL_MEMBER = "org.matrix.msc3401.call.member"
CALL_DELAY_MS = 18_000
HOUR_MS = 3_600_000

numbers = itertools.count(1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, delayed_events=DelayedEventSettings(max_delay=24 * HOUR_MS))


def msc4140(*parts: str) -> str:
    return UNSTABLE + "/".join(quote(part, safe="") for part in parts)


async def put_later(client: Client, path: Sequence[str], content: Any, delay_ms: Any, expect: Any = 200) -> Any:
    """The answer has no `event_id`, which the specification knows nothing of."""
    query = {"org.matrix.msc4140.delay": delay_ms}
    answer = await client.raw("PUT", path, data=json.dumps(content).encode(), query=query, check=False)
    body = answer.json()
    assert expect in (answer.status, (answer.status, body.get("errcode"))), body
    return body


async def say_later(
    client: Client, room_id: str, text: str, delay_ms: Any, txn_id: str = "", expect: Any = 200
) -> Any:  # fmt: skip
    content = {"msgtype": "m.text", "body": text}
    path = ("rooms", room_id, "send", "m.room.message", txn_id or f"later{next(numbers)}")
    return await put_later(client, path, content, delay_ms, expect)


async def leave_later(client: Client, room_id: str, delay_ms: int = CALL_DELAY_MS) -> str:
    path = ("rooms", room_id, "state", CALL_MEMBER, f"_{client.user_id}")
    delay_id: str = (await put_later(client, path, {}, delay_ms))["delay_id"]
    return delay_id


async def join_call(client: Client, room_id: str) -> None:
    await client.put(("rooms", room_id, "state", CALL_MEMBER, f"_{client.user_id}"), {"application": "m.call"})


async def is_in_call(client: Client, room_id: str) -> bool:
    return bool(await client.get(("rooms", room_id, "state", CALL_MEMBER, f"_{client.user_id}")))


async def act(server: Server, delay_id: str, action: str, **expected: Any) -> Any:
    """By somebody without a token, as a media server has none."""
    return await server.anonymous().post(msc4140("delayed_events", delay_id, action), **expected)


async def look_at(client: Client, delay_id: str, **expected: Any) -> Any:
    return await client.get(msc4140("delayed_events", delay_id), **expected)


async def finalised(client: Client, delay_id: str) -> dict[str, Any]:
    """What became of it; waits for the timer's work, whose time has come."""
    for _ in range(200):
        found = await look_at(client, delay_id)
        if "finalised" in found:
            outcome: dict[str, Any] = found["finalised"]
            return outcome
        await asyncio.sleep(0.01)
    raise AssertionError(f"{delay_id} is still scheduled")


async def test_alice_sends_a_message_at_noon(server: Server, clock: FakeClock) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await bob.sync()
    delay_id = (await say_later(alice, room_id, "noon", HOUR_MS))["delay_id"]
    clock.advance(ms=HOUR_MS - 1)
    await bob.sync()
    assert (await look_at(alice, delay_id)).get("finalised") is None
    clock.advance(ms=1)
    answer = await bob.sync_until(lambda answer: answer.timeline(room_id))
    event = answer.timeline(room_id)[0]
    assert (event["content"]["body"], event["sender"]) == ("noon", alice.user_id)
    assert event["origin_server_ts"] == clock.now_ms()
    assert "org.matrix.msc4140.delay_id" not in event["unsigned"]
    assert (await finalised(alice, delay_id))["event_id"] == event["event_id"]


async def test_every_device_of_alice_sees_which_delayed_event_it_was(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    phone = await alice.login()
    room_id = await alice.create_room()
    delay_id = (await say_later(alice, room_id, "noon", 1000))["delay_id"]
    clock.advance(ms=1000)
    event_id = (await finalised(alice, delay_id))["event_id"]
    for device in (alice, phone):
        unsigned = (await device.get(("rooms", room_id, "event", event_id)))["unsigned"]
        assert unsigned["org.matrix.msc4140.delay_id"] == delay_id
        assert "transaction_id" not in unsigned


async def test_the_delay_id_is_remembered_by_a_server_that_starts_anew(
    database_dsn: str, clock: FakeClock, settings: Settings
) -> None:
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice = await server.register("alice")
        room_id = await alice.create_room()
        delay_id = (await say_later(alice, room_id, "noon", 1000))["delay_id"]
        clock.advance(ms=1000)
        event_id = (await finalised(alice, delay_id))["event_id"]
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice.base_url, alice.session = server.base_url, server.session
        unsigned = (await alice.get(("rooms", room_id, "event", event_id)))["unsigned"]
        assert unsigned["org.matrix.msc4140.delay_id"] == delay_id


async def test_who_stays_alive_stays_in_the_call_and_who_vanishes_leaves_it(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    delay_id = await leave_later(alice, room_id)
    await join_call(alice, room_id)
    for _ in range(10):
        clock.advance(seconds=4)
        await act(server, delay_id, "restart")
    assert await is_in_call(alice, room_id)
    clock.advance(ms=CALL_DELAY_MS - 1)
    assert await is_in_call(alice, room_id)
    clock.advance(ms=1)
    assert "event_id" in await finalised(alice, delay_id)
    assert not await is_in_call(alice, room_id)


async def test_a_crash_puts_nobody_out_of_a_call(database_dsn: str, clock: FakeClock, settings: Settings) -> None:
    """The last restarts were not stored, and while the server was away nobody could restart anything."""
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice, bob = await server.register("alice"), await server.register("bob")
        room_id = await alice.create_room(preset="public_chat")
        await bob.join(room_id)
        leaves = [await leave_later(alice, room_id), await leave_later(bob, room_id)]
        await join_call(alice, room_id)
        await join_call(bob, room_id)
        reminder = (await say_later(alice, room_id, "half past", HOUR_MS // 2))["delay_id"]
        database = server.application.base.database
        await database.execute("UPDATE delayed_events SET running_since = running_since - 4000")
    clock.advance(ms=HOUR_MS)
    async with running_homeserver(settings, database_dsn, clock) as server:
        for person in (alice, bob):
            person.base_url, person.session = server.base_url, server.session
        clock.advance(ms=CALL_DELAY_MS - 1)
        await act(server, leaves[0], "restart")
        clock.advance(ms=1)
        await finalised(bob, leaves[1])
        assert not await is_in_call(bob, room_id)
        assert await is_in_call(alice, room_id)
        assert "finalised" not in await look_at(alice, reminder)
        clock.advance(ms=30_000 - CALL_DELAY_MS)
        assert "event_id" in await finalised(alice, reminder)
        assert await is_in_call(alice, room_id)
        clock.advance(ms=CALL_DELAY_MS)
        assert "event_id" in await finalised(alice, leaves[0])


async def test_what_was_sent_is_not_sent_again_when_that_could_not_be_noted(
    database_dsn: str, clock: FakeClock, settings: Settings
) -> None:
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice = await server.register("alice")
        room_id = await alice.create_room()
        delay_id = (await say_later(alice, room_id, "once", 1000))["delay_id"]
        clock.advance(seconds=1)
        event_id = (await finalised(alice, delay_id))["event_id"]
        database = server.application.base.database
        await database.execute("UPDATE delayed_events SET finalised_ms = NULL, event_id = NULL")
    async with running_homeserver(settings, database_dsn, clock) as server:
        alice.base_url, alice.session = server.base_url, server.session
        clock.advance(seconds=1)
        assert (await finalised(alice, delay_id))["event_id"] == event_id
        said = [event["content"].get("body") for event in (await alice.sync()).timeline(room_id)]
        assert said.count("once") == 1


async def test_restarting_costs_no_statement(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    delay_id = await leave_later(alice, await alice.create_room())
    database = server.application.base.database
    before = database.statements
    for _ in range(20):
        await act(server, delay_id, "restart")
    assert database.statements == before
    clock.advance(seconds=5)
    for _ in range(200):
        if database.statements > before:
            break
        await asyncio.sleep(0.01)
    stored = "SELECT running_since FROM delayed_events WHERE delay_id = $1"
    restarted_at = clock.now_ms() - 5000
    for _ in range(200):
        if await database.fetchval(stored, delay_id) == restarted_at:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("restarts never reached the table")


async def test_a_media_server_sends_the_leave_of_who_hung_up(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    delay_id = await leave_later(alice, room_id, HOUR_MS)
    await join_call(alice, room_id)
    await act(server, delay_id, "send")
    assert not await is_in_call(alice, room_id)
    await act(server, delay_id, "send")
    await act(server, delay_id, "cancel", expect=(409, "M_UNKNOWN"))
    # Clients that come back too late begin anew when they are told that it is not there, and give up otherwise.
    await act(server, delay_id, "restart", expect=(404, "M_NOT_FOUND"))


async def test_what_is_cancelled_is_never_sent(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    delay_id = (await say_later(alice, room_id, "never", 1000))["delay_id"]
    await act(server, delay_id, "cancel")
    await act(server, delay_id, "cancel")
    await act(server, delay_id, "restart", expect=(409, "M_UNKNOWN"))
    await act(server, delay_id, "send", expect=(409, "M_UNKNOWN"))
    cancelled_at = clock.now_ms()
    clock.advance(seconds=2)
    control = (await say_later(alice, room_id, "control", 1000))["delay_id"]
    clock.advance(seconds=1)
    await finalised(alice, control)
    assert await finalised(alice, delay_id) == {"finalised_ts": cancelled_at}
    said = [event["content"].get("body") for event in (await alice.sync()).timeline(room_id)]
    assert "never" not in said
    assert "control" in said


async def test_the_older_form_with_the_action_in_the_body(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    delay_id = (await say_later(alice, room_id, "now", 1000))["delay_id"]
    path = msc4140("delayed_events", delay_id)
    await alice.post(path, {"action": "restart"})
    await alice.post(path, {"action": "explode"}, expect=(400, "M_INVALID_PARAM"))
    await alice.post(path, {}, expect=(400, "M_MISSING_PARAM"))
    await alice.post(path, {"action": "cancel"})
    await alice.post(path, {"action": "send"}, expect=(409, "M_UNKNOWN"))


@pytest.mark.parametrize("action", ["send", "restart", "cancel", "explode"])
async def test_mallory_guesses_delay_ids(server: Server, action: str) -> None:
    errcode = "M_UNRECOGNIZED" if action == "explode" else "M_NOT_FOUND"
    for guess in ("1", "x" * 32, "x" * 2000, "ä", "a b"):
        await act(server, guess, action, expect=(404, errcode))


async def test_the_newer_endpoint_for_state_and_messages(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    path = msc4140("rooms", room_id, "delayed_event", "m.room.topic", "t1")
    body = {"delay": 1000, "state_key": "", "content": {"topic": "Later"}}
    delay_id = (await alice.put(path, body))["delay_id"]
    assert (await alice.put(path, body))["delay_id"] == delay_id
    clock.advance(seconds=1)
    await finalised(alice, delay_id)
    assert (await alice.get(("rooms", room_id, "state", "m.room.topic")))["topic"] == "Later"
    # The same transaction afterwards is still the same event.
    assert (await alice.put(path, body))["delay_id"] == delay_id
    message = msc4140("rooms", room_id, "delayed_event", "m.room.message", "t1")
    other = await alice.put(message, {"delay_ms": 1, "content": {"msgtype": "m.text", "body": "hi"}})
    assert other["delay_id"] != delay_id


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"content": {}}, (400, "M_MISSING_PARAM")),
        ({"delay": 0, "content": {}}, (400, "M_INVALID_PARAM")),
        ({"delay": -5, "content": {}}, (400, "M_INVALID_PARAM")),
        ({"delay": "soon", "content": {}}, (400, "M_BAD_JSON")),
        ({"delay": 10}, (400, "M_MISSING_PARAM")),
        ({"delay": 10, "content": []}, (400, "M_BAD_JSON")),
        ({"delay": 10, "content": {"a": 1.5}}, (400, "M_BAD_JSON")),
        ({"delay": 10, "content": {"a": "x" * 70_000}}, (413, "M_TOO_LARGE")),
        ({"delay": 10, "content": {}, "state_key": "x" * 256}, (413, "M_TOO_LARGE")),
        ({"delay": 24 * HOUR_MS + 1, "content": {}}, (400, "ORG.MATRIX.MSC4140_MAX_DELAY_EXCEEDED")),
    ],
)
async def test_bad_requests(server: Server, body: Any, error: tuple[int, str]) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.put(msc4140("rooms", room_id, "delayed_event", "m.room.message", "t"), body, expect=error)
    assert (await alice.get(UNSTABLE + "delayed_events")) == {"delayed_events": []}


async def test_a_delay_beyond_the_maximum_names_it_so_that_clients_understand(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    refused = await say_later(alice, room_id, "x", 24 * HOUR_MS + 1, expect=(400, "M_UNKNOWN"))
    assert refused["org.matrix.msc4140.errcode"] == "M_MAX_DELAY_EXCEEDED"
    assert refused["org.matrix.msc4140.max_delay"] == 24 * HOUR_MS
    for bad in (0, -1, "soon", ""):
        await say_later(alice, room_id, "x", bad, expect=(400, "M_INVALID_PARAM"))


async def test_the_same_transaction_is_the_same_delayed_event(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    phone = await alice.login()
    room_id = await alice.create_room()
    first, second = await asyncio.gather(*(say_later(alice, room_id, "once", 1000, "t1") for _ in range(2)))
    assert first == second
    assert (await say_later(phone, room_id, "once", 1000, "t1")) != first
    await act(server, first["delay_id"], "cancel")
    assert (await say_later(alice, room_id, "once", 1000, "t1")) == first
    assert (await look_at(alice, first["delay_id"])).keys() >= {"finalised"}


async def test_mallory_schedules_no_more_than_a_hundred(server: Server, clock: FakeClock) -> None:
    mallory, alice = await server.register("mallory"), await server.register("alice")
    room_id = await mallory.create_room(preset="public_chat")
    await alice.join(room_id)
    first = await say_later(mallory, room_id, "x", 90_500, "first")
    await asyncio.gather(*(say_later(mallory, room_id, "x", 100_000 + number) for number in range(MAX_OF_USER - 1)))
    answer = await mallory.raw(
        "PUT", ("rooms", room_id, "send", "m.room.message", "z"), data=b"{}", query={"org.matrix.msc4140.delay": 1000}
    )
    assert (answer.status, answer.json()["errcode"], answer.headers["Retry-After"]) == (429, "M_LIMIT_EXCEEDED", "91")
    assert (await say_later(mallory, room_id, "x", 90_500, "first")) == first
    await say_later(alice, room_id, "I am somebody else", 1000)
    await act(server, first["delay_id"], "cancel")
    await say_later(mallory, room_id, "there is room again", 1000)


class TestWhoSendsMuch:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return server_settings(tmp_path, rate_limits=RateLimitSettings(enabled=True))

    async def test_a_leave_waits_until_there_were_fewer_messages(self, server: Server, clock: FakeClock) -> None:
        alice = await server.register("alice")
        room_id = await alice.create_room()
        await join_call(alice, room_id)
        await leave_later(alice, room_id)
        clock.advance(ms=CALL_DELAY_MS - 1)
        with pytest.raises(AssertionError, match="429"):
            for number in range(1_000):
                await alice.send(room_id, f"so much to say {number}")
        clock.advance(ms=1)
        await asyncio.sleep(0.05)
        assert await is_in_call(alice, room_id)
        for _ in range(100):
            clock.advance(seconds=1)
            await asyncio.sleep(0.01)
            if not await is_in_call(alice, room_id):
                return
        raise AssertionError("she is still shown in the call")


async def test_what_may_not_be_sent_any_more_fails_and_says_why(server: Server, clock: FakeClock) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    said = (await say_later(bob, room_id, "goodbye", 1000))["delay_id"]
    left = await leave_later(bob, room_id, 1000)
    elsewhere = (await say_later(bob, "!nowhere:test", "hello?", 1000))["delay_id"]
    await alice.kick(room_id, bob)
    await act(server, said, "send", expect=(403, "M_FORBIDDEN"))
    assert "finalised" not in await look_at(bob, said)
    clock.advance(seconds=1)
    for delay_id in (said, left, elsewhere):
        outcome = await finalised(bob, delay_id)
        assert outcome["error"]["errcode"] == "M_FORBIDDEN"
        await act(server, delay_id, "cancel")
        await act(server, delay_id, "restart", expect=(409, "M_UNKNOWN"))


async def test_a_delayed_redaction_is_a_message_that_destroys_itself(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    event_id = await alice.send(room_id, "this message will vanish")
    path = msc4140("rooms", room_id, "delayed_event", "m.room.redaction", "r")
    delay_id = (await alice.put(path, {"delay": 600_000, "content": {"redacts": event_id}}))["delay_id"]
    clock.advance(minutes=10)
    await finalised(alice, delay_id)
    assert (await alice.get(("rooms", room_id, "event", event_id)))["content"] == {}


async def test_alice_looks_at_what_she_has_scheduled(server: Server, clock: FakeClock) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id, other_id = await alice.create_room(), await alice.create_room()
    late = (await say_later(alice, room_id, "late", 9000))["delay_id"]
    early = (await say_later(alice, other_id, "early", 5000))["delay_id"]
    left = await leave_later(alice, room_id, 7000)
    started = clock.now_ms()
    assert await look_at(alice, left) == {
        "delay_id": left,
        "room_id": room_id,
        "type": CALL_MEMBER,
        "state_key": f"_{alice.user_id}",
        "content": {},
        "delay": 7000,
        "delay_ms": 7000,
        "running_since": started,
        "delayed_since_ts": started,
    }
    await look_at(bob, left, expect=(404, "M_NOT_FOUND"))
    await server.anonymous().get(msc4140("delayed_events", left), expect=(401, "M_MISSING_TOKEN"))

    async def ids(**query: Any) -> list[str]:
        answer = await alice.get(msc4140("delayed_events"), **query)
        return [each["delay_id"] for each in answer["delayed_events"]]

    assert await ids() == [early, left, late]
    assert await ids(dir="b") == [late, left, early]
    assert await ids(room_id=room_id) == [left, late]
    assert await ids(type="m.room.message", room_id=room_id) == [late]
    assert await ids(from_ts=started + 7000, to_ts=started + 7000) == [left]
    assert await ids(delay_id=[late, early]) == [early, late]
    clock.advance(ms=1000)
    await act(server, early, "restart")
    assert (await look_at(alice, early))["running_since"] == started + 1000
    await act(server, left, "cancel")
    await act(server, late, "send")
    assert await ids(status="scheduled") == [early]
    assert await ids(status="sent") == [late]
    assert await ids(status="cancelled") == [left]
    assert await ids(status="finalised") == [left, late]
    assert await ids(status="failed") == []
    for bad in ({"status": "odd"}, {"dir": "x"}, {"from": "x"}, {"from_ts": "x"}, {"from": "1_" + "x" * 500}):
        await alice.get(msc4140("delayed_events"), **bad, expect=(400, "M_INVALID_PARAM"))
    assert (await bob.get(UNSTABLE + "delayed_events")) == {"delayed_events": []}


@pytest.mark.parametrize("direction", ["f", "b"])
async def test_long_lists_come_in_pages(server: Server, direction: str) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    scheduled = [(await say_later(alice, room_id, "x", 1000 + number // 2))["delay_id"] for number in range(60)]
    path = "/_matrix/client/unstable/org.matrix.msc4486/delayed_events"
    page = await alice.get(path, dir=direction)
    rest = await alice.get(path, **{"dir": direction, "from": page["next_batch"]})
    assert "next_batch" not in rest
    found = [each["delay_id"] for each in (*page["delayed_events"], *rest["delayed_events"])]
    assert sorted(found) == sorted(scheduled)
    assert [each["delay"] for each in page["delayed_events"]] == sorted(
        (each["delay"] for each in page["delayed_events"]), reverse=direction == "b"
    )


async def test_guests_leave_calls_too(server: Server, clock: FakeClock) -> None:
    alice, guest = await server.register("alice"), await server.guest()
    room_id = await alice.create_room(
        preset="public_chat",
        initial_state=[{"type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "can_join"}}],
    )
    await guest.join(room_id)
    delay_id = await leave_later(guest, room_id)
    await join_call(guest, room_id)
    clock.advance(ms=CALL_DELAY_MS)
    await finalised(guest, delay_id)
    assert not await is_in_call(guest, room_id)


async def test_the_leave_outlives_the_device_but_not_the_account(server: Server, clock: FakeClock) -> None:
    alice = await server.register("alice")
    phone = await alice.login()
    room_id = await alice.create_room()
    await join_call(alice, room_id)
    delay_id = await leave_later(phone, room_id)
    await phone.post("logout")
    clock.advance(ms=CALL_DELAY_MS)
    await finalised(alice, delay_id)
    assert not await is_in_call(alice, room_id)
    kept = (await say_later(alice, room_id, "x", 1000))["delay_id"]
    await alice.post("account/deactivate", {"auth": alice.password_auth()})
    await act(server, kept, "restart", expect=(404, "M_NOT_FOUND"))
    assert server.application.delayed.delayed.delayed_of(alice.user_id, room_id, "m.room.message", None) == []


async def test_hundred_leaves_at_once_are_few_statements(server: Server, clock: FakeClock) -> None:
    """A worker of the media server dies: everybody vanishes at the same time."""
    people = [await server.register(f"person{number}") for number in range(12)]
    room_id = await people[0].create_room(preset="public_chat")
    for person in people[1:]:
        await person.join(room_id)
    for person in people:
        await join_call(person, room_id)
    delay_ids = [await leave_later(person, room_id) for person in people]
    await asyncio.sleep(0.05)
    database = server.application.base.database
    before = database.statements
    clock.advance(ms=CALL_DELAY_MS)
    entries = server.application.delayed.delayed.timetable
    while len(entries):
        await asyncio.sleep(0.005)
    # Each user's earlier transactions are read once; the events share commits. What follows behind the events (search, the
    # directory, counts) takes its statements meanwhile, as many for one event.
    assert database.statements - before <= len(people) + 24
    for person, delay_id in zip(people, delay_ids, strict=True):
        assert "event_id" in await finalised(person, delay_id)
        assert not await is_in_call(person, room_id)


async def test_the_feature_is_shown(server: Server) -> None:
    features = (await server.anonymous().get("/_matrix/client/versions"))["unstable_features"]
    assert features["org.matrix.msc4140"]
    assert features["org.matrix.msc4486"]
