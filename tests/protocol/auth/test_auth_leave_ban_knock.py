"""Rules 5.5 (leaving, kicking, unbanning), 5.6 (banning) and 5.7 (knocking)."""

from __future__ import annotations

import pytest

from homeserver.protocol.events import Event
from tests.protocol.factory import ALICE, ALL_VERSIONS, BOB, CHARLIE, MALLORY, RoomBuilder, since, until

MODERATOR = BOB


@pytest.fixture(params=ALL_VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Every room version."""
    name: str = request.param
    return name


@pytest.fixture
def room(version: str) -> RoomBuilder:
    """Bob has power level 50, Charlie has 10, Mallory 0; all are in a public room of Alice's."""
    return RoomBuilder(version).join_rule("public").join(BOB, CHARLIE, MALLORY).power_levels({BOB: 50, CHARLIE: 10})


def change(room: RoomBuilder, by: str, target: str, membership: str) -> Event:
    return room.draft(by, "m.room.member", {"membership": membership}, target)


# --- 5.5 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("membership", ["invite", "join", "knock"])
def test_5_5_1_everybody_may_go_or_take_back(room: RoomBuilder, membership: str) -> None:
    room.member(MALLORY, membership)
    room.allows(change(room, MALLORY, MALLORY, "leave"))


@pytest.mark.parametrize("membership", ["leave", "ban"])
def test_5_5_1_but_not_out_of_a_ban_or_twice(room: RoomBuilder, membership: str) -> None:
    room.member(MALLORY, membership, by=ALICE)
    room.rejects(change(room, MALLORY, MALLORY, "leave"), "5.5.1")


def test_5_5_1_nor_who_never_came(version: str) -> None:
    room = RoomBuilder(version)
    room.rejects(change(room, BOB, BOB, "leave"), "5.5.1")


@pytest.mark.parametrize("membership", ["invite", "leave", "ban"])
def test_5_5_2_only_members_kick(room: RoomBuilder, membership: str) -> None:
    room.member(MODERATOR, membership, by=ALICE)
    room.rejects(change(room, MODERATOR, MALLORY, "leave"), "5.5.2")


def test_5_5_3_a_ban_is_lifted_with_the_ban_level(room: RoomBuilder) -> None:
    room.power_levels({BOB: 50, CHARLIE: 10}, ban=51).member(MALLORY, "ban", by=ALICE)
    room.rejects(change(room, MODERATOR, MALLORY, "leave"), "5.5.3")
    room.power_levels({BOB: 51}, ban=51).allows(change(room, MODERATOR, MALLORY, "leave"))


def test_5_5_5_lifting_a_ban_needs_the_kick_level_too(room: RoomBuilder) -> None:
    room.power_levels({BOB: 50}, kick=51).member(MALLORY, "ban", by=ALICE)
    room.rejects(change(room, MODERATOR, MALLORY, "leave"), "5.5.5")


def test_5_5_5_a_ban_of_an_equal_cannot_be_lifted(room: RoomBuilder) -> None:
    room.power_levels({BOB: 50, CHARLIE: 50}).member(CHARLIE, "ban", by=ALICE)
    room.rejects(change(room, MODERATOR, CHARLIE, "leave"), "5.5.5")


def test_5_5_4_moderators_kick_those_below_them(room: RoomBuilder) -> None:
    for target in (CHARLIE, MALLORY, "@stranger:example.org"):
        room.allows(change(room, MODERATOR, target, "leave"))


def test_5_5_4_an_invite_is_taken_back_like_a_kick(room: RoomBuilder) -> None:
    room.member("@new:example.org", "invite", by=CHARLIE)
    room.allows(change(room, MODERATOR, "@new:example.org", "leave"))
    room.rejects(change(room, CHARLIE, "@new:example.org", "leave"), "5.5.5")


def test_5_5_5_nobody_kicks_equals_betters_or_without_the_level(room: RoomBuilder) -> None:
    room.rejects(change(room, MODERATOR, ALICE, "leave"), "5.5.5")
    room.rejects(change(room, CHARLIE, MALLORY, "leave"), "5.5.5")
    room.power_levels({BOB: 50, CHARLIE: 50})
    room.rejects(change(room, MODERATOR, CHARLIE, "leave"), "5.5.5")


# --- 5.6 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("membership", ["invite", "leave", "ban"])
def test_5_6_1_only_members_ban(room: RoomBuilder, membership: str) -> None:
    room.member(MODERATOR, membership, by=ALICE)
    room.rejects(change(room, MODERATOR, MALLORY, "ban"), "5.6.1")


@pytest.mark.parametrize("membership", ["invite", "leave", "join", "ban", "knock"])
def test_5_6_2_moderators_ban_those_below_them_wherever_they_are(room: RoomBuilder, membership: str) -> None:
    room.member(MALLORY, membership, by=ALICE)
    room.allows(change(room, MODERATOR, MALLORY, "ban"))


def test_5_6_3_otherwise_reject(room: RoomBuilder) -> None:
    room.rejects(change(room, MODERATOR, ALICE, "ban"), "5.6.3")
    room.rejects(change(room, CHARLIE, MALLORY, "ban"), "5.6.3")
    room.rejects(change(room, MODERATOR, MODERATOR, "ban"), "5.6.3")
    room.power_levels({BOB: 50}, ban=51)
    room.rejects(change(room, MODERATOR, MALLORY, "ban"), "5.6.3")


@pytest.mark.parametrize("version", until("11"))
def test_5_6_2_until_v11_a_creator_can_be_banned(version: str) -> None:
    room = RoomBuilder(version).join(BOB)
    room.set(ALICE, "m.room.power_levels", {"users": {ALICE: 50, BOB: 100}})
    room.allows(change(room, BOB, ALICE, "ban"))


@pytest.mark.parametrize("version", since("12"))
def test_5_6_3_since_v12_a_creator_cannot_be_banned_not_even_by_another(version: str) -> None:
    room = RoomBuilder(version, additional_creators=[BOB]).join(BOB, CHARLIE).power_levels({CHARLIE: 2**53 - 1})
    room.rejects(change(room, CHARLIE, ALICE, "ban"), "5.6.3")
    room.rejects(change(room, BOB, ALICE, "ban"), "5.6.3")
    room.rejects(change(room, BOB, ALICE, "leave"), "5.5.5")
    room.allows(change(room, BOB, CHARLIE, "ban"))


# --- 5.7 ----------------------------------------------------------------------------------------------------------

STRANGER = "@stranger:example.org"
KNOCK_RULES = [
    *((version, "knock") for version in since("7")),
    *((version, "knock_restricted") for version in since("10")),
]


@pytest.mark.parametrize("version", until("6"))
def test_5_8_until_v6_nobody_knocks(version: str) -> None:
    room = RoomBuilder(version).join_rule("knock")
    room.rejects(change(room, STRANGER, STRANGER, "knock"), "5.8")


@pytest.mark.parametrize("version", since("7"))
@pytest.mark.parametrize("rule", ["public", "invite", "private", "restricted"])
def test_5_7_1_only_where_knocking_is_wanted(version: str, rule: str) -> None:
    room = RoomBuilder(version).join_rule(rule)
    room.rejects(change(room, STRANGER, STRANGER, "knock"), "5.7.1")


@pytest.mark.parametrize("version", ["7", "8", "9"])
def test_5_7_1_before_v10_knock_restricted_is_no_rule(version: str) -> None:
    room = RoomBuilder(version).join_rule("knock_restricted")
    room.rejects(change(room, STRANGER, STRANGER, "knock"), "5.7.1")


@pytest.mark.parametrize(("version", "rule"), KNOCK_RULES)
class TestKnocking:
    def test_5_7_2_nobody_knocks_for_someone_else(self, version: str, rule: str) -> None:
        room = RoomBuilder(version).join_rule(rule)
        room.rejects(change(room, ALICE, STRANGER, "knock"), "5.7.2")

    @pytest.mark.parametrize("membership", [None, "leave", "knock"])
    def test_5_7_3_those_outside_may_knock(self, version: str, rule: str, membership: str | None) -> None:
        room = RoomBuilder(version).join_rule(rule)
        if membership is not None:
            room.member(STRANGER, membership)
        room.allows(change(room, STRANGER, STRANGER, "knock"))

    @pytest.mark.parametrize("membership", ["ban", "invite", "join"])
    def test_5_7_4_others_may_not(self, version: str, rule: str, membership: str) -> None:
        room = RoomBuilder(version).join_rule(rule).member(STRANGER, membership, by=ALICE)
        room.rejects(change(room, STRANGER, STRANGER, "knock"), "5.7.4")
