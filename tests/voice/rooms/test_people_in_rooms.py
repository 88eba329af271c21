"""Who is in a room: coming, going, vanishing, coming back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from livekit.protocol import models, rtc

from tests.voice.rooms.stage import LIMITS, ROOM, set_stage, settled
from voice.sfu.backend import Changed, Grant, Joined, LeaveReason, Left, RoomOptions
from voice.sfu.embedded.rooms.door import Refused
from voice.sfu.embedded.rooms.registry import TooManyRooms


async def test_alice_is_told_who_is_there_and_they_are_told_of_her() -> None:
    stage = set_stage()
    (bob,) = stage.in_a_call("bob")

    alice = stage.joins("alice", grant={"name": "Alice", "attributes": {"mood": "good"}})
    await settled()

    join = alice.signal.last("join")
    assert [other.identity for other in join.other_participants] == ["bob"]
    assert join.participant.sid == alice.sid
    assert join.ping_interval == 2
    news = bob.signal.last("update").participants[0]
    assert (news.identity, news.name, news.attributes["mood"]) == ("alice", "Alice", "good")
    assert news.state == models.ParticipantInfo.JOINED
    alice.listens(1)
    alice.offers()
    alice.connects()
    await settled()
    assert bob.signal.last("update").participants[0].state == models.ParticipantInfo.ACTIVE
    assert [event.participant.identity for event in stage.seen(Joined)] == ["bob", "alice"]


async def test_who_says_goodbye_is_gone_at_once() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")

    alice.asks(leave=rtc.LeaveRequest())
    await settled()

    assert stage.seen(Left) == [Left(ROOM, "alice", alice.sid, LeaveReason.LEFT)]
    assert bob.signal.last("update").participants[0].state == models.ParticipantInfo.DISCONNECTED
    assert alice.signal.closed
    assert all(transport.closed for transport in alice.transports)


async def test_who_is_silent_for_four_seconds_has_vanished() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")

    stage.passes(4_000, bob)
    assert not stage.seen(Left)
    stage.passes(500, bob)

    assert stage.seen(Left) == [Left(ROOM, "alice", alice.sid, LeaveReason.VANISHED)]


async def test_media_without_signalling_is_kept_for_fifteen_seconds_and_can_be_taken_up() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    stage.time.advance(100)
    alice.session.lost(alice.signal)
    for _ in range(10):
        alice.media()
        stage.passes(1_000, bob)
    assert not stage.seen(Left)

    signal = stage.resumes(alice)

    assert len(signal.all("reconnect")) == 1
    assert {info.identity for info in signal.last("update").participants} == {"alice", "bob"}
    stage.passes(20_000, alice, bob)
    assert not stage.seen(Left)


async def test_an_end_without_goodbye_and_without_media_is_the_end() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    alice.session.lost(alice.signal)

    stage.passes(3_500, bob)

    assert stage.seen(Left)[0].reason is LeaveReason.VANISHED


async def test_a_session_that_is_gone_cannot_be_resumed_and_the_client_joins_anew() -> None:
    stage = set_stage()
    (alice,) = stage.in_a_call("alice")

    assert stage.resumes(alice, "PA_another").last("leave").action == rtc.LeaveRequest.RECONNECT
    alice.asks(leave=rtc.LeaveRequest())
    assert stage.resumes(alice).last("leave").action == rtc.LeaveRequest.RECONNECT


async def test_old_clients_are_told_in_the_old_way() -> None:
    stage = set_stage()
    (alice,) = stage.in_a_call("alice", protocol=12)

    stage.server.remove(ROOM, "alice")

    leave = alice.signal.last("leave")
    assert (leave.can_reconnect, leave.reason) == (False, models.PARTICIPANT_REMOVED)


async def test_who_never_gets_through_is_told_to_try_again() -> None:
    stage = set_stage()
    alice = stage.joins("alice")

    stage.passes(20_500, alice)

    leave = alice.signal.last("leave")
    assert (leave.action, leave.reason) == (rtc.LeaveRequest.RECONNECT, models.JOIN_FAILURE)
    assert not stage.events, "nobody ever saw her there"


async def test_a_transport_that_failed_ends_the_session_unless_the_client_was_leaving() -> None:
    stage = set_stage()
    alice, bob, carol = stage.in_a_call("alice", "bob", "carol")

    alice.transports[0].observer.transport_failed("closed by the peer")
    alice.session.lost(alice.signal)
    bob.transports[0].observer.transport_failed("closed by the peer")
    stage.passes(1_500, bob, carol)

    assert [event.reason for event in stage.seen(Left)] == [LeaveReason.LEFT, LeaveReason.RECONNECTING]
    assert bob.signal.last("leave").action == rtc.LeaveRequest.RECONNECT


async def test_who_lost_media_and_signalling_cannot_be_told_to_come_again_and_has_vanished() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")

    alice.session.lost(alice.signal)
    alice.transports[0].observer.transport_failed("closed by the peer")
    stage.passes(1_500, bob)

    assert [event.reason for event in stage.seen(Left)] == [LeaveReason.VANISHED]


async def test_the_same_identity_takes_its_own_place() -> None:
    stage = set_stage(options=RoomOptions(max_participants=2))
    older, _ = stage.in_a_call("alice", "bob")

    newer = stage.joins("alice")

    assert older.signal.last("leave").reason == models.DUPLICATE_IDENTITY
    assert stage.seen(Left) == [Left(ROOM, "alice", older.sid, LeaveReason.DUPLICATE)]
    assert [info.identity for info in newer.signal.last("join").other_participants] == ["bob"]
    with pytest.raises(Refused, match="max participants"):
        stage.joins("carol")


async def test_who_was_removed_stays_outside_until_he_has_a_newer_token() -> None:
    stage = set_stage()
    stage.in_a_call("mallory")

    assert stage.server.remove(ROOM, "mallory")

    assert stage.seen(Left)[0].reason is LeaveReason.REMOVED
    with pytest.raises(Refused, match="revoked"):
        stage.joins("mallory")
    stage.time.advance(1_001)
    stage.joins("mallory")


async def test_who_is_removed_before_he_came_stays_outside_too() -> None:
    stage = set_stage()

    assert not stage.server.remove(ROOM, "mallory")

    with pytest.raises(Refused, match="revoked"):
        stage.joins("mallory")


async def test_rooms_are_forgotten_when_nobody_was_in_them_for_five_minutes() -> None:
    stage = set_stage()
    (alice,) = stage.in_a_call("alice")
    stage.time.advance(600_000)
    stage.passes(500, alice)
    assert stage.server.registry.get(ROOM) is not None
    alice.asks(leave=rtc.LeaveRequest())

    stage.time.advance(300_000)
    stage.passes(500)

    with pytest.raises(Refused) as refused:
        stage.joins("alice")
    assert (refused.value.status, refused.value.text) == (404, "requested room does not exist")


async def test_a_worker_has_limits() -> None:
    stage = set_stage(replace(LIMITS, rooms=1, participants=1))
    stage.joins("alice")

    with pytest.raises(TooManyRooms):
        stage.server.ensure_room("cellar", RoomOptions())
    with pytest.raises(Refused):
        stage.joins("bob")


async def test_a_token_that_ends_soon_is_replaced_by_one_with_the_same_rights() -> None:
    stage = set_stage()
    (alice,) = stage.in_a_call("alice", grant={"sources": ("microphone",), "priority_speaker": True})
    stage.time.advance(49 * 60_000 - 500)
    stage.passes(500, alice)
    assert not alice.signal.all("refresh_token")

    stage.time.advance(119_000)
    stage.passes(1_000, alice)

    access = stage.server.door.check(alice.signal.last("refresh_token"))
    assert len(alice.signal.all("refresh_token")) == 1
    assert (access.identity, access.permission) == ("alice", alice.session.participant.permission)
    assert access.attributes == {"org.voicechat.priority": "1"}


async def test_attributes_are_told_and_ours_are_ours() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    await settled()

    wished = {"org.voicechat.deafened": "1", "org.voicechat.priority": "1", "mood": "good"}
    alice.asks(update_metadata=rtc.UpdateParticipantMetadata(attributes=wished, request_id=5))
    await settled()

    assert dict(bob.signal.last("update").participants[0].attributes) == {"org.voicechat.deafened": "1", "mood": "good"}
    assert alice.signal.last("update").participants[0].identity == "alice", "her own client learns it too"
    assert (alice.signal.last("request_response").request_id, alice.signal.last("request_response").reason) == (5, 0)
    assert stage.seen(Changed)[-1].participant.attributes["org.voicechat.deafened"] == "1"


async def test_nobody_makes_others_carry_much_about_him() -> None:
    stage = set_stage()
    (alice,) = stage.in_a_call("alice")

    for too_much in (
        rtc.UpdateParticipantMetadata(metadata="x" * 20_000),
        rtc.UpdateParticipantMetadata(name="x" * 300),
        rtc.UpdateParticipantMetadata(attributes={"a": "x" * 20_000}),
        rtc.UpdateParticipantMetadata(attributes={str(number): "x" for number in range(100)}),
    ):
        alice.asks(update_metadata=too_much)
        assert alice.signal.last("request_response").reason == rtc.RequestResponse.LIMIT_EXCEEDED

    assert not alice.session.participant.metadata
    assert not alice.session.participant.attributes


async def test_permissions_change_in_the_middle_of_a_call() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    sid = alice.publishes()
    bob.offers()
    assert bob.hears() == {sid}

    assert stage.server.permit(ROOM, Grant(ROOM, "alice", can_publish=False))
    await settled()

    assert alice.signal.last("track_unpublished").track_sid == sid
    assert not alice.signal.last("update").participants[0].permission.can_publish
    assert not bob.hears()
    assert alice.publishes() == ""
    assert not stage.server.permit(ROOM, Grant(ROOM, "nobody"))


async def test_who_may_not_listen_hears_nothing_until_he_may() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    alice.publishes()
    bob.offers()

    stage.server.permit(ROOM, Grant(ROOM, "bob", can_subscribe=False))
    assert not bob.hears()
    stage.server.permit(ROOM, Grant(ROOM, "bob"))
    bob.offers()  # the section falls silent first
    bob.offers()

    assert len(bob.hears()) == 1


async def test_ping_is_answered_with_the_time() -> None:
    stage = set_stage()
    (alice,) = stage.in_a_call("alice")

    alice.asks(ping=3)
    alice.asks(ping_req=rtc.Ping(timestamp=42))

    assert alice.signal.last("pong") == stage.time.ms
    assert alice.signal.last("pong_resp").last_ping_timestamp == 42


async def test_a_worker_that_stood_still_does_not_take_its_people_for_gone() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")
    stage.passes(500, alice, bob)

    stage.time.advance(30_000)
    stage.server.rounds.sweep()
    stage.passes(1_000, alice)

    assert [event.identity for event in stage.seen(Left)] == ["bob"]
