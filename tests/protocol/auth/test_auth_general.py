"""Rules 4, 6, 8, 9 and 11, and v1 rule 4 (aliases): events of any type."""

from __future__ import annotations

from dataclasses import replace

import pytest

from homeserver.protocol.auth import AuthRejection, check_state_dependent, power_levels_in_room
from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.protocol.factory import ALICE, ALL_VERSIONS, BOB, CHARLIE, MALLORY, RoomBuilder, since, until


@pytest.fixture(params=ALL_VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Every room version."""
    name: str = request.param
    return name


def test_2_a_room_without_create_event_accepts_nothing(version: str) -> None:
    room = RoomBuilder(version).join(BOB)
    event = room.draft(BOB, "m.room.message")
    del room.state["m.room.create", ""]
    room.rejects(event, "2")


# --- Rule 4: m.federate -------------------------------------------------------------------------------------------


def test_4_a_room_that_does_not_federate_is_for_one_server(version: str) -> None:
    room = RoomBuilder(version, **{"m.federate": False}).join_rule("public").join(BOB, CHARLIE)
    room.rejects(room.draft(CHARLIE, "m.room.message"), "4")
    room.rejects(room.draft(CHARLIE, "m.room.member", {"membership": "join"}, CHARLIE), "4")
    room.allows(room.draft(BOB, "m.room.message"))


@pytest.mark.parametrize("federate", [True, "false", None, 0])
def test_4_only_false_closes_a_room(version: str, federate: object) -> None:
    room = RoomBuilder(version, **{"m.federate": federate}).join(CHARLIE)
    room.allows(room.draft(CHARLIE, "m.room.message"))


# --- v1 rule 4: aliases -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", until("5"))
class TestAliasesUntilV5:
    def test_v1_4_1_without_state_key_reject(self, version: str) -> None:
        room = RoomBuilder(version)
        room.rejects(room.draft(ALICE, "m.room.aliases"), "v1 4.1")

    def test_v1_4_2_a_server_lists_its_own_aliases_only(self, version: str) -> None:
        room = RoomBuilder(version).join(CHARLIE)
        room.rejects(room.draft(ALICE, "m.room.aliases", state_key="elsewhere.example"), "v1 4.2")
        room.rejects(room.draft(ALICE, "m.room.aliases", state_key=""), "v1 4.2")

    def test_v1_4_3_otherwise_allow_even_for_those_outside_and_without_power(self, version: str) -> None:
        room = RoomBuilder(version).power_levels(events={"m.room.aliases": 100})
        room.allows(room.draft(MALLORY, "m.room.aliases", state_key="evil.example"))


@pytest.mark.parametrize("version", since("6"))
def test_since_v6_aliases_are_state_like_any_other(version: str) -> None:
    room = RoomBuilder(version).power_levels().join(BOB)
    room.rejects(room.draft(MALLORY, "m.room.aliases", state_key="evil.example"), "6")
    room.rejects(room.draft(BOB, "m.room.aliases", state_key="example.org"), "8")
    room.allows(room.draft(ALICE, "m.room.aliases", state_key="anything"))


# --- Rule 6 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("membership", [None, "invite", "leave", "ban", "knock"])
def test_6_only_members_speak(version: str, membership: str | None) -> None:
    room = RoomBuilder(version).power_levels({BOB: 100})
    if membership is not None:
        room.member(BOB, membership, by=ALICE)
    room.rejects(room.draft(BOB, "m.room.message"), "6")
    room.rejects(room.draft(BOB, "m.room.topic", state_key=""), "6")
    room.rejects(room.draft(BOB, "m.room.power_levels", state_key=""), "6")


def test_6_a_membership_that_is_no_text_is_none(version: str) -> None:
    room = RoomBuilder(version).set(BOB, "m.room.member", {"membership": ["join"]}, BOB)
    room.rejects(room.draft(BOB, "m.room.message"), "6")


# --- Rule 8: required power level ---------------------------------------------------------------------------------


def test_8_a_room_without_power_levels_is_ruled_by_its_creator(version: str) -> None:
    room = RoomBuilder(version).join(BOB)
    room.allows(room.draft(BOB, "m.room.message"))
    room.rejects(room.draft(BOB, "m.room.topic", state_key=""), "8")
    room.allows(room.draft(ALICE, "m.room.topic", state_key=""))


def test_8_defaults_of_a_power_levels_event(version: str) -> None:
    room = RoomBuilder(version).power_levels({BOB: 49, CHARLIE: 50, MALLORY: -1}).join(BOB, CHARLIE, MALLORY)
    room.rejects(room.draft(BOB, "m.room.topic", state_key=""), "8")
    room.allows(room.draft(CHARLIE, "m.room.topic", state_key=""))
    room.rejects(room.draft(MALLORY, "m.room.message"), "8")


def test_8_what_the_power_levels_say(version: str) -> None:
    levels = {"events": {"m.room.topic": 10, "m.room.message": 20}, "events_default": 30, "state_default": 40}
    room = RoomBuilder(version).power_levels({BOB: 20}, users_default=10, **levels).join(BOB, CHARLIE)
    room.allows(room.draft(CHARLIE, "m.room.topic", state_key=""))
    room.rejects(room.draft(CHARLIE, "m.room.message"), "8")
    room.allows(room.draft(BOB, "m.room.message"))
    room.rejects(room.draft(BOB, "m.sticker"), "8")
    room.rejects(room.draft(BOB, "m.room.name", state_key=""), "8")


def test_8_the_level_of_an_event_type_is_the_same_for_state_and_messages(version: str) -> None:
    room = RoomBuilder(version).power_levels({BOB: 60}, events={"org.example": 55}).join(BOB, CHARLIE)
    for state_key in (None, ""):
        room.allows(room.draft(BOB, "org.example", state_key=state_key))
        room.rejects(room.draft(CHARLIE, "org.example", state_key=state_key), "8")


@pytest.mark.parametrize("version", until("11"))
def test_8_until_v11_a_creator_without_an_entry_is_nobody_special(version: str) -> None:
    room = RoomBuilder(version).set(ALICE, "m.room.power_levels", {"users": {BOB: 100}}).join(BOB)
    room.rejects(room.draft(ALICE, "m.room.topic", state_key=""), "8")
    room.allows(room.draft(BOB, "m.room.topic", state_key=""))


@pytest.mark.parametrize("version", since("12"))
def test_8_since_v12_creators_can_do_anything(version: str) -> None:
    room = RoomBuilder(version, additional_creators=[BOB]).join(BOB, CHARLIE)
    room.power_levels({CHARLIE: 2**53 - 1}, state_default=2**53 - 1, users_default=-5)
    for creator in (ALICE, BOB):
        room.allows(room.draft(creator, "m.room.topic", state_key=""))
        room.allows(room.draft(creator, "m.room.member", {"membership": "ban"}, CHARLIE))
    room.rejects(room.draft(CHARLIE, "m.room.member", {"membership": "ban"}, BOB), "5.6.3")


def test_8_parsed_levels_may_be_handed_over(version: str) -> None:
    room = RoomBuilder(version).power_levels(events={"m.room.message": 50}).join(BOB)
    create, event = room.fetch("m.room.create", ""), room.draft(BOB, "m.room.message")
    assert create is not None
    rules = ROOM_VERSIONS[version]
    levels = power_levels_in_room(create, room.fetch("m.room.power_levels", ""), rules)
    with pytest.raises(AuthRejection, match="auth rule 8"):
        check_state_dependent(event, rules, room.fetch, levels)


# --- Rule 9 -------------------------------------------------------------------------------------------------------


def test_9_state_under_a_users_id_is_that_users(version: str) -> None:
    room = RoomBuilder(version).power_levels({BOB: 50}).join(BOB)
    room.allows(room.draft(BOB, "org.example", state_key=BOB))
    room.rejects(room.draft(BOB, "org.example", state_key=ALICE), "9")
    room.rejects(room.draft(BOB, "org.example", state_key="@"), "9")
    room.rejects(room.draft(ALICE, "org.example", state_key=BOB), "9")
    room.allows(room.draft(BOB, "org.example", state_key=f"_{ALICE}"))


# --- Rule 11 (v1: 12) ---------------------------------------------------------------------------------------------


def test_11_otherwise_allow(version: str) -> None:
    room = RoomBuilder(version).join(BOB)
    room.allows(room.draft(BOB, "org.example.anything", {"any": "thing"}))
    room.allows(replace(room.draft(BOB, "m.room.encrypted"), depth=0))
