"""Real calls: LiveKit's own SDK on both ends, our SFU in between."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from livekit import rtc

from tests.voice.calls.telephone import (
    ROOM,
    Exchange,
    caller,
    encryption,
    exchange,
    filming,
    heard,
    humming,
    seen,
    until,
)
from voice.sfu.backend import Changed, Joined, LeaveReason, Left, RoomOptions, SfuEvent


def active(here: Exchange) -> int:
    return len(here.server.participants(ROOM))


def microphone(here: Exchange, identity: str) -> str:
    return next(state.microphone for state in here.server.participants(ROOM) if state.identity == identity)


def identity_of(event: SfuEvent) -> str:
    return event.participant.identity if isinstance(event, Joined | Changed) else event.identity


def channels_open(here: Exchange) -> bool:
    """What is sent before that is lost, as data of somebody who has not arrived yet."""
    people = here.server.registry.rooms[ROOM].people.values()
    return all(person.peer.send_data("_reliable", b"") and person.peer.send_data("_lossy", b"") for person in people)


def cut_signalling(here: Exchange, identity: str) -> None:
    here.server.registry.rooms[ROOM].by_identity[identity].signal._abort()


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "v0"])
async def test_bob_hears_alice(v1: bool) -> None:
    async with exchange(v1=v1) as here, caller(here, "alice") as alice, caller(here, "bob") as bob, humming(alice):
        await until(lambda: "alice audio" in bob.tracks, "Alice's track")

        loudest, share = await heard(bob.tracks["alice audio"])

        assert loudest == pytest.approx(997, abs=20)
        assert share > 0.9
        await until(lambda: "active_speakers_changed" in bob.seen, "that she speaks")
        await until(lambda: "local_track_subscribed" in alice.seen, "that she is heard")


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "v0"])
async def test_those_who_share_a_key_hear_each_other_and_others_hear_nothing(v1: bool) -> None:
    ours, theirs = encryption(b"between us"), encryption(b"a guess")
    async with (
        exchange(v1=v1) as here,
        caller(here, "alice", encryption=ours) as alice,
        caller(here, "bob", encryption=encryption(b"between us")) as bob,
        caller(here, "mallory", encryption=theirs) as mallory,
        humming(alice),
    ):
        await until(lambda: "alice audio" in bob.tracks and "alice audio" in mallory.tracks, "Alice's track")

        loudest, share = await heard(bob.tracks["alice audio"])
        assert loudest == pytest.approx(997, abs=20)
        assert share > 0.9
        with pytest.raises(TimeoutError):
            await heard(mallory.tracks["alice audio"], patience_s=1.0)


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "v0"])
async def test_data_goes_both_ways_to_everybody_or_to_one(v1: bool) -> None:
    async with (
        exchange(v1=v1) as here,
        caller(here, "alice") as alice,
        caller(here, "bob") as bob,
        caller(here, "eve") as eve,
    ):
        await until(lambda: len(alice.room.remote_participants) == 2 and active(here) == 3)
        await until(lambda: channels_open(here), "channels")

        await alice.room.local_participant.publish_data(b"hello", topic="chat")
        await bob.room.local_participant.publish_data(b"quick", reliable=False, topic="cursor")
        await bob.room.local_participant.publish_data(b"psst", destination_identities=["alice"], topic="chat")
        here.server.send_data(ROOM, "notice", b"from above", ["bob"])

        await until(lambda: len(alice.data) == 2 and len(bob.data) == 2 and len(eve.data) == 2, "data")
        assert sorted(alice.data) == [("bob", b"psst", "chat"), ("bob", b"quick", "cursor")]
        assert sorted(bob.data) == [("", b"from above", "notice"), ("alice", b"hello", "chat")]
        assert sorted(eve.data) == [("alice", b"hello", "chat"), ("bob", b"quick", "cursor")]


async def test_who_mutes_is_seen_muted_and_a_moderator_mutes_for_good() -> None:
    async with (
        exchange() as here,
        caller(here, "alice") as alice,
        caller(here, "bob") as bob,
        humming(alice) as published,
    ):
        await until(lambda: "alice audio" in bob.tracks)
        published.track.mute()
        await until(lambda: "track_muted" in bob.seen and microphone(here, "alice") == "muted", "the mute")
        published.track.unmute()
        await until(lambda: "track_unmuted" in bob.seen and microphone(here, "alice") == "on", "the unmute")

        assert here.server.mute(ROOM, "alice", "microphone")
        await until(lambda: bob.seen.count("track_muted") == 2, "the moderator's mute")
        published.track.unmute()

        with pytest.raises(TimeoutError):
            await heard(bob.tracks["alice audio"], patience_s=0.7, after_s=0.5)
        assert microphone(here, "alice") == "muted"


async def test_people_come_and_go_and_everybody_sees_it() -> None:
    async with exchange() as here, caller(here, "bob") as bob:
        async with caller(here, "alice") as alice, humming(alice):
            await until(lambda: "alice audio" in bob.tracks)
        await until(lambda: "participant_disconnected" in bob.seen)

        assert "track_unsubscribed" in bob.seen
        kinds = [(type(event).__name__, identity_of(event)) for event in here.events if not isinstance(event, Changed)]
        assert kinds == [("Joined", "bob"), ("Joined", "alice"), ("Left", "alice")]
        assert here.events[-1].reason is LeaveReason.LEFT


async def test_a_track_that_ends_is_gone_and_another_takes_its_place() -> None:
    async with exchange() as here, caller(here, "alice") as alice, caller(here, "bob") as bob:
        async with humming(alice, 440) as published:
            await until(lambda: "alice audio" in bob.tracks)
            await alice.room.local_participant.unpublish_track(published.sid)
        await until(lambda: "track_unsubscribed" in bob.seen and microphone(here, "alice") == "none")
        bob.tracks.clear()

        async with humming(alice, 997):
            await until(lambda: "alice audio" in bob.tracks, "the second track")
            assert (await heard(bob.tracks["alice audio"]))[0] == pytest.approx(997, abs=20)


@pytest.mark.slow
async def test_more_people_than_a_client_has_sections_for_are_heard() -> None:
    async with contextlib.AsyncExitStack() as stack:
        here = await stack.enter_async_context(exchange())
        for number in range(5):
            talker = await stack.enter_async_context(caller(here, f"talker{number}"))
            await stack.enter_async_context(humming(talker, 500 + 100 * number))
        listener = await stack.enter_async_context(caller(here, "listener"))
        await until(lambda: len(listener.tracks) == 5, "all five tracks")

        sounds = await asyncio.gather(*(heard(listener.tracks[f"talker{number} audio"]) for number in range(5)))

        assert [loudest for loudest, _ in sounds] == pytest.approx([500, 600, 700, 800, 900], abs=20)


async def test_who_is_removed_is_out_and_his_token_is_void() -> None:
    async with exchange() as here, caller(here, "mallory") as mallory, caller(here, "bob") as bob:
        await until(lambda: active(here) == 2)
        token = here.token("mallory")

        assert here.server.remove(ROOM, "mallory")

        await until(lambda: "disconnected" in mallory.seen and "participant_disconnected" in bob.seen)
        with pytest.raises(rtc.ConnectError):
            await rtc.Room().connect(here.url, token)


async def test_a_full_room_takes_nobody_and_an_unknown_one_is_unknown() -> None:
    async with exchange(options=RoomOptions(max_participants=1)) as here, caller(here, "alice") as alice:
        await until(lambda: active(here) == 1)
        with pytest.raises(rtc.ConnectError, match="max participants"):
            await rtc.Room().connect(here.url, here.token("bob"))
        with pytest.raises(rtc.ConnectError, match="does not exist"):
            await rtc.Room().connect(here.url, here.token("bob", room="cellar"))
        async with caller(here, "alice"):
            await until(lambda: "disconnected" in alice.seen, "the older Alice's end")


@pytest.mark.slow
@pytest.mark.parametrize("v1", [True, False], ids=["v1", "v0"])
async def test_a_lost_websocket_is_taken_up_again_and_the_call_goes_on(v1: bool) -> None:
    async with exchange(v1=v1) as here, caller(here, "alice") as alice, caller(here, "bob") as bob, humming(alice):
        await until(lambda: "alice audio" in bob.tracks)
        sid = here.server.participants(ROOM)[0].sid

        cut_signalling(here, "alice")

        await until(lambda: "reconnected" in alice.seen, "the resume")
        assert here.server.participants(ROOM)[0].sid == sid
        assert (await heard(bob.tracks["alice audio"]))[0] == pytest.approx(997, abs=20)
        assert not [event for event in here.events if isinstance(event, Left)]


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "v0"])
async def test_a_picture_arrives(v1: bool) -> None:
    async with exchange(v1=v1) as here, caller(here, "alice") as alice, caller(here, "bob") as bob, filming(alice):
        await until(lambda: "alice video" in bob.tracks, "Alice's picture")

        (info,) = [track.info for track in here.server.registry.rooms[ROOM].publications.values()]
        assert len(info.layers) > 1, "simulcast"
        width, colour = await seen(bob.tracks["alice video"])

        assert width in (160, 320, 640)
        assert colour == pytest.approx(200, abs=20)
