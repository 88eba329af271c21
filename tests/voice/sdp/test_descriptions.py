"""Reading what clients write."""

from __future__ import annotations

import pytest

from tests.voice.sdp.recorded import OFFERS, recorded
from voice.sfu.embedded.contracts import AUDIO_LEVEL, MID, RID, TRANSPORT_CC
from voice.sfu.embedded.sdp import SdpError, parse
from voice.sfu.embedded.sdp.limits import MAX_SECTIONS, MAX_SSRCS, MAX_TEXT

SMALL = "\r\n".join(
    [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=fingerprint:sha-256 " + ":".join(["cd"] * 32),
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=setup:actpass",
        "a=rtcp-mux",
        "a=sendonly",
        "a=rtpmap:111 opus/48000/2",
        "",
    ]
)


@pytest.mark.parametrize("name", sorted(path.stem for path in OFFERS.glob("*.sdp")))
def test_every_recorded_description_is_read(name: str) -> None:
    description = parse(recorded(name))
    assert len(description.ufrag) >= 4
    assert len(description.fingerprint.value) == 95
    assert any(section.kind == "application" for section in description.sections)


def test_chromium_publishes_a_microphone_and_a_simulcast_camera() -> None:
    offer = parse(recorded("chromium-publish"))
    microphone, camera = (section for section in offer.sections if section.sends and section.kind != "application")
    assert microphone.kind == "audio"
    assert microphone.codecs[0].name == "opus"
    assert microphone.codecs[0].channels == 2
    assert AUDIO_LEVEL in microphone.extensions
    assert len(microphone.ssrcs) == 1
    assert camera.rids == ("q", "h", "f")
    assert camera.ssrcs == ()
    assert {MID, RID, TRANSPORT_CC} <= camera.extensions.keys()
    vp8 = next(codec for codec in camera.codecs if codec.name == "VP8")
    assert "nack pli" in vp8.feedback
    assert vp8.payload_type in camera.rtx.values()
    assert all(codec.name != "rtx" for codec in camera.codecs)


def test_firefox_offers_port_0_for_a_bundle_and_means_it() -> None:
    """Trap: without a=bundle-only, port 0 is a rejected section; with it, it is an ordinary one."""
    offer = parse(recorded("firefox-publish"))
    camera = next(section for section in offer.sections if section.rids)
    assert camera.port == 0
    assert camera.bundle_only
    assert camera.sends


def test_a_track_that_was_stopped_is_a_rejected_section() -> None:
    for client in ("chromium", "firefox"):
        offer = parse(recorded(f"{client}-stopped-a-track"))
        stopped = [section for section in offer.sections if section.is_rejected]
        assert len(stopped) == 1
        assert not stopped[0].sends
        assert stopped[0].mid not in offer.bundle


def test_firefox_declares_repair_streams() -> None:
    camera = next(s for s in parse(recorded("firefox-livekit-client")).sections if s.rids)
    assert len(camera.ssrcs) == len(camera.rtx_ssrcs) == 3
    assert set(camera.rtx_ssrcs.values()) == set(camera.ssrcs)


def test_the_python_sdk_names_its_layers_from_the_highest_down() -> None:
    camera = next(s for s in parse(recorded("python-sdk-publish")).sections if s.rids)
    assert camera.rids == ("f", "h", "q")


def test_sections_that_did_not_change_are_not_read_again() -> None:
    first = parse(recorded("chromium-publish"))
    second = parse(recorded("chromium-publish").replace("a=sendonly", "a=sendrecv", 1), first)
    kept = [one is other for one, other in zip(first.sections, second.sections, strict=True)]
    assert kept.count(False) == 1
    assert second.sections[kept.index(False)].direction == "sendrecv"


def test_a_section_is_read_again_when_what_it_inherits_changed() -> None:
    first = parse(SMALL)
    second = parse(SMALL.replace("cd:cd", "ef:ef", 1), first)
    assert second.fingerprint != first.fingerprint


def test_line_feeds_alone_are_line_ends_too() -> None:
    assert parse(SMALL.replace("\r\n", "\n")) == parse(SMALL.replace("\r\n", "\n"))
    assert parse(SMALL.replace("\r\n", "\n")).sections[0].codecs == parse(SMALL).sections[0].codecs


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "v=0"),
        ("v=0\r\n", "ice-ufrag"),
        (SMALL + "a=x:" + "y" * MAX_TEXT, "characters"),
        (SMALL + "a=x:" + "y" * 5000, "line"),
        (SMALL + "a=x\r\n" * 1000, "lines"),
        (SMALL + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * (MAX_SECTIONS + 1), "sections"),
        (SMALL + "".join(f"a=ssrc:{n} cname:x\r\n" for n in range(MAX_SSRCS + 1)), "SSRCs"),
        (SMALL + "a=ssrc:99999999999 cname:x\r\n", "SSRC"),
        (SMALL + "a=mid:" + "m" * 40 + "\r\n", "mid"),
        (SMALL + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n", "mid"),
        (SMALL + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "mid"),
        (SMALL + "m=audio nine UDP/TLS/RTP/SAVPF 0\r\n", "port"),
        (SMALL + "m=audio\r\n", "section"),
        (SMALL + "a=rtpmap:111 opus\r\n", "rtpmap"),
        (SMALL + "a=rtpmap:128 opus/48000\r\n", "payload type"),
        (SMALL + "a=rtpmap:١١١ opus/48000/2\r\n", "payload type"),
        (SMALL + "a=fmtp:111 é\r\n", "ASCII"),
        (SMALL + "a=rid:../x send\r\n", "rids"),
        (SMALL + "a=x:\x00\r\n", "control"),
        (SMALL + "a=fmtp:111 x=1\ra=sendrecv\r\n", "control"),
        (SMALL.replace("BUNDLE 0", "BUNDLE 0 7"), "bundle"),
        (SMALL.replace("actpass", "both"), "setup"),
        (SMALL.replace("ice-pwd:abc", "ice-pwd:?"), "ice-pwd"),
        (SMALL.replace("ufrag:abcd", "ufrag:ab"), "ice-ufrag"),
        (SMALL.replace("sha-256", "sha-1"), "fingerprint"),
        (SMALL.replace("sha-256", "sha-512"), "fingerprint"),
    ],
)
def test_what_is_broken_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(SdpError, match=complaint):
        parse(text)
