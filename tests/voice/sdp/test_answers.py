"""Answers to what real clients offer. That browsers take them was tried when the offers were recorded."""

from __future__ import annotations

import pytest

from tests.voice.sdp.recorded import (
    ALICES_CAMERA,
    ALICES_VOICE,
    H264,
    LOCAL,
    OUR_FINGERPRINT,
    recorded,
    section_of,
)
from voice.sfu.embedded.contracts import ABS_SEND_TIME, AUDIO_LEVEL, MID, REPAIRED_RID, RID, TRANSPORT_CC
from voice.sfu.embedded.sdp import Answer, AudioPolicy, SdpError, SectionPlan, SentTrack, answer, parse

OFFERS = [
    "chromium-join",
    "chromium-publish",
    "chromium-sendrecv",
    "chromium-stopped-a-track",
    "chromium-livekit-client",
    "firefox-join",
    "firefox-publish",
    "firefox-sendrecv",
    "firefox-stopped-a-track",
    "firefox-livekit-client",
    "python-sdk-join",
    "python-sdk-publish",
]


def publish_all(name: str, **plan: object) -> tuple[Answer, dict[str, str]]:
    """Take everything the client sends; with the mid of each kind."""
    offer = parse(recorded(name))
    sending = [section for section in offer.sections if section.sends and section.kind != "application"]
    plans = {section.mid: SectionPlan(receive=True, **plan) for section in sending}  # type: ignore[arg-type]
    return answer(offer, LOCAL, plans), {section.media: section.mid for section in sending}


def first(name: str, kind: str) -> str:
    return next(s.mid for s in parse(recorded(name)).sections if s.kind == kind and s.receives)


def offered_of(name: str, mid: str, *uris: str) -> dict[str, int]:
    """Those of these header extensions that the client offered there."""
    section = parse(recorded(name)).section(mid)
    assert section is not None
    return {uri: section.extensions[uri] for uri in uris if uri in section.extensions}


@pytest.mark.parametrize("name", OFFERS)
def test_an_answer_mirrors_its_offer(name: str) -> None:
    offer = parse(recorded(name))
    text = answer(offer, LOCAL, {}).text
    mirrored = parse(text)
    assert [(s.mid, s.media) for s in mirrored.sections] == [(s.mid, s.media) for s in offer.sections]
    assert [s.is_rejected for s in mirrored.sections] == [s.is_rejected for s in offer.sections]
    assert mirrored.bundle == tuple(s.mid for s in offer.sections if not s.is_rejected)
    assert mirrored.setup == "passive"
    assert mirrored.ice_lite
    assert (mirrored.ufrag, mirrored.password) == (LOCAL.ufrag, LOCAL.password)
    assert mirrored.fingerprint.value == OUR_FINGERPRINT
    assert all(s.rtcp_mux for s in mirrored.sections if s.kind != "application" and not s.is_rejected)
    assert text.endswith("\r\n")
    assert "o=- 77 3 IN IP4 127.0.0.1\r\n" in text


def test_candidates_are_udp_and_tcp_and_stand_once() -> None:
    text = answer(parse(recorded("chromium-join")), LOCAL, {}).text
    assert text.count("a=candidate:") == 2
    assert text.count("a=end-of-candidates") == 1
    assert "a=candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host\r\n" in text
    assert "a=candidate:2 1 tcp 1671430143 192.0.2.1 7882 typ host tcptype passive\r\n" in text


@pytest.mark.parametrize("name", ["chromium-publish", "firefox-publish", "python-sdk-publish"])
def test_a_published_microphone_is_opus_and_nothing_else(name: str) -> None:
    agreed, mids = publish_all(name, audio=AudioPolicy(bitrate=32_000, frame_ms=40))
    lines = section_of(agreed.text, mids["audio"])
    microphone = agreed.received[mids["audio"]]
    assert [codec.name for codec in microphone.codecs] == ["opus"]
    assert microphone.extensions == offered_of(name, mids["audio"], MID, AUDIO_LEVEL)
    assert AUDIO_LEVEL in microphone.extensions
    assert len(microphone.ssrcs) == 1
    assert len(lines[0].split()) == 4
    assert "a=recvonly" in lines
    assert "a=ptime:40" in lines
    number = microphone.codecs[0].payload_type
    assert f"a=fmtp:{number} minptime=10;useinbandfec=1;usedtx=1;maxaveragebitrate=32000" in lines
    assert f"a=rtcp-fb:{number} nack" in lines
    assert not any("red/" in line or "transport-cc" in line for line in lines)


def test_stereo_and_dtx_are_a_policy() -> None:
    agreed, mids = publish_all("firefox-livekit-client", audio=AudioPolicy(dtx=False, stereo=True))
    parameters = agreed.received[mids["audio"]].codecs[0].parameters
    assert "usedtx=0" in parameters
    assert "stereo=1" in parameters


def test_stereo_in_every_offer_of_livekits_client_does_not_make_a_microphone_stereo() -> None:
    assert "stereo=1" in recorded("chromium-livekit-client")
    agreed, mids = publish_all("chromium-livekit-client")
    assert "stereo" not in agreed.received[mids["audio"]].codecs[0].parameters


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("chromium-publish", "q;h;f"),
        ("firefox-publish", "q;h;f"),
        ("python-sdk-publish", "f;h;q"),
        ("chromium-livekit-client", "q;h"),
    ],
)
def test_simulcast_is_answered_in_the_order_of_the_offer(name: str, order: str) -> None:
    agreed, mids = publish_all(name)
    lines = section_of(agreed.text, mids["video"])
    camera = agreed.received[mids["video"]]
    assert f"a=simulcast:recv {order}" in lines
    assert [line for line in lines if line.startswith("a=rid:")] == [f"a=rid:{rid} recv" for rid in order.split(";")]
    assert camera.rids == tuple(rid for rid in "qhf" if rid in order)
    assert camera.ssrcs == ()
    assert [codec.name for codec in camera.codecs] == ["VP8"]
    assert list(camera.rtx.values()) == [camera.codecs[0].payload_type] * (name != "python-sdk-publish")
    assert {"nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"} >= set(camera.codecs[0].feedback)
    assert "nack pli" in camera.codecs[0].feedback
    wanted = (MID, RID, REPAIRED_RID, ABS_SEND_TIME, TRANSPORT_CC)
    assert camera.extensions == offered_of(name, mids["video"], *wanted)
    assert {MID, RID, REPAIRED_RID} <= camera.extensions.keys()


@pytest.mark.parametrize("name", ["chromium-join", "firefox-join", "python-sdk-join"])
def test_silent_video_sections_still_agree_to_rids(name: str) -> None:
    """Trap: Chromium's next simulcast offer fails otherwise."""
    offer = parse(recorded(name))
    text = answer(offer, LOCAL, {}).text
    for section in offer.sections:
        if section.kind == "video":
            lines = section_of(text, section.mid)
            assert "a=inactive" in lines
            for uri in {MID, RID, REPAIRED_RID} & section.extensions.keys():
                assert f"a=extmap:{section.extensions[uri]} {uri}" in lines


@pytest.mark.parametrize("name", ["chromium-join", "firefox-join", "python-sdk-join"])
def test_bob_is_sent_alices_voice_and_camera(name: str) -> None:
    voice, camera = first(name, "audio"), first(name, "video")
    plans = {voice: SectionPlan(send=ALICES_VOICE), camera: SectionPlan(send=ALICES_CAMERA)}
    agreed = answer(parse(recorded(name)), LOCAL, plans)
    assert agreed.received == {}
    assert agreed.sent[voice].codec.name == "opus"
    assert agreed.sent[camera].codec.name == "VP8"
    repair = agreed.sent[camera].rtx
    assert repair is not None
    assert repair.parameters == f"apt={agreed.sent[camera].codec.payload_type}"
    lines = section_of(agreed.text, voice)
    assert "a=sendonly" in lines
    assert "a=msid:PA_alice|TR_voice TR_voice" in lines
    assert "a=ssrc:1111 cname:PA_alice" in lines
    assert "a=ssrc-group:FID 2222 3333" in section_of(agreed.text, camera)


def test_one_section_may_carry_both_ways() -> None:
    offer = parse(recorded("chromium-sendrecv"))
    agreed = answer(offer, LOCAL, {"0": SectionPlan(receive=True, send=ALICES_VOICE)})
    assert "a=sendrecv" in section_of(agreed.text, "0")
    assert agreed.received.keys() == agreed.sent.keys() == {"0"}


def test_a_plan_the_offer_does_not_allow_is_left_out() -> None:
    """Nothing is sent to those who only send, and nothing taken from those who only receive."""
    offer = parse(recorded("chromium-publish"))
    microphone = next(s.mid for s in offer.sections if s.sends and s.kind == "audio")
    silent = next(s.mid for s in offer.sections if s.kind == "audio" and not s.sends)
    plans = {microphone: SectionPlan(send=ALICES_VOICE), silent: SectionPlan(receive=True)}
    agreed = answer(offer, LOCAL, plans)
    assert not agreed.received
    assert not agreed.sent
    assert "a=inactive" in section_of(agreed.text, silent)


# --- H.264 -----------------------------------------------------------------------------------------------------


def test_a_camera_may_be_h264_in_a_form_everybody_decodes() -> None:
    agreed, mids = publish_all("chromium-publish", video=("H264",))
    codec = agreed.received[mids["video"]].codecs[0]
    assert codec.name == "H264"
    assert "packetization-mode=1" in codec.parameters
    assert "profile-level-id=42" in codec.parameters


def test_a_client_is_taken_at_its_first_choice() -> None:
    offer = recorded("chromium-sendrecv")
    formats = next(line for line in offer.split("\r\n") if line.startswith("m=video")).split()
    camera = parse(offer).sections[1]
    h264 = next(
        str(codec.payload_type)
        for codec in camera.codecs
        if codec.name == "H264" and "packetization-mode=1" in codec.parameters and "=42" in codec.parameters
    )
    preferred = [*formats[:3], h264, *(number for number in formats[3:] if number != h264)]
    for text, name in ((offer, "VP8"), (offer.replace(" ".join(formats), " ".join(preferred)), "H264")):
        agreed = answer(parse(text), LOCAL, {camera.mid: SectionPlan(receive=True)})
        assert agreed.received[camera.mid].codecs[0].name == name


def test_h264_is_sent_as_the_same_profile_and_packetization() -> None:
    camera = first("chromium-join", "video")
    track = SentTrack("PA_alice", "TR_camera", H264, 2222)
    sent = answer(parse(recorded("chromium-join")), LOCAL, {camera: SectionPlan(send=track)}).sent[camera]
    assert "profile-level-id=42e01f" in sent.codec.parameters
    assert "packetization-mode=1" in sent.codec.parameters


def test_nothing_is_sent_to_a_client_without_the_codec() -> None:
    """The recorded Firefox has no H.264: the section stays open for other tracks."""
    camera = first("firefox-join", "video")
    track = SentTrack("PA_alice", "TR_camera", H264, 2222)
    agreed = answer(parse(recorded("firefox-join")), LOCAL, {camera: SectionPlan(send=track)})
    assert agreed.sent == {}
    assert "a=inactive" in section_of(agreed.text, camera)


# --- refusals --------------------------------------------------------------------------------------------------


def rejected(text: str) -> list[str]:
    offer = parse(text)
    return [s.mid for s in parse(answer(offer, LOCAL, {}).text).sections if s.is_rejected]


def test_sections_without_a_codec_of_ours_are_rejected() -> None:
    offer = recorded("chromium-join")
    assert rejected(offer.replace("opus/48000/2", "opus/16000/1")) == ["0", "1", "2"]


def test_sections_of_other_kinds_or_protocols_are_rejected() -> None:
    offer = recorded("chromium-join")
    assert rejected(offer.replace("m=video", "m=text")) == ["3", "4", "5"]
    assert rejected(offer.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP")) == ["0", "1", "2", "3", "4", "5"]
    assert rejected(offer.replace("UDP/DTLS/SCTP", "DTLS/SCTP")) == ["6"]
    assert rejected(offer.replace("a=rtcp-mux\r\n", "")) == ["0", "1", "2", "3", "4", "5"]


def test_sections_outside_the_bundle_are_rejected() -> None:
    assert rejected(recorded("chromium-join").replace("BUNDLE 0 1 2 3 4 5 6", "BUNDLE 0 6")) == [
        "1",
        "2",
        "3",
        "4",
        "5",
    ]


def test_an_offer_with_nothing_to_accept_is_refused() -> None:
    offer = recorded("chromium-join").replace("UDP/TLS/RTP/SAVPF", "RTP/AVP").replace("UDP/DTLS/SCTP", "DTLS/SCTP")
    with pytest.raises(SdpError, match="accept"):
        answer(parse(offer), LOCAL, {})


def test_a_client_that_wants_to_be_dtls_server_is_refused() -> None:
    with pytest.raises(SdpError, match="actpass"):
        answer(parse(recorded("chromium-join").replace("setup:actpass", "setup:passive")), LOCAL, {})
