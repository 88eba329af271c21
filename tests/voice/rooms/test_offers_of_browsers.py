"""Offers recorded from real clients meet a room."""

from __future__ import annotations

import pytest
from livekit.protocol import models, rtc

from tests.voice.rooms.stage import set_stage
from tests.voice.sdp.recorded import recorded
from voice.sfu.embedded.sdp import parse


@pytest.mark.parametrize(
    "name", ["chromium-livekit-client", "firefox-livekit-client", "chromium-publish", "firefox-publish"]
)
async def test_what_a_browser_publishes_is_found_in_its_offer(name: str) -> None:
    stage = set_stage()
    (bob,) = stage.in_a_call("bob")
    alice = stage.joins("alice")
    text = recorded(name)
    sending = [section for section in parse(text).sections if section.sends and section.kind in ("audio", "video")]
    assert sending
    for section in sending:
        kind = models.AUDIO if section.kind == "audio" else models.VIDEO
        alice.asks(add_track=rtc.AddTrackRequest(cid=section.track_id, type=kind, source=models.MICROPHONE))

    alice.asks(offer=rtc.SessionDescription(type="offer", sdp=text, id=1))
    bob.offers()

    published = alice.session.participant.publications
    assert [published.by_mid[section.mid].cid for section in sending] == [section.track_id for section in sending]
    assert bob.hears() == set(alice.tracks)


async def test_a_browser_whose_cids_are_not_in_its_offer_is_understood_by_the_order() -> None:
    stage = set_stage()
    alice = stage.joins("alice")
    alice.asks(add_track=rtc.AddTrackRequest(cid="mine", type=models.AUDIO, source=models.MICROPHONE))
    text = recorded("firefox-publish")

    alice.asks(offer=rtc.SessionDescription(type="offer", sdp=text, id=1))
    alice.asks(offer=rtc.SessionDescription(type="offer", sdp=text, id=2))

    (first,) = alice.tracks
    alice.asks(add_track=rtc.AddTrackRequest(cid="more", type=models.AUDIO, source=models.SCREEN_SHARE_AUDIO))
    alice.asks(offer=rtc.SessionDescription(type="offer", sdp=text, id=3))

    assert alice.tracks == [first], "the next track comes with the next section"
