"""What the homeserver may rely on, whoever forwards: our own SFU, or LiveKit.

LiveKit is a stand-in of ours, or the one at LIVEKIT_URL with LIVEKIT_API_KEY and LIVEKIT_API_SECRET, which sends its
webhooks to port LIVEKIT_WEBHOOK_PORT, path /hook.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from livekit import rtc
from livekit.rtc.participant import PublishTrackError

from tests.voice.backends.places import PLACES, Place
from tests.voice.calls.telephone import Caller, filming, heard, humming, until
from voice.sfu.backend import Changed, Grant, Joined, LeaveReason, Left, RoomOptions
from voice.tokens import PRIORITY_ATTRIBUTE


@pytest.fixture(params=sorted(PLACES))
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with PLACES[request.param]() as place:
        yield place


async def is_sent_away(place: Place, guest: Caller, identity: str) -> None:
    await until(lambda: "disconnected" in guest.seen, f"the end of {identity}")
    assert identity not in await place.identities()


async def microphone_of(place: Place, identity: str) -> str:
    (state,) = [each for each in await place.backend.participants(place.room) if each.identity == identity]
    return state.microphone


async def microphone_becomes(place: Place, identity: str, expected: str) -> None:
    async with asyncio.timeout(6):
        while await microphone_of(place, identity) != expected:
            await asyncio.sleep(0.1)


async def test_alice_and_bob_hear_each_other(place: Place) -> None:
    alice, bob = await place.arrive("alice"), await place.arrive("bob")
    async with humming(alice):
        await until(lambda: "alice audio" in bob.tracks, "Alice's track")
        hertz, _ = await heard(bob.tracks["alice audio"], 0.3)
    assert hertz == pytest.approx(997, abs=20)
    assert await place.identities() == ["alice", "bob"]


async def test_who_is_there_is_told_with_all_that_rosters_show(place: Place) -> None:
    alice = await place.arrive("alice", attributes={"org.example.mood": "fine"}, priority_speaker=True)
    (joined,) = place.of(Joined, "alice")
    assert isinstance(joined, Joined)
    there = (await place.backend.participants(place.room))[0]
    assert there.sid == joined.participant.sid == alice.room.local_participant.sid
    assert joined.participant.microphone == "none"
    assert joined.participant.joined_ms == there.joined_ms > 1_600_000_000_000
    assert there.attributes == {"org.example.mood": "fine", PRIORITY_ATTRIBUTE: "1"}

    def last() -> Changed:
        event = place.of(Changed, "alice")[-1]
        assert isinstance(event, Changed)
        return event

    async with humming(alice) as published:
        await until(lambda: place.of(Changed, "alice") and last().participant.microphone == "on", "her microphone")
        assert published.track is not None
        published.track.mute()
        await until(lambda: last().participant.microphone == "muted", "her being muted")
    async with filming(alice):
        await until(lambda: last().participant.camera, "her camera")
    assert last().participant.sid == joined.participant.sid
    await alice.room.local_participant.set_attributes({"org.voicechat.deafened": "1"})
    await until(lambda: last().participant.attributes.get("org.voicechat.deafened") == "1", "her being deafened")


async def test_a_goodbye_is_told_as_one(place: Place) -> None:
    alice = await place.arrive("alice")
    (joined,) = place.of(Joined, "alice")
    await alice.room.disconnect()
    await until(lambda: place.of(Left, "alice"), "her leaving")
    assert isinstance(joined, Joined)
    assert place.of(Left, "alice") == [Left(place.room, "alice", joined.participant.sid, LeaveReason.LEFT)]
    assert await place.identities() == []


async def test_the_same_person_twice_is_the_newer_one(place: Place) -> None:
    first = await place.arrive("alice")
    await place.arrive("alice")
    await until(lambda: "disconnected" in first.seen, "the end of her first session")
    await until(lambda: place.of(Left, "alice"), "the news of it")
    before, after = place.of(Joined, "alice")
    assert isinstance(before, Joined)
    assert isinstance(after, Joined)
    assert place.of(Left, "alice") == [Left(place.room, "alice", before.participant.sid, LeaveReason.DUPLICATE)]
    assert [each.sid for each in await place.backend.participants(place.room)] == [after.participant.sid]


@pytest.mark.parametrize("reason", [LeaveReason.REMOVED, LeaveReason.MOVED])
async def test_mallory_is_removed_and_his_old_token_is_of_no_use(place: Place, reason: LeaveReason) -> None:
    await place.open()
    spare = place.token("mallory")
    mallory = await place.arrive("mallory")
    alice = await place.arrive("alice")
    await asyncio.sleep(0.01)
    assert await place.backend.remove(place.room, "mallory", reason) is True
    await is_sent_away(place, mallory, "mallory")
    await until(lambda: place.of(Left, "mallory"), "his leaving")
    (left,) = place.of(Left, "mallory")
    assert isinstance(left, Left)
    assert left.reason is reason
    await until(lambda: "participant_disconnected" in alice.seen, "Alice sees it")

    try:
        again = await place.join("mallory", spare)
    except rtc.ConnectError:
        pass  # he is not let in at all
    else:
        await is_sent_away(place, again, "mallory")
    assert len(place.of(Joined, "mallory")) == 1, "nobody was told that he was there"
    await place.arrive("mallory", token=place.token("mallory"))
    assert await place.identities() == ["alice", "mallory"]


async def test_who_is_not_there_cannot_be_removed_but_his_token_is_void(place: Place) -> None:
    await place.open()
    token = place.token("mallory")
    await asyncio.sleep(0.01)
    assert await place.backend.remove(place.room, "mallory") is False
    try:
        mallory = await place.join("mallory", token)
    except rtc.ConnectError:
        pass
    else:
        await is_sent_away(place, mallory, "mallory")
    assert place.events == []


async def test_a_moderator_mutes_bob_until_he_lifts_that(place: Place) -> None:
    alice, bob = await place.arrive("alice"), await place.arrive("bob")
    async with humming(bob) as published:
        await until(lambda: "bob audio" in alice.tracks, "his track")
        await heard(alice.tracks["bob audio"], 0.1)
        assert await place.backend.mute(place.room, "bob", "microphone") is True
        await until(lambda: "track_muted" in alice.seen, "Alice sees it")
        assert await microphone_of(place, "bob") == "muted"

        assert published.track is not None
        published.track.unmute()
        await asyncio.sleep(0.5)
        await microphone_becomes(place, "bob", "muted")  # at LiveKit by the next look at the room

        assert await place.backend.mute(place.room, "bob", "microphone", muted=False) is True
        assert await microphone_of(place, "bob") == "muted", "a microphone is opened by its owner"
        published.track.mute()
        await asyncio.sleep(0.2)
        published.track.unmute()
        await microphone_becomes(place, "bob", "on")
    assert await place.backend.mute(place.room, "nobody", "microphone") is False


async def test_who_is_muted_before_he_has_a_microphone_opens_none(place: Place) -> None:
    await place.arrive("bob")
    assert await place.backend.mute(place.room, "bob", "microphone") is False
    async with humming(bob := place.guests[-1]):
        await microphone_becomes(place, "bob", "muted")
    await bob.room.disconnect()
    bob = await place.arrive("bob")
    async with humming(bob):
        await microphone_becomes(place, "bob", "on")


async def test_who_may_no_longer_speak_is_silent_and_stays(place: Place) -> None:
    alice, bob = await place.arrive("alice"), await place.arrive("bob", priority_speaker=True)
    async with humming(bob):
        await until(lambda: "bob audio" in alice.tracks, "his track")
        silent = Grant(place.room, "bob", can_publish=False, sources=(), can_publish_data=False)
        assert await place.backend.permit(place.room, silent) is True
        await until(lambda: {"track_unpublished", "track_unsubscribed"} & set(alice.seen), "the end of his track")

    async def bob_now() -> object:
        return next(each for each in await place.backend.participants(place.room) if each.identity == "bob")

    state = await bob_now()
    assert (state.microphone, state.attributes.get(PRIORITY_ATTRIBUTE)) == ("none", None)  # type: ignore[attr-defined]
    assert await place.backend.permit(place.room, Grant(place.room, "bob", sources=("microphone",))) is True
    alice.tracks.clear()
    async with humming(bob):
        await until(lambda: "bob audio" in alice.tracks, "his track again")
    assert await place.backend.permit(place.room, Grant(place.room, "nobody")) is False


async def test_listeners_only_do_not_publish(place: Place) -> None:
    alice = await place.arrive("alice", can_publish=False, sources=())
    with pytest.raises((PublishTrackError, TimeoutError)):
        async with asyncio.timeout(1), humming(alice):
            pass
    assert await microphone_of(place, "alice") == "none"


async def test_data_reaches_all_or_those_named(place: Place) -> None:
    alice, bob = await place.arrive("alice"), await place.arrive("bob")
    async with asyncio.timeout(10):
        while not (alice.data and bob.data):  # their channels open a moment after they are there
            await place.backend.send_data(place.room, "org.voicechat.move", b"to all")
            await asyncio.sleep(0.2)
    await place.backend.send_data(place.room, "org.voicechat.move", b"to bob", ["bob"])
    await until(lambda: bob.data[-1][1:] == (b"to bob", "org.voicechat.move"), "the message for Bob")
    assert {payload for _, payload, _ in alice.data} == {b"to all"}


async def test_a_full_room_takes_nobody_until_it_is_made_larger(place: Place) -> None:
    await place.open(max_participants=2)
    await place.arrive("alice")
    await place.open(max_participants=2)  # `arrive` asks for the usual room
    bob = await _enter(place, "bob", most=2)
    assert bob is not None
    await until(lambda: place.of(Joined, "bob"), "the news of Bob")
    carol = await _enter(place, "carol", most=2)
    if carol is not None:
        await is_sent_away(place, carol, "carol")
    assert await place.identities() == ["alice", "bob"]
    assert place.of(Joined, "carol") == []
    assert await _enter(place, "carol", most=3) is not None
    await until(lambda: place.of(Joined, "carol"), "the news of Carol")


async def _enter(place: Place, identity: str, most: int) -> Caller | None:
    guest = Caller(rtc.Room())
    guest.listen()
    url = place.reached(await place.open(max_participants=most))
    try:
        await guest.room.connect(url, place.token(identity))
    except rtc.ConnectError:
        return None
    place.guests.append(guest)
    return guest


async def test_of_rooms_that_nobody_made_there_is_nothing_to_say(place: Place) -> None:
    backend = place.backend
    assert list(await backend.participants(place.room)) == []
    assert await backend.remove(place.room, "alice") is False
    assert await backend.mute(place.room, "alice", "microphone") is False
    assert await backend.permit(place.room, Grant(place.room, "alice")) is False
    await backend.send_data(place.room, "topic", b"hello")
    elsewhere = await backend.ensure_room(f"{place.room}-other", RoomOptions())
    with pytest.raises(rtc.ConnectError):
        await rtc.Room().connect(place.reached(elsewhere), place.token("alice"))
    assert place.events == []
