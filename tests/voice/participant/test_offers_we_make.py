"""The offers of a participant, as the SFU's own reader understands them."""

from __future__ import annotations

from voice.participant.ice import Credentials
from voice.participant.offer import LocalSections
from voice.participant.outgoing import OutgoingAudio
from voice.participant.paths import RemoteCandidate
from voice.sfu.embedded.contracts import Codec
from voice.sfu.embedded.sdp import LocalDescription, SectionPlan, SentTrack, answer, parse

OURS = Credentials("participant", "p" * 32)
SFU = LocalDescription("sfu0", "s" * 24, ":".join(["AB"] * 32), [])


def sections() -> LocalSections:
    made = LocalSections(":".join(["CD"] * 32))
    made.receive(audio=2, video=1)
    return made


def test_an_offer_is_read_as_it_is_meant() -> None:
    made = sections()
    track = OutgoingAudio("a cid".replace(" ", "-"), ssrc=7)
    made.send(track)
    offer = parse(made.offer(OURS))
    assert [section.media for section in offer.sections] == ["application", "audio", "audio", "video", "audio"]
    assert offer.bundle == ("0", "1", "2", "3", "4")
    assert (offer.ufrag, offer.password, offer.setup) == ("participant", "p" * 32, "active")
    published = offer.section(track.mid)
    assert published is not None
    assert (published.track_id, published.ssrcs, published.sends) == ("a-cid", (7,), True)
    assert all(section.receives and not section.sends for section in offer.sections[1:4])


def test_an_answer_tells_what_comes_and_how_to_send() -> None:
    made = sections()
    track = OutgoingAudio("cid", ssrc=7)
    made.send(track)
    bobs = SentTrack("PA_bob", "TR_bob", Codec(109, "opus", 48_000, 2), 99)
    plans = {"1": SectionPlan(send=bobs), track.mid: SectionPlan(receive=True)}
    answered = answer(parse(made.offer(OURS)), SFU, plans)
    (coming,) = made.answered(parse(answered.text))
    assert (coming.ssrc, coming.kind, coming.participant_sid, coming.track_sid) == (99, "audio", "PA_bob", "TR_bob")
    assert track.negotiated
    assert track.payload_type == 111
    assert track.level_id == 1


def test_a_refused_track_is_not_negotiated() -> None:
    made = sections()
    track = OutgoingAudio("cid")
    made.send(track)
    made.answered(parse(answer(parse(made.offer(OURS)), SFU, {}).text))
    assert not track.negotiated


def test_sections_only_grow_and_keep_their_names() -> None:
    made = sections()
    before = [section.mid for section in parse(made.offer(OURS)).sections]
    made.receive(audio=1, video=0)
    assert [section.mid for section in parse(made.offer(OURS)).sections] == [*before, "4"]


def test_candidates_of_the_sfu() -> None:
    udp = RemoteCandidate.parse("1 1 udp 2130706431 192.0.2.1 7882 typ host")
    assert udp == RemoteCandidate("udp", ("192.0.2.1", 7882))
    tcp = RemoteCandidate.parse("2 1 TCP 1671430143 2001:db8::1 7882 typ host tcptype passive")
    assert tcp == RemoteCandidate("tcp", ("2001:db8::1", 7882))
    for useless in (
        "",
        "1 2 udp 1 192.0.2.1 1 typ host",
        "1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
        "1 1 udp 1 x y typ host",
    ):
        assert RemoteCandidate.parse(useless) is None
