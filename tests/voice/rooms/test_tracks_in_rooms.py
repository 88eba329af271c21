"""What people publish and follow, and how it is negotiated."""

from __future__ import annotations

from dataclasses import replace

import pytest
from livekit.protocol import models, rtc

from tests.voice.rooms.stage import FINGERPRINT, LIMITS, ROOM, set_stage, settled
from voice.sfu.backend import Changed, Grant, Left


async def test_bob_hears_what_alice_publishes() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")

    sid = alice.publishes(name="mic", encryption=models.Encryption.GCM, stream="camera")
    await settled()

    published = alice.signal.last("track_published")
    assert (published.cid, published.track.sid) == ("audio5", sid)
    news = bob.signal.last("update").participants[0]
    assert [track.sid for track in news.tracks] == [sid]
    assert (news.tracks[0].encryption, news.tracks[0].stream) == (models.Encryption.GCM, "camera")
    requirement = bob.signal.last("media_sections_requirement")
    assert (requirement.num_audios, requirement.num_videos) == (0, 0), "he has sections, and only has to offer again"
    answer = bob.offers()
    assert list(answer.mid_to_track_id.values()) == [sid]
    assert f"a=msid:{alice.sid}|{sid} {sid}" in answer.sdp
    assert bob.hears() == {sid}
    assert [told.track_sid for told in alice.signal.all("track_subscribed")] == [sid]
    assert stage.seen(Changed)[-1].participant.microphone == "on"


async def test_who_comes_later_hears_everything_with_his_first_answer() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    sids = {alice.publishes(), bob.publishes()}

    carol = stage.joins("carol")
    carol.listens(audio=3)
    answer = carol.offers()

    assert set(answer.mid_to_track_id.values()) == sids == carol.hears()


async def test_who_has_too_few_sections_is_asked_for_more() -> None:
    stage = set_stage()
    people = stage.in_a_call("alice", "bob", "carol")
    listener = stage.joins("dora")
    listener.listens(audio=1)
    listener.offers()
    listener.connects()
    for person in people:
        person.publishes()
    await settled()
    assert listener.signal.last("media_sections_requirement").num_audios == 2

    listener.listens(audio=2)
    listener.offers()

    assert len(listener.hears()) == 3
    assert len(listener.signal.all("media_sections_requirement")) == 1, "one negotiation for three tracks"


async def test_who_is_asked_and_does_not_offer_is_asked_again() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    alice.publishes()
    await settled()

    stage.passes(2_500, alice, bob)
    assert len(bob.signal.all("media_sections_requirement")) == 1
    stage.passes(1_000, alice, bob)

    assert len(bob.signal.all("media_sections_requirement")) == 2


async def test_a_section_falls_silent_before_it_carries_another_track() -> None:
    """Clients take a track that follows another one without a pause for the same track."""
    stage = set_stage()
    alice, bob, carol = stage.in_a_call("alice", "bob", "carol")
    first = alice.publishes()
    before = carol.offers()
    (mid,) = before.mid_to_track_id

    alice.drops(5)
    bob.publishes()
    between, after = carol.offers(), carol.offers()

    assert mid not in between.mid_to_track_id
    assert first not in {*between.mid_to_track_id.values(), *after.mid_to_track_id.values()}
    assert len(carol.hears()) == 1


async def test_a_track_that_is_dropped_is_over_for_everybody() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    sid = alice.publishes()
    bob.offers()
    await settled()

    alice.drops(5)
    await settled()

    assert alice.signal.last("track_unpublished").track_sid == sid
    assert not bob.hears()
    assert not bob.signal.last("update").participants[0].tracks
    assert stage.seen(Changed)[-1].participant.microphone == "none"


async def test_protocol_v0_offers_what_there_is_one_offer_at_a_time() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    carol = stage.joins("carol", single=False)
    assert carol.signal.last("join").subscriber_primary
    assert len(carol.signal.all("offer")) == 1, "she connects even where there is nothing to hear"

    sids = {alice.publishes(), bob.publishes()}
    await settled()
    assert len(carol.signal.all("offer")) == 1

    carol.asks(answer=rtc.SessionDescription(type="answer", sdp=answer_to(carol.signal.last("offer").sdp), id=1))
    await settled()
    second = carol.signal.last("offer")
    assert set(second.mid_to_track_id.values()) == sids
    carol.asks(answer=rtc.SessionDescription(type="answer", sdp=answer_to(second.sdp), id=second.id))
    assert carol.hears() == sids

    carol.transports[1].observer.transport_connected()
    assert carol.transports[1].channels == ["_reliable", "_lossy"]


def answer_to(offer: str) -> str:
    """What a client says that takes everything."""
    lines = [line for line in offer.split("\r\n") if not line.startswith(("a=candidate", "a=ssrc", "a=ice-", "a=end"))]
    swapped = [line.replace("a=sendonly", "a=recvonly").replace("a=setup:actpass", "a=setup:active") for line in lines]
    at = next(index for index, line in enumerate(swapped) if line.startswith("m="))
    credentials = ["a=ice-ufrag:theirs", "a=ice-pwd:" + "p" * 24, f"a=fingerprint:sha-256 {FINGERPRINT}"]
    return "\r\n".join([*swapped[:at], *credentials, *swapped[at:]])


async def test_a_client_that_changes_its_network_restarts_ice() -> None:
    stage = set_stage()
    (alice,) = stage.in_a_call("alice")
    before = alice.signal.last("answer").sdp

    alice.restarts += 1
    after = alice.offers().sdp

    assert alice.transports[0].restarts == 1
    assert "a=ice-ufrag:ours0\r\n" in before
    assert "a=ice-ufrag:ours0r\r\n" in after


async def test_who_may_publish_sound_only_shows_no_picture() -> None:
    stage = set_stage()
    (alice,) = stage.in_a_call("alice", grant={"sources": ("microphone",)})

    assert alice.publishes("video", models.CAMERA) == ""
    refusal = alice.signal.last("request_response")
    assert (refusal.reason, refusal.add_track.cid) == (rtc.RequestResponse.NOT_ALLOWED, "video5")
    assert alice.publishes("audio", models.UNKNOWN) == ""
    assert alice.publishes("audio", models.MICROPHONE)


async def test_a_section_nobody_announced_carries_nothing() -> None:
    stage = set_stage()
    (alice,) = stage.in_a_call("alice")

    alice.sections.append(alice.sections[0].replace("recvonly", "sendonly").replace("a=mid:0", "a=mid:5"))
    answer = alice.offers()

    assert answer.sdp.split("a=mid:5\r\n")[1].startswith("a=inactive")
    assert not alice.tracks


async def test_nobody_publishes_without_end() -> None:
    stage = set_stage(replace(LIMITS, tracks_per_participant=2))
    (alice,) = stage.in_a_call("alice")

    assert alice.publishes() and alice.publishes()  # noqa: PT018 - one story

    assert alice.publishes() == ""
    assert alice.signal.last("request_response").reason == rtc.RequestResponse.LIMIT_EXCEEDED


async def test_muted_is_told_and_nothing_is_forwarded() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    sid = alice.publishes()
    publication = alice.session.participant.publications.live[sid]

    alice.asks(mute=rtc.MuteTrackRequest(sid=sid, muted=True))
    await settled()

    assert publication.media.muted
    assert bob.signal.last("update").participants[0].tracks[0].muted
    assert stage.seen(Changed)[-1].participant.microphone == "muted"


async def test_a_moderators_mute_holds_for_new_tracks_until_it_is_lifted() -> None:
    stage = set_stage()
    (mallory,) = stage.in_a_call("mallory")
    sid = mallory.publishes()

    assert stage.server.mute(ROOM, "mallory", "microphone")
    assert mallory.signal.last("mute") == rtc.MuteTrackRequest(sid=sid, muted=True)
    mallory.asks(mute=rtc.MuteTrackRequest(sid=sid, muted=False))
    again = mallory.publishes()
    tracks = mallory.session.participant.publications.live
    assert tracks[sid].media.muted
    assert tracks[again].media.muted

    assert stage.server.mute(ROOM, "mallory", "microphone", muted=False)
    assert tracks[sid].media.muted, "his microphone is his to open"
    mallory.asks(mute=rtc.MuteTrackRequest(sid=sid, muted=False))
    assert not tracks[sid].media.muted
    assert not stage.server.mute(ROOM, "nobody", "microphone")


async def test_carol_follows_what_she_asks_for() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    (carol,) = stage.in_a_call("carol", auto_subscribe=False)
    of_alice, of_bob = alice.publishes(), bob.publishes()
    carol.offers()
    assert carol.hears() == set()

    tracks = [models.ParticipantTracks(participant_sid=bob.sid, track_sids=[of_bob])]
    carol.asks(subscription=rtc.UpdateSubscription(track_sids=[of_alice], participant_tracks=tracks, subscribe=True))
    carol.offers()
    assert carol.hears() == {of_alice, of_bob}
    carol.asks(subscription=rtc.UpdateSubscription(track_sids=[of_bob], subscribe=False))
    assert carol.hears() == {of_alice}

    carol.asks(subscription=rtc.UpdateSubscription(track_sids=["TR_nothing"], subscribe=True))
    assert carol.signal.last("subscription_response").err == models.SE_TRACK_NOTFOUND


async def test_alice_chooses_who_hears_her() -> None:
    stage = set_stage()
    alice, bob, carol = stage.in_a_call("alice", "bob", "carol")
    sid = alice.publishes()
    bob.offers(), carol.offers()

    only_bob = rtc.TrackPermission(participant_identity="bob", all_tracks=True)
    alice.asks(subscription_permission=rtc.SubscriptionPermission(track_permissions=[only_bob]))

    assert bob.hears() == {sid}
    assert carol.hears() == set()
    lost = carol.signal.last("subscription_permission_update")
    assert (lost.track_sid, lost.allowed) == (sid, False)
    carol.asks(subscription=rtc.UpdateSubscription(track_sids=[sid], subscribe=True))
    carol.offers(), carol.offers()
    assert carol.hears() == set(), "asking does not help"

    alice.asks(subscription_permission=rtc.SubscriptionPermission(all_participants=True))
    carol.offers()
    assert carol.signal.last("subscription_permission_update").allowed
    assert carol.hears() == {sid}


async def test_pictures_are_paused_and_sized_as_their_viewer_wishes_even_before_they_flow() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    layers = [
        models.VideoLayer(quality=quality, width=160 * 2**quality, height=90 * 2**quality)
        for quality in (models.LOW, models.MEDIUM, models.HIGH)
    ]
    sid = alice.publishes("video", models.CAMERA, layers=layers)
    bob.asks(track_setting=rtc.UpdateTrackSettings(track_sids=[sid], width=300, height=150))
    bob.offers()
    flow = bob.session.participant.followings.by_sid[sid].flow
    stage.server.rounds.tell_speakers()

    told = alice.signal.last("subscribed_quality_update")
    assert [quality.enabled for quality in told.subscribed_qualities] == [True, True, False]

    bob.asks(track_setting=rtc.UpdateTrackSettings(track_sids=[sid], disabled=True))
    stage.server.rounds.tell_speakers()
    assert flow.paused
    told = alice.signal.last("subscribed_quality_update")
    assert [quality.enabled for quality in told.subscribed_qualities] == [False, False, False]

    flow.stream_paused = True
    stage.server.rounds.tell_speakers()
    state = bob.signal.last("stream_state_update").stream_states[0]
    assert (state.track_sid, state.state) == (sid, rtc.PAUSED)


@pytest.mark.parametrize("text", ["", "v=0", "v=0\r\nm=audio", "\x00", "m=" * 100_000])
async def test_descriptions_that_cannot_be_read_end_the_session_and_nothing_else(text: str) -> None:
    stage = set_stage()
    alice, mallory = stage.in_a_call("alice", "mallory")

    mallory.asks(offer=rtc.SessionDescription(type="offer", sdp=text))

    assert mallory.signal.last("leave").reason == models.STATE_MISMATCH
    assert [event.identity for event in stage.seen(Left)] == ["mallory"]
    assert alice.publishes()


async def test_speakers_are_told_and_seen() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    sid = alice.publishes()
    loudness = alice.session.participant.publications.live[sid].media.loudness
    for _ in range(50):
        stage.time.advance(20)
        loudness.heard(20, stage.time.ms * 1_000_000)
        stage.server.rounds.tick_media()

    stage.server.rounds.tell_speakers()

    speaker = bob.signal.last("speakers_changed").speakers[0]
    assert (speaker.sid, speaker.active) == (alice.sid, True)
    assert speaker.level > 0
    assert stage.seen(Changed)[-1].participant.speaking


async def test_a_priority_speaker_is_one_from_the_start_or_becomes_one() -> None:
    stage = set_stage()
    (alice,) = stage.in_a_call("alice", grant={"priority_speaker": True})
    media = alice.session.participant.publications.live[alice.publishes()].media
    assert media.priority

    stage.server.permit(ROOM, Grant(ROOM, "alice"))
    assert not media.priority
    assert "org.voicechat.priority" not in alice.session.participant.attributes


async def test_an_offer_that_is_never_answered_ends_in_a_new_connection() -> None:
    stage = set_stage()
    carol = stage.joins("carol", single=False)

    stage.passes(17_000, carol)

    assert carol.signal.last("leave").action == rtc.LeaveRequest.RECONNECT


async def test_two_sections_cannot_carry_the_same_track() -> None:
    stage = set_stage()
    mallory, bob = stage.in_a_call("mallory", "bob")
    sid = mallory.publishes(cid="one")

    mallory.sections.append(mallory.sections[5].replace("a=mid:5", "a=mid:6").replace("1005", "1006"))
    mallory.offers()
    bob.offers()

    assert mallory.tracks == [sid]
    assert mallory.session.participant.publications.live[sid].mid == "5"
    assert bob.hears() == {sid}
