"""Rules 5.1, 5.3 and 5.8: joining."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from homeserver.protocol.events import Event
from tests.protocol.factory import ALICE, ALL_VERSIONS, BOB, CHARLIE, MALLORY, RoomBuilder, since, until


@pytest.fixture(params=ALL_VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Every room version."""
    name: str = request.param
    return name


def join(room: RoomBuilder, user: str = BOB, by: str | None = None, **content: Any) -> Event:
    """A join, by default by the user, who was not there before."""
    return room.draft(by or user, "m.room.member", {"membership": "join", **content}, user)


# --- 5.1 and 5.8 --------------------------------------------------------------------------------------------------


def test_5_1_a_member_event_needs_state_key_and_membership(version: str) -> None:
    room = RoomBuilder(version).join_rule("public")
    room.rejects(room.draft(BOB, "m.room.member", {"membership": "join"}), "5.1")
    room.rejects(room.draft(BOB, "m.room.member", {}, BOB), "5.1")


@pytest.mark.parametrize("membership", ["", "Join", "banned", None, 5, [], {}])
def test_5_8_an_unknown_membership_is_refused(version: str, membership: object) -> None:
    room = RoomBuilder(version)
    room.rejects(room.draft(ALICE, "m.room.member", {"membership": membership}, ALICE), "5.8")


# --- 5.3.1: the first member --------------------------------------------------------------------------------------


def new_room(version: str, **content: Any) -> RoomBuilder:
    """A room of which only the create event, with this content added, is there."""
    room = RoomBuilder(version)
    del room.state["m.room.member", ALICE]
    create = room.events[room.state["m.room.create", ""]]
    room.events[create.event_id] = replace(create, content={**create.content, **content})
    room.tip, room.depth = (create.event_id,), 1
    return room


def test_5_3_1_the_creator_joins_right_after_the_create_event(version: str) -> None:
    room = new_room(version)
    room.allows(join(room, ALICE))
    room.rejects(join(room, BOB), "5.3.7")


def test_5_3_1_only_right_after_the_create_event(version: str) -> None:
    room = new_room(version)
    room.rejects(replace(join(room, ALICE), prev_event_ids=("$other",)), "5.3.7")
    room.rejects(replace(join(room, ALICE), prev_event_ids=(*room.tip, "$other")), "5.3.7")
    room.rejects(replace(join(room, ALICE), prev_event_ids=()), "5.3.7")


@pytest.mark.parametrize("version", until("10"))
def test_5_3_1_until_v10_the_creator_is_whom_the_content_names(version: str) -> None:
    room = new_room(version, creator=BOB)
    room.allows(join(room, BOB))
    room.rejects(join(room, ALICE), "5.3.7")


@pytest.mark.parametrize("version", since("11"))
def test_5_3_1_since_v11_the_creator_is_the_sender(version: str) -> None:
    room = new_room(version, creator=BOB)
    room.allows(join(room, ALICE))
    room.rejects(join(room, BOB), "5.3.7")


def test_5_3_1_additional_creators_do_not_join_first() -> None:
    room = new_room("12", additional_creators=[BOB])
    room.rejects(join(room, BOB), "5.3.7")


# --- 5.3.2 and 5.3.3 ----------------------------------------------------------------------------------------------


def test_5_3_2_nobody_joins_for_someone_else(version: str) -> None:
    room = RoomBuilder(version).join_rule("public").join(BOB)
    room.rejects(join(room, CHARLIE, by=BOB), "5.3.2")
    room.rejects(join(room, CHARLIE, by=ALICE), "5.3.2")


@pytest.mark.parametrize("rule", ["public", "invite", "restricted"])
def test_5_3_3_the_banned_stay_outside(version: str, rule: str) -> None:
    room = RoomBuilder(version).join_rule(rule).member(BOB, "ban", by=ALICE)
    room.rejects(join(room), "5.3.3")


# --- 5.3.4: invite and knock --------------------------------------------------------------------------------------


def test_5_3_4_a_private_room_lets_in_whom_it_invited(version: str) -> None:
    room = RoomBuilder(version).join_rule("invite")
    room.rejects(join(room), "5.3.7")
    room.rejects(join(room.fork().member(BOB, "leave", by=ALICE)), "5.3.7")
    invited = room.fork().member(BOB, "invite", by=ALICE)
    invited.allows(join(invited))
    invited.join(BOB).allows(join(invited, displayname="Bob"))


def test_5_3_4_a_room_without_join_rule_is_private(version: str) -> None:
    room = RoomBuilder(version)
    room.rejects(join(room), "5.3.7")
    room.member(BOB, "invite", by=ALICE).allows(join(room))


@pytest.mark.parametrize("version", since("7"))
def test_5_3_4_a_knock_is_no_invitation(version: str) -> None:
    room = RoomBuilder(version).join_rule("knock").member(BOB, "knock")
    room.rejects(join(room), "5.3.7")
    room.member(BOB, "invite", by=ALICE).allows(join(room))


@pytest.mark.parametrize("version", until("6"))
def test_5_3_4_until_v6_knock_is_no_join_rule(version: str) -> None:
    room = RoomBuilder(version).join_rule("knock").member(BOB, "invite", by=ALICE)
    room.rejects(join(room), "5.3.7")


# --- 5.3.5: restricted --------------------------------------------------------------------------------------------

RESTRICTED = [
    *((version, "restricted") for version in since("8")),
    *((version, "knock_restricted") for version in since("10")),
]


def restricted_room(version: str, rule: str, invite: int = 50) -> RoomBuilder:
    """Alice and Charlie may invite, Mallory is in but may not."""
    room = RoomBuilder(version).join_rule(rule).join(CHARLIE, MALLORY)
    return room.power_levels({CHARLIE: 50}, invite=invite)


@pytest.mark.parametrize(("version", "rule"), RESTRICTED)
class TestRestricted:
    def test_5_3_5_1_the_invited_need_nobody(self, version: str, rule: str) -> None:
        room = restricted_room(version, rule).member(BOB, "invite", by=ALICE)
        room.allows(join(room))
        room.join(BOB).allows(join(room, displayname="Bob"))

    @pytest.mark.parametrize("authoriser", [None, 5, [], BOB, MALLORY, "@nobody:example.org"])
    def test_5_3_5_2_others_need_a_member_who_may_invite(self, version: str, rule: str, authoriser: object) -> None:
        room = restricted_room(version, rule)
        room.rejects(join(room, join_authorised_via_users_server=authoriser), "5.3.5.2")
        room.rejects(join(room), "5.3.5.2")

    def test_5_3_5_2_one_who_left_authorises_nobody(self, version: str, rule: str) -> None:
        room = restricted_room(version, rule).member(CHARLIE, "leave")
        room.rejects(join(room, join_authorised_via_users_server=CHARLIE), "5.3.5.2")

    def test_5_3_5_3_otherwise_allow(self, version: str, rule: str) -> None:
        room = restricted_room(version, rule)
        for authoriser in (ALICE, CHARLIE):
            room.allows(join(room, join_authorised_via_users_server=authoriser))


@pytest.mark.parametrize(
    ("version", "rule"),
    [*((version, "restricted") for version in until("7")), *((v, "knock_restricted") for v in until("9"))],
)
def test_5_3_7_before_their_time_restricted_rules_let_nobody_in(version: str, rule: str) -> None:
    room = restricted_room(version, rule).member(BOB, "invite", by=ALICE)
    room.rejects(join(room, join_authorised_via_users_server=ALICE), "5.3.7")


# --- 5.3.6 and 5.3.7 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("membership", [None, "leave", "invite", "join", "knock"])
def test_5_3_6_a_public_room_lets_everybody_in(version: str, membership: str | None) -> None:
    room = RoomBuilder(version).join_rule("public")
    if membership is not None:
        room.member(BOB, membership, by=ALICE)
    room.allows(join(room))


@pytest.mark.parametrize("rule", ["private", "", "Public"])
def test_5_3_7_an_unknown_join_rule_lets_nobody_in(version: str, rule: str) -> None:
    room = RoomBuilder(version).join_rule(rule).member(BOB, "invite", by=ALICE)
    room.rejects(join(room), "5.3.7")
