"""Mallory is let in, and says whatever she likes on her WebSocket: nothing raises, nothing grows, calls go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

import pytest
from livekit.protocol import models, rtc

from tests.voice.hostile.babble import assert_alice_still_reaches_bob, babble, mumble, words_of
from tests.voice.hostile.nonsense import KINDS, STRINGS, request
from tests.voice.rooms.stage import LIMITS, ROOM, Stage, set_stage, settled

SEEDS = (1, 2, 3)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("single", [True, False], ids=["v1", "v0"])
async def test_no_request_of_any_kind_raises_or_ends_the_calls_of_others(seed: int, single: bool) -> None:
    await babble(seed, single=single, requests=60)


@pytest.mark.parametrize("seed", SEEDS)
async def test_broken_descriptions_end_her_session_and_nothing_else(seed: int) -> None:
    assert await mumble(seed, descriptions=40), "nothing of this was ever refused"


async def test_the_first_offer_may_be_broken_too() -> None:
    stage = set_stage()
    for text in ("v=0", "x" * 300_000, "v=0\r\n" + "m=audio 9 X 0\r\n" * 500, *STRINGS[1:]):
        mallory = stage.joins("mallory", offer=rtc.SessionDescription(type="offer", sdp=text))
        assert mallory.session.participant.gone
        assert mallory.signal.last("leave").reason == models.STATE_MISMATCH
    assert not stage.server.door.sessions
    assert all(transport.closed for transport in stage.port.transports)


async def test_an_answer_that_nobody_asked_for_is_nothing() -> None:
    stage = set_stage()
    for single in (True, False):
        mallory = stage.joins("mallory", single=single)
        mallory.asks(answer=rtc.SessionDescription(type="answer", sdp=mallory.sdp(), id=3))
        mallory.asks(answer=rtc.SessionDescription(type="answer", sdp="nonsense", id=3))
    alice, bob = stage.in_a_call("alice", "bob")
    assert_alice_still_reaches_bob(alice, bob)


async def test_tracks_she_announces_are_bounded_and_forgotten_with_her() -> None:
    stage = set_stage()
    (mallory,) = stage.in_a_call("mallory")
    for number in range(500):
        mallory.asks(add_track=rtc.AddTrackRequest(cid=f"c{number}", type=number % 2, source=number % 5))
    tracks = mallory.session.participant.publications
    assert len(tracks) == LIMITS.tracks_per_participant
    refused = mallory.signal.all("request_response")
    assert len(refused) == 500 - LIMITS.tracks_per_participant
    assert refused[-1].reason == rtc.RequestResponse.LIMIT_EXCEEDED
    mallory.asks(leave=rtc.LeaveRequest())
    assert len(tracks) == 0


async def test_a_track_says_little_of_itself() -> None:
    stage = set_stage()
    (mallory,) = stage.in_a_call("mallory")
    assert not mallory.publishes(name="x" * LIMITS.track)
    assert mallory.signal.last("request_response").reason == rtc.RequestResponse.LIMIT_EXCEEDED


def quick(work: Callable[[], None], seconds: float) -> None:
    """CPU time, with room for a slow machine: what is measured was a hundred times as much."""
    began = time.process_time()
    work()
    assert time.process_time() - began < seconds


async def test_endless_lists_of_names_are_not_read_to_their_end() -> None:
    stage = set_stage()
    _, mallory = stage.in_a_call("alice", "mallory")
    nobody = [f"TR_{number}" for number in range(50_000)]
    permissions = [rtc.TrackPermission(participant_identity=name, track_sids=["a"]) for name in nobody]
    tracks = [models.ParticipantTracks(participant_sid="PA_x", track_sids=nobody)]
    quick(lambda: mallory.asks(subscription=rtc.UpdateSubscription(track_sids=nobody, subscribe=True)), 0.2)
    quick(lambda: mallory.asks(subscription=rtc.UpdateSubscription(participant_tracks=tracks, subscribe=True)), 0.2)
    quick(lambda: mallory.asks(track_setting=rtc.UpdateTrackSettings(track_sids=nobody)), 0.2)
    quick(lambda: mallory.asks(subscription_permission=rtc.SubscriptionPermission(track_permissions=permissions)), 0.2)
    followings = mallory.session.participant.followings
    assert len(mallory.signal.all("subscription_response")) == 2 * LIMITS.names
    assert len(followings.settings) <= LIMITS.remembered_settings
    assert len(mallory.session.participant.audience.tracks) <= LIMITS.names


async def test_news_of_one_who_never_stops_to_change_do_not_fill_the_lines_of_the_others() -> None:
    stage = set_stage()
    alice, mallory = stage.in_a_call("alice", "mallory")
    await settled()
    alice.signal.messages.clear()
    for number in range(300):
        text = f"{number} " + "x" * 15_000
        mallory.asks(update_metadata=rtc.UpdateParticipantMetadata(request_id=number, metadata=text))
        await settled()
    told = sum(message.ByteSize() for message in alice.signal.messages)
    assert told < 25 * 16_000
    reasons = [answer.reason for answer in mallory.signal.all("request_response")]
    assert reasons.count(rtc.RequestResponse.OK) == LIMITS.updates_of_oneself_burst
    stage.time.advance(1000)
    mallory.asks(update_metadata=rtc.UpdateParticipantMetadata(metadata="calm"))
    assert mallory.session.participant.metadata == "calm"


async def test_she_cannot_speak_for_others_nor_hear_first() -> None:
    stage = set_stage()
    alice, mallory = stage.in_a_call("alice", "mallory")
    sid = alice.publishes()
    mallory.asks(mute=rtc.MuteTrackRequest(sid=sid, muted=True))
    mallory.asks(update_metadata=rtc.UpdateParticipantMetadata(attributes={"org.voicechat.priority": "1"}))
    mallory.asks(add_track=rtc.AddTrackRequest(cid=sid, sid=sid, type=models.AUDIO, source=models.MICROPHONE))
    assert not alice.session.participant.publications.by_sid(sid).info.muted  # type: ignore[union-attr]
    assert "org.voicechat.priority" not in mallory.session.participant.attributes
    assert mallory.signal.last("track_published").track.sid != sid


async def test_data_to_many_is_counted_as_many() -> None:
    stage = set_stage()
    people = stage.in_a_call("mallory", *(f"listener{number}" for number in range(30)))
    mallory = people[0]
    packet = models.DataPacket(user=models.UserPacket(payload=b"x" * 12_000)).SerializeToString()
    for _ in range(100):
        mallory.session.data_arrived("_reliable", packet)
    sent = sum(len(payload) for person in people[1:] for _, payload in person.transports[0].data)
    assert 0 < sent <= LIMITS.datagrams_per_sender * LIMITS.data_burst_seconds * LIMITS.datagram


async def test_data_of_many_is_counted_together() -> None:
    stage = set_stage()
    people = stage.in_a_call(*(f"mallory{number}" for number in range(30)))
    packet = models.DataPacket(user=models.UserPacket(payload=b"x" * 100)).SerializeToString()
    for _ in range(30):
        for person in people:
            person.session.data_arrived("_lossy", packet)
    sent = sum(len(person.transports[0].data) for person in people)
    assert 0 < sent <= LIMITS.datagrams_per_room * LIMITS.data_burst_seconds


@pytest.mark.parametrize("seed", SEEDS)
async def test_data_that_is_no_packet_goes_nowhere(seed: int) -> None:
    stage, random = set_stage(), Random(seed)
    alice, mallory = stage.in_a_call("alice", "mallory")
    for _ in range(300):
        label = random.choice(("_reliable", "_lossy", "_data_track", "", "x"))
        mallory.session.data_arrived(label, random.randbytes(random.choice((0, 1, 5, 50, 16_001, 64_000))))
        stage.time.advance(100)
    for label, payload in alice.transports[0].data:
        packet = models.DataPacket.FromString(payload)
        assert label in ("_reliable", "_lossy")
        assert packet.participant_identity == "mallory"


async def test_a_second_mallory_with_the_same_name_takes_the_place_of_the_first() -> None:
    stage = set_stage()
    _, first = stage.in_a_call("alice", "mallory")
    sid = first.publishes()
    second = stage.joins("mallory")
    assert first.signal.last("leave").reason == models.DUPLICATE_IDENTITY
    assert first.transports[0].closed
    assert sid not in first.session.room.publications
    first.asks(add_track=rtc.AddTrackRequest(cid="late", type=models.AUDIO, source=models.MICROPHONE))
    first.asks(leave=rtc.LeaveRequest())
    assert not second.session.participant.gone, "the old session has no say any more"
    assert len(stage.server.door.sessions) == 2


async def test_when_everybody_left_nothing_is_left() -> None:
    stage = set_stage()
    random = Random(9)
    for _ in range(3):
        people = stage.in_a_call(*(f"p{number}" for number in range(6)), single=random.random() < 0.5)
        for person in people:
            person.publishes()
            person.publishes("video", models.CAMERA)
        for person in people:
            person.offers()
            person.session.handle(request(random.choice(KINDS), random, words_of(*people)))
        for person in people:
            person.asks(leave=rtc.LeaveRequest())
    await settled()
    assert_empty(stage)
    stage.time.advance(LIMITS.empty_room + 1)
    stage.server.rounds.sweep()
    assert not stage.server.registry.rooms


def assert_empty(stage: Stage) -> None:
    room = stage.server.registry.rooms[ROOM]
    media = room.media
    for left in (room.people, room.by_identity, room.publications, stage.server.door.sessions):
        assert not left
    for left in (media.tracks, media._ssrcs, media._receivers, media._senders, media._links):
        assert not left
    assert all(transport.closed for transport in stage.port.transports)
