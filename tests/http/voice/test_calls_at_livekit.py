"""A server with `voice.backend: livekit`: tokens, rosters and rules are the same, and people outlive our restarts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc

from config.settings import LiveKitSettings, Settings, VoiceSettings
from tests.cast import Client, Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver, server_settings
from tests.voice.backends.stand_in import KEY, SECRET, StandIn, stand_in
from tests.voice.callers import ask_homeserver, sfu_get
from tests.voice.calls.telephone import Caller, humming, until
from tests.voice.recording_backend import RecordingBackend
from tests.voice.seats import CALL_MEMBER, roster
from tests.voice.seats import Caller as Seated
from voice import tokens
from voice.sfu.backend import LeaveReason

WEBHOOK = "/livekit/sfu_webhook"
CHANNEL = "org.voicechat.voice_channel"


@pytest.fixture
async def livekit() -> AsyncIterator[StandIn]:
    async with stand_in() as livekit:
        yield livekit


@pytest.fixture
async def overseas() -> AsyncIterator[StandIn]:
    async with stand_in() as livekit:
        yield livekit


@pytest.fixture
def settings(livekit: StandIn, overseas: StandIn, tmp_path: Path) -> Settings:
    clusters = tuple(
        LiveKitSettings(region=region, url=each.url, api_key=KEY, api_secret=SECRET)
        for region, each in (("home", livekit), ("overseas", overseas))
    )
    return server_settings(tmp_path, voice=VoiceSettings(backend="livekit", livekit=clusters))


@pytest.fixture(autouse=True)
def reports(server: Server, livekit: StandIn, overseas: StandIn) -> None:
    livekit.webhook_url = overseas.webhook_url = server.base_url + WEBHOOK


async def lounge(server: Server, *names: str, **more: Any) -> tuple[str, list[Client]]:
    people = [await server.register(name) for name in names]
    room_id = await people[0].create_room(
        preset="public_chat", creation_content={"type": "org.matrix.msc3417.call"}, **more
    )
    for other in people[1:]:
        await other.join(room_id)
    return room_id, people


async def connect(client: Client, room_id: str) -> Caller:
    answer = await sfu_get(client, room_id)
    caller = Caller(rtc.Room())
    caller.listen()
    await caller.room.connect(answer["url"], answer["jwt"])
    return caller


async def roster_of(client: Client, room_id: str) -> Any:
    answer = await client.get(f"/_voicechat/client/v1/rooms/{room_id}/voice")
    return answer["participants"]


async def roster_shows(reader: Client, room_id: str, *people: Client) -> None:
    expected = {each.user_id for each in people}
    deadline = time.monotonic() + 5
    while set(found := await roster_of(reader, room_id)) != expected:
        assert time.monotonic() < deadline, f"the roster is {found}"


async def test_bob_is_kicked_and_out_within_a_second(server: Server) -> None:
    room_id, (alice, bob, carol) = await lounge(server, "alice", "bob", "carol")
    before = await carol.sync()
    spare = await sfu_get(bob, room_id)
    from_alice, from_bob = await connect(alice, room_id), await connect(bob, room_id)
    await roster_shows(carol, room_id, alice, bob)
    told = await carol.sync(since=before["next_batch"])
    assert alice.user_id in roster(told, room_id)

    kicked = time.monotonic()
    await alice.kick(room_id, bob)
    await until(lambda: "disconnected" in from_bob.seen, "his end")
    assert time.monotonic() - kicked < 1
    await roster_shows(carol, room_id, alice)
    await sfu_get(bob, room_id, expect=(403, "M_FORBIDDEN"))

    again = Caller(rtc.Room())
    again.listen()
    await again.room.connect(spare["url"], spare["jwt"])  # LiveKit itself knows nothing of his being kicked
    await until(lambda: "disconnected" in again.seen, "his end")
    await roster_shows(carol, room_id, alice)
    await bob.join(room_id)
    welcome = await connect(bob, room_id)
    await roster_shows(carol, room_id, alice, bob)
    for caller in (from_alice, welcome):
        await caller.room.disconnect()
    await roster_shows(carol, room_id)


async def test_who_loses_his_voice_is_silent_and_stays(server: Server) -> None:
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    from_bob, from_alice = await connect(bob, room_id), await connect(alice, room_id)
    async with humming(from_bob):
        await until(lambda: f"{bob.user_id}:{bob.device_id} audio" in from_alice.tracks, "his track")
        levels = await alice.state(room_id, "m.room.power_levels")
        levels["events"]["org.voicechat.voice.speak"] = 50
        await alice.set_state(room_id, "m.room.power_levels", levels)
        await until(lambda: "track_unsubscribed" in from_alice.seen, "the end of his track")
    await roster_shows(alice, room_id, alice, bob)
    for caller in (from_bob, from_alice):
        await caller.room.disconnect()


async def test_rosters_are_there_again_after_our_restart(
    server: Server, livekit: StandIn, settings: Settings, database_dsn: str, clock: FakeClock
) -> None:
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    caller = await connect(alice, room_id)
    await roster_shows(bob, room_id, alice)
    async with running_homeserver(settings, database_dsn, clock) as second:
        livekit.webhook_url = ""
        returned = second.anonymous()
        returned.user_id, returned.access_token, returned.device_id = bob.user_id, bob.access_token, bob.device_id
        await roster_shows(returned, room_id, alice)
        await returned.leave(room_id)
        alice_again = second.anonymous()
        alice_again.user_id, alice_again.access_token = alice.user_id, alice.access_token
        await alice_again.leave(room_id)
        await until(lambda: "disconnected" in caller.seen, "her end")


async def test_without_livekit_there_are_no_calls_but_chat(server: Server, livekit: StandIn) -> None:
    room_id, (alice,) = await lounge(server, "alice")
    await livekit.crash()
    refused = await sfu_get(alice, room_id, expect=503)
    assert "Calls do not work" in refused["error"]
    await alice.send(room_id, "still here")
    metrics = (await alice.raw("GET", "/metrics")).body.decode()
    assert 'voicechat_livekit_up{region="home"} 0' in metrics
    assert 'voicechat_livekit_up{region="overseas"} 1' in metrics
    await livekit.start()
    assert (await sfu_get(alice, room_id))["url"] == livekit.url


async def test_a_channel_is_in_the_region_it_asks_for(server: Server, livekit: StandIn, overseas: StandIn) -> None:
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    assert (await sfu_get(alice, room_id))["url"] == livekit.url
    await alice.set_state(room_id, CHANNEL, {"region": "overseas"})
    assert (await sfu_get(alice, room_id))["url"] == overseas.url
    assert tokens.sfu_room(room_id) in overseas.server.registry.rooms
    caller = await connect(alice, room_id)
    await roster_shows(bob, room_id, alice)
    await alice.set_state(room_id, CHANNEL, {"region": "home"})
    assert (await sfu_get(bob, room_id))["url"] == overseas.url, "where Alice is"
    await caller.room.disconnect()


async def test_all_clusters_are_told_and_tokens_are_for_the_right_one(
    server: Server, livekit: StandIn, overseas: StandIn
) -> None:
    room_id, (alice,) = await lounge(server, "alice")
    transports = (await alice.get("/_matrix/client/v1/rtc/transports"))["rtc_transports"]
    assert [each["url"] for each in transports if each["type"] == "m.livekit"] == [livekit.url, overseas.url]
    await alice.set_state(room_id, CHANNEL, {"region": "overseas"})
    assert (await ask_homeserver(alice, room_id, url=overseas.url))["jwt"]
    wrong = await ask_homeserver(alice, room_id, url=livekit.url, expect=(400, "M_INVALID_PARAM"))
    assert overseas.url in wrong["error"]


async def test_strangers_report_nothing(server: Server) -> None:
    anybody = server.anonymous()
    for body in ({}, {"event": "participant_left"}):
        await anybody.post(WEBHOOK, body, expect=(401, "M_UNAUTHORIZED"))


async def test_who_is_gone_from_livekit_is_soon_gone_from_the_room(
    server: Server, livekit: StandIn, clock: FakeClock
) -> None:
    """Bob's battery is empty: he says goodbye to nobody."""
    room_id, (alice, bob) = await lounge(server, "alice", "bob")
    seat = Seated(bob, room_id, RecordingBackend(clock.now_ms))
    await seat.announce()
    caller = await connect(bob, room_id)
    await roster_shows(alice, room_id, bob)
    (person,) = livekit.server.registry.rooms[tokens.sfu_room(room_id)].people.values()
    livekit.end(person, LeaveReason.VANISHED)
    await roster_gone(alice, room_id, clock)
    assert await seat.membership() == {}
    await caller.room.disconnect()


async def roster_gone(reader: Client, room_id: str, clock: FakeClock) -> None:
    """Time passes, a little each time it is looked."""
    began = clock.now_ms()
    deadline = time.monotonic() + 5
    while await roster_of(reader, room_id) or (await memberships(reader, room_id)):
        assert time.monotonic() < deadline
        clock.advance(ms=50)
    assert clock.now_ms() - began < 5_000


async def memberships(reader: Client, room_id: str) -> list[Any]:
    state = await reader.get(("rooms", room_id, "state"))
    return [each["content"] for each in state if each["type"] == CALL_MEMBER and each["content"]]
