"""Protocol v0: we offer what Bob subscribes to, and he answers. His answers below are recorded ones, to these very offers."""

from __future__ import annotations

import pytest

from tests.voice.sdp.recorded import H264, LOCAL, OPUS, VP8, recorded, section_of
from voice.sfu.embedded.contracts import ABS_SEND_TIME
from voice.sfu.embedded.sdp import SdpError, SentTrack, SubscriberSections, parse

VOICE = SentTrack("PA_1", "TR_audio1", OPUS, 1010)
CAMERA = SentTrack("PA_2", "TR_video2", VP8, 1520, 5002)
SCREEN = SentTrack("PA_3", "TR_video3", H264, 1530, 5003)
LATE_VOICE = SentTrack("PA_4", "TR_audio4", OPUS, 1040)


def chromium_after_two_rounds() -> SubscriberSections:
    sections = SubscriberSections()
    sections.offer(LOCAL, [VOICE, CAMERA, SCREEN])
    sections.apply(parse(recorded("chromium-subscriber-0")))
    sections.offer(LOCAL, [CAMERA])
    sections.apply(parse(recorded("chromium-subscriber-1")))
    return sections


def test_tracks_get_a_section_each() -> None:
    offer = SubscriberSections().offer(LOCAL, [VOICE, CAMERA, SCREEN])
    description = parse(offer.text)
    assert offer.tracks == {"1": "TR_audio1", "2": "TR_video2", "3": "TR_video3"}
    assert [section.media for section in description.sections] == ["application", "audio", "video", "video"]
    assert description.setup == "actpass"
    assert description.bundle == ("0", "1", "2", "3")
    assert "a=msid:PA_1|TR_audio1 TR_audio1" in section_of(offer.text, "1")
    assert description.sections[2].ssrcs == (1520,)
    assert description.sections[2].rtx_ssrcs == {5002: 1520}


def test_the_answer_says_with_which_payload_types_to_send() -> None:
    sections = SubscriberSections()
    sections.offer(LOCAL, [VOICE, CAMERA, SCREEN])
    sent = sections.apply(parse(recorded("chromium-subscriber-0")))
    assert {mid: section.codec.name for mid, section in sent.items()} == {"1": "opus", "2": "VP8", "3": "H264"}
    assert sent["1"].codec.payload_type == 111
    assert sent["2"].rtx is not None
    assert sent["2"].rtx.payload_type == 97
    assert sent["2"].extensions.keys() == {ABS_SEND_TIME}, "we send no transport-wide numbers"


def test_ended_tracks_fall_silent_and_their_sections_serve_again() -> None:
    sections = chromium_after_two_rounds()
    offer = sections.offer(LOCAL, [CAMERA, LATE_VOICE])
    assert offer.tracks == {"1": "TR_audio4", "2": "TR_video2"}
    assert "a=inactive" in section_of(offer.text, "3")
    sent = sections.apply(parse(recorded("chromium-subscriber-2")))
    assert sent.keys() == {"1", "2"}


def test_a_section_is_not_given_to_another_track_before_its_client_saw_it_silent() -> None:
    sections = SubscriberSections()
    sections.offer(LOCAL, [VOICE, CAMERA, SCREEN])
    sections.apply(parse(recorded("chromium-subscriber-0")))
    assert sections.offer(LOCAL, [CAMERA, SCREEN, LATE_VOICE]).tracks["4"] == "TR_audio4"


def test_a_codec_the_client_refuses_stays_refused() -> None:
    """As a browser without H.264 does."""
    sections = SubscriberSections()
    sections.offer(LOCAL, [VOICE, CAMERA, SCREEN])
    refusing = recorded("chromium-subscriber-0").replace(
        "m=video 9 UDP/TLS/RTP/SAVPF 102", "m=video 0 UDP/TLS/RTP/SAVPF 102"
    )
    assert sections.apply(parse(refusing.replace("BUNDLE 0 1 2 3", "BUNDLE 0 1 2"))).keys() == {"1", "2"}
    again = sections.offer(LOCAL, [VOICE, CAMERA, SCREEN])
    assert again.tracks == {"1": "TR_audio1", "2": "TR_video2"}
    assert parse(again.text).sections[3].is_rejected
    assert parse(again.text).bundle == ("0", "1", "2")


def test_an_answer_to_something_else_is_refused() -> None:
    sections = SubscriberSections()
    sections.offer(LOCAL, [VOICE])
    with pytest.raises(SdpError, match="same order"):
        sections.apply(parse(recorded("chromium-subscriber-0")))


def test_a_client_that_wants_to_be_dtls_server_is_refused() -> None:
    sections = SubscriberSections()
    sections.offer(LOCAL, [VOICE, CAMERA, SCREEN])
    with pytest.raises(SdpError, match="active"):
        sections.apply(parse(recorded("chromium-subscriber-0").replace("setup:active", "setup:passive")))
