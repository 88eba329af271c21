"""A channel gets other settings while people talk in it."""

from __future__ import annotations

import pytest

from tests.voice.media.studio import Listener, Speaker, StillClock
from tests.voice.rooms.stage import ROOM, set_stage, settled
from voice.sfu.backend import RoomOptions
from voice.sfu.embedded.media import MediaRoom
from voice.sfu.embedded.media.incoming import audio_allowance
from voice.sfu.embedded.rooms.door import Refused


async def test_who_talks_is_asked_for_an_offer_and_answered_with_the_new_bitrate() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    alice.publishes()
    await settled()
    bob.offers()
    await settled()
    before = [len(person.signal.all("media_sections_requirement")) for person in (alice, bob)]
    assert "maxaveragebitrate=64000" in alice.signal.last("answer").sdp

    stage.server.ensure_room(ROOM, RoomOptions(audio_bitrate=32_000, audio_frame_ms=60))
    await settled()

    after = [len(person.signal.all("media_sections_requirement")) for person in (alice, bob)]
    assert after == [before[0] + 1, before[1]], "Bob says nothing, so nothing changes for him"
    sdp = alice.offers().sdp
    assert "maxaveragebitrate=32000" in sdp
    assert "a=ptime:60" in sdp


async def test_the_same_options_once_more_ask_nobody() -> None:
    stage = set_stage()
    (alice,) = stage.in_a_call("alice")
    alice.publishes()
    await settled()
    before = len(alice.signal.all("media_sections_requirement"))
    stage.server.ensure_room(ROOM, RoomOptions())
    await settled()
    assert len(alice.signal.all("media_sections_requirement")) == before


async def test_a_smaller_channel_sends_nobody_out_and_takes_nobody_more() -> None:
    stage = set_stage()
    stage.in_a_call("alice", "bob")
    stage.server.ensure_room(ROOM, RoomOptions(max_participants=1))
    assert len(stage.server.participants(ROOM)) == 2
    with pytest.raises(Refused, match="max participants"):
        stage.joins("carol")
    stage.server.ensure_room(ROOM, RoomOptions(max_participants=3))
    stage.joins("carol")


@pytest.mark.parametrize("bitrate", [24_000, 96_000])
def test_who_sends_far_more_than_the_channel_allows_is_cut(bitrate: int) -> None:
    """Clients may ignore what was agreed on; what everybody has to receive they cannot decide."""
    clock = StillClock()
    room = MediaRoom(clock, 5, 20, audio_bitrate=bitrate)
    mallory, bob = Speaker(room, "mallory"), Listener(room)
    bob.listen_to(mallory.track)
    honest, greedy = bitrate // 8 // 50, 1_100
    assert _heard(mallory, bob, clock, bytes(honest)) == 500
    passed = _heard(mallory, bob, clock, bytes(greedy))
    seconds = 10 + 1  # the bucket was full
    assert passed * greedy < audio_allowance(bitrate) * seconds


def _heard(speaker: Speaker, listener: Listener, clock: StillClock, payload: bytes) -> int:
    """How many of ten seconds of frames arrive."""
    before = len(listener.transport.heard())
    for _ in range(500):
        speaker.receiver.rtp(speaker.packet() + payload)
        clock.advance(20)
    return len(listener.transport.heard()) - before
