"""Alice's client vanishes, and the server says for her that she has left the call."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.cast import Client, Server
from tests.clock import FakeClock
from tests.voice.callers import MSC4195, SERVICE, SFU_URL, ask_homeserver, get_token, openid, sfu_get
from tests.voice.recording_backend import RecordingBackend
from tests.voice.waiting import until
from voice import tokens
from voice.sfu.backend import LeaveReason

CALL_MEMBER = "org.matrix.msc3401.call.member"
HOUR_MS = 3_600_000


@pytest.fixture
def sfu(clock: FakeClock) -> RecordingBackend:
    return RecordingBackend(clock.now_ms)


def key_of(client: Client) -> str:
    return f"_{client.user_id}_{client.device_id}_m.call"


async def enter(client: Client, room_id: str, delay_ms: int = HOUR_MS) -> str:
    """Say that the client is in the call, and schedule the opposite. Returns the delay id."""
    path = ("rooms", room_id, "state", CALL_MEMBER, key_of(client))
    await client.put(path, {"application": "m.call"})
    # The specification knows of no delays yet, so it is not asked.
    answer = await client.raw("PUT", path, data=b"{}", query={"org.matrix.msc4140.delay": delay_ms}, check=False)
    delay_id: str = answer.json()["delay_id"]
    return delay_id


async def has_left(client: Client, room_id: str) -> bool:
    return (await client.state(room_id, CALL_MEMBER, key_of(client))) == {}


async def until_left(client: Client, room_id: str) -> None:
    for _ in range(200):
        if await has_left(client, room_id):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the leave was not sent")


def claim(client: Client, member_id: str) -> dict[str, str]:
    return {"id": member_id, "claimed_user_id": client.user_id, "claimed_device_id": client.device_id}


async def hand_to_service(client: Client, room_id: str, delay_id: str, expect: Any = 200) -> None:
    body = {
        "room_id": room_id,
        "slot_id": "m.call#ROOM",
        "openid_token": await openid(client),
        "member": claim(client, "m1"),
        "delay_id": delay_id,
        "delay_timeout": HOUR_MS,
    }
    await client.anonymous().post(f"{SERVICE}/delegate_delayed_leave", body, expect=expect)


async def hand_to_homeserver(client: Client, room_id: str, delay_id: str, expect: Any = 200, **more: Any) -> None:
    body = {"url": SFU_URL, "room_id": room_id, "slot_id": "m.call#ROOM", "member_id": "m1", "delay_id": delay_id}
    await client.post(f"{MSC4195}/delegate_delayed_leave", {**body, **more}, expect=expect)


async def test_with_the_token_request(server: Server, sfu: RecordingBackend) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    delay_id = await enter(alice, room_id)
    elsewhere = "https://matrix.elsewhere.example"  # is not asked
    answer = await sfu_get(alice, room_id, delay_id=delay_id, delay_timeout=HOUR_MS, delay_cs_api_url=elsewhere)
    sfu.join(answer["jwt"])
    assert not await has_left(alice, room_id)
    sfu.leave(tokens.sfu_room(room_id), f"@alice:test:{alice.device_id}", LeaveReason.VANISHED)
    await until_left(alice, room_id)


@pytest.mark.parametrize("kind", ["state", "sticky"])
async def test_who_vanishes_leaves_once_though_two_see_to_it(
    server: Server, sfu: RecordingBackend, clock: FakeClock, kind: str
) -> None:
    """The delegated leave is sent at once; whoever looks after memberships a moment later finds nothing to end."""
    alice = await server.register("alice")
    room_id = await alice.create_room()
    name, sticks = ("send", {"org.matrix.msc4354.sticky_duration_ms": HOUR_MS}) if kind == "sticky" else ("state", {})
    event_type = "org.matrix.msc4143.rtc.member" if kind == "sticky" else CALL_MEMBER
    key = {"msc4354_sticky_key": "m1"} if kind == "sticky" else {}
    there = {**key, "application": {"type": "m.call"}, "device_id": alice.device_id}
    await alice.request("PUT", ("rooms", room_id, name, event_type, "here"), json=there, query=sticks)
    later = await alice.raw(
        "PUT",
        ("rooms", room_id, name, event_type, "gone" if kind == "sticky" else "here"),
        data=orjson.dumps(key),
        query={**sticks, "org.matrix.msc4140.delay": HOUR_MS},
        check=False,
    )
    token = await get_token(alice, room_id, "m1", delay_id=later.json()["delay_id"], delay_timeout=HOUR_MS)
    person = sfu.join(token["jwt"])
    await alice.sync()
    clock.advance(seconds=1)
    sfu.leave(tokens.sfu_room(room_id), person.identity, LeaveReason.VANISHED)
    told = await alice.sync_until(lambda answer: answer.timeline(room_id))
    assert [event["content"] for event in told.timeline(room_id)] == [key]
    for _ in range(20):
        clock.advance(seconds=1)
        await asyncio.sleep(0.01)
    assert not (await alice.sync()).timeline(room_id)


async def test_by_the_token_service(server: Server, sfu: RecordingBackend) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    delay_id = await enter(alice, room_id)
    person = sfu.join((await get_token(alice, room_id, "m1"))["jwt"])
    await hand_to_service(alice, room_id, delay_id)
    sfu.leave(tokens.sfu_room(room_id), person.identity, LeaveReason.VANISHED)
    await until_left(alice, room_id)


async def test_by_the_token_service_with_a_token_of_the_older_kind(server: Server, sfu: RecordingBackend) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    delay_id = await enter(alice, room_id)
    person = sfu.join((await sfu_get(alice, room_id))["jwt"])
    await hand_to_service(alice, room_id, delay_id)
    sfu.leave(tokens.sfu_room(room_id), person.identity, LeaveReason.VANISHED)
    await until_left(alice, room_id)


async def test_by_the_homeserver(server: Server, sfu: RecordingBackend) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    delay_id = await enter(alice, room_id)
    person = sfu.join((await ask_homeserver(alice, room_id, "m1"))["jwt"])
    await hand_to_homeserver(alice, room_id, delay_id)
    sfu.leave(tokens.sfu_room(room_id), person.identity, LeaveReason.VANISHED)
    await until_left(alice, room_id)


async def test_as_long_as_she_is_there_the_leave_waits(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    delay_id = await enter(alice, room_id, delay_ms=20_000)
    sfu.join((await sfu_get(alice, room_id, delay_id=delay_id, delay_timeout=20_000))["jwt"])
    for _ in range(30):
        clock.advance(seconds=2)
        await server.anonymous().get("/health")
    assert not await has_left(alice, room_id)


async def test_who_is_kicked_has_left_the_call_as_well(server: Server, sfu: RecordingBackend) -> None:
    """The leave comes too late to be sent by him; the call is left because the SFU has put him out."""
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    delay_id = await enter(bob, room_id)
    sfu.join((await sfu_get(bob, room_id, delay_id=delay_id, delay_timeout=HOUR_MS))["jwt"])
    await alice.kick(room_id, bob)
    room = tokens.sfu_room(room_id)
    await until(lambda: not sfu.people[room])
    delegations = server.application.base.life.memory["delegated_leaves"]
    await until(lambda: delegations() == {"delegations": 0})


async def test_mallory_hands_over_no_event_of_alice(server: Server, sfu: RecordingBackend) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    other = await alice.create_room()
    await mallory.join(room_id)
    delay_id = await enter(alice, room_id)
    await hand_to_homeserver(mallory, room_id, delay_id, expect=(400, "M_INVALID_PARAM"))
    await hand_to_service(mallory, room_id, delay_id, expect=(400, "M_INVALID_PARAM"))
    await hand_to_homeserver(alice, other, delay_id, expect=(400, "M_INVALID_PARAM"))
    await hand_to_homeserver(alice, room_id, "unknown", expect=(400, "M_INVALID_PARAM"))
    await hand_to_homeserver(alice, room_id, delay_id, url="wss://elsewhere", expect=(400, "M_INVALID_PARAM"))


async def test_mallory_leaves_no_trace_in_rooms_she_is_not_in(server: Server, sfu: RecordingBackend) -> None:
    """Anybody may schedule an event for any room, as that is only looked at when it is sent."""
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room()
    path = ("rooms", room_id, "state", CALL_MEMBER, key_of(mallory))
    later = await mallory.raw("PUT", path, data=b"{}", query={"org.matrix.msc4140.delay": HOUR_MS}, check=False)
    delay_id = later.json()["delay_id"]
    await hand_to_homeserver(mallory, room_id, delay_id, expect=(403, "M_FORBIDDEN"))
    await hand_to_service(mallory, room_id, delay_id, expect=(403, "M_FORBIDDEN"))
    assert server.application.base.life.memory["voice_identities"]()["identities"] == 0


async def test_clients_that_ask_without_a_token_learn_that_it_exists(server: Server) -> None:
    """Element Call asks so, and takes everything but 404 for a yes."""
    anonymous = server.anonymous()
    await anonymous.post(f"{MSC4195}/delegate_delayed_leave", {}, expect=(401, "M_MISSING_TOKEN"))
    await anonymous.post(f"{SERVICE}/delegate_delayed_leave", {}, expect=400)
