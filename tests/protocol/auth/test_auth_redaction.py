"""Redactions: v1 rule 11, "Handling redactions" since v3; and the questions of permissions.py."""

from __future__ import annotations

import math

import pytest

from homeserver.protocol.auth import PowerLevels, permissions, power_levels_in_room
from homeserver.protocol.auth.redaction import redaction_applies
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.protocol.factory import ALICE, ALL_VERSIONS, BOB, CHARLIE, MALLORY, RoomBuilder, since, until


@pytest.fixture(params=ALL_VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Every room version."""
    name: str = request.param
    return name


@pytest.fixture
def room(version: str) -> RoomBuilder:
    """Bob (of Alice's server) has power level 50; Charlie and Mallory are of other servers and have none."""
    return RoomBuilder(version).join(BOB, CHARLIE, MALLORY).power_levels({BOB: 50})


def redaction(room: RoomBuilder, by: str, target: str) -> Event:
    return room.draft(by, "m.room.redaction", redacts=target)


# --- v1 rule 11 ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1", "2"])
class TestRule11OfV1:
    def test_v1_11_1_moderators_redact_anything(self, room: RoomBuilder) -> None:
        room.allows(redaction(room, BOB, "$x:evil.example"))

    def test_v1_11_2_a_server_redacts_its_own_events(self, room: RoomBuilder) -> None:
        room.allows(redaction(room, CHARLIE, "$x:elsewhere.example"))

    @pytest.mark.parametrize("target", ["$x:example.org", "$x", "", None])
    def test_v1_11_3_otherwise_reject(self, room: RoomBuilder, target: str) -> None:
        room.rejects(redaction(room, MALLORY, target), "v1 11.3")


@pytest.mark.parametrize("version", since("3"))
def test_since_v3_a_redaction_is_an_event_like_any_other(room: RoomBuilder) -> None:
    room.allows(redaction(room, MALLORY, "$x:example.org"))
    room.power_levels(events={"m.room.redaction": 1})
    room.rejects(redaction(room, MALLORY, "$x:example.org"), "8")


# --- Handling redactions ------------------------------------------------------------------------------------------


def levels_of(room: RoomBuilder) -> PowerLevels:
    create = room.fetch("m.room.create", "")
    assert create is not None
    return power_levels_in_room(create, room.fetch("m.room.power_levels", ""), room.version)


def applies(room: RoomBuilder, by: str, author: str) -> bool:
    target = room.send(author, "m.room.message", {"body": "oops"})
    return redaction_applies(redaction(room, by, target.event_id), target, levels_of(room))


@pytest.mark.parametrize("version", since("3"))
class TestHandlingRedactions:
    def test_1_moderators_redact_anything(self, room: RoomBuilder) -> None:
        assert applies(room, by=BOB, author=MALLORY)
        assert applies(room, by=ALICE, author=MALLORY)

    def test_2_a_server_redacts_its_own_events(self, room: RoomBuilder) -> None:
        assert applies(room, by=CHARLIE, author=CHARLIE)
        assert applies(room.join("@dora:example.org"), by="@dora:example.org", author=ALICE)

    def test_mallory_redacts_nobody_else(self, room: RoomBuilder) -> None:
        assert not applies(room, by=MALLORY, author=ALICE)
        assert not applies(room, by=MALLORY, author=CHARLIE)


def test_until_v2_the_auth_rules_have_decided() -> None:
    for version in until("2"):
        room = RoomBuilder(version).join(BOB, MALLORY)
        assert applies(room, by=MALLORY, author=ALICE)


def test_a_redaction_hits_only_what_it_names_and_only_in_its_room(room: RoomBuilder) -> None:
    target = room.send(BOB, "m.room.message")
    assert not redaction_applies(redaction(room, BOB, "$other"), target, levels_of(room))
    elsewhere = room.draft(BOB, "m.room.redaction", redacts=target.event_id, room_id="!elsewhere:example.org")
    assert not redaction_applies(elsewhere, target, levels_of(room))


# --- Questions before an event is built ---------------------------------------------------------------------------


@pytest.fixture
def levels() -> PowerLevels:
    """Bob has 50, Charlie 30, Mallory 0, and Alice is a creator."""
    room = RoomBuilder("12").power_levels({BOB: 50, CHARLIE: 30}, invite=30, notifications={"room": 40}, ban=60)
    create = room.fetch("m.room.create", "")
    assert create is not None
    return power_levels_in_room(create, room.fetch("m.room.power_levels", ""), ROOM_VERSIONS["12"])


def test_who_may_what(levels: PowerLevels) -> None:
    assert permissions.user_level(levels, ALICE) == math.inf
    assert permissions.notification_level(levels) == 40
    assert [permissions.may_send(levels, user, "m.x", is_state=True) for user in (ALICE, BOB, CHARLIE)] == [
        True,
        True,
        False,
    ]
    assert [permissions.may_notify(levels, user) for user in (BOB, CHARLIE)] == [True, False]
    assert [permissions.may_invite(levels, user) for user in (CHARLIE, MALLORY)] == [True, False]


def test_kicking_and_banning_need_more_power_than_the_target(levels: PowerLevels) -> None:
    assert permissions.may_kick(levels, BOB, CHARLIE)
    assert not permissions.may_kick(levels, BOB, BOB)
    assert not permissions.may_kick(levels, CHARLIE, MALLORY)
    assert permissions.may_ban(levels, ALICE, BOB)
    assert not permissions.may_ban(levels, BOB, MALLORY)
    assert permissions.may_unban(levels, ALICE, MALLORY)
    assert not permissions.may_unban(levels, BOB, MALLORY)


def test_redacting_is_for_authors_and_moderators(levels: PowerLevels) -> None:
    assert permissions.may_redact(levels, MALLORY, MALLORY)
    assert permissions.may_redact(levels, BOB, MALLORY)
    assert not permissions.may_redact(levels, CHARLIE, MALLORY)


def test_redacting_needs_the_level_to_send_redactions() -> None:
    room = RoomBuilder("11").power_levels({BOB: 50}, events={"m.room.redaction": 60})
    assert not permissions.may_redact(levels_of(room), BOB, BOB)
