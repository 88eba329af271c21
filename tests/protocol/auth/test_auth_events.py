"""Rules 2 and 3 (until v11: rule 2), and the selection of auth events they refer to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from homeserver.protocol.auth import AuthRejection, auth_types_for_event, check_state_independent
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.protocol.factory import ALICE, ALL_VERSIONS, BOB, CHARLIE, MALLORY, RoomBuilder, since, until

CREATE = ("m.room.create", "")
LEVELS = ("m.room.power_levels", "")
JOIN_RULES = ("m.room.join_rules", "")


@pytest.fixture(params=ALL_VERSIONS)
def room(request: pytest.FixtureRequest) -> RoomBuilder:
    """A public room of Alice and Bob, with power levels."""
    return RoomBuilder(request.param).power_levels().join_rule("public").join(BOB)


def message(room: RoomBuilder, *more: StateKey | str, without: StateKey | None = None) -> Event:
    """A message of Bob's that lists more (or fewer) auth events than it should."""
    event = room.draft(BOB, "m.room.message", {"body": "hi"})
    listed = [event_id for event_id in event.auth_event_ids if without is None or event_id != room.state[without]]
    listed += [room.state[entry] if isinstance(entry, tuple) else entry for entry in more]
    return replace(event, auth_event_ids=tuple(listed))


# --- Rule 2 -------------------------------------------------------------------------------------------------------


def test_2_since_v12_the_room_id_is_that_of_an_accepted_create_event() -> None:
    room = RoomBuilder("12").join(BOB)
    event, create = room.draft(BOB, "m.room.message"), room.fetch(*CREATE)
    room.allows_by_itself(event)
    room.rejects_by_itself(event, "2", rejected={"$create"})
    room.rejects_by_itself(replace(event, room_id="!other"), "2")
    auth_events = [room.events[event_id] for event_id in event.auth_event_ids]
    assert create is not None
    for no_create in (None, replace(create, type="m.room.member")):
        with pytest.raises(AuthRejection) as caught:
            check_state_independent(event, auth_events, create_event=no_create)
        assert caught.value.rule == "2"


# --- Rule 3 -------------------------------------------------------------------------------------------------------


def test_an_event_with_exactly_the_selected_auth_events_is_allowed(room: RoomBuilder) -> None:
    room.allows_by_itself(message(room))


def test_3_1_no_duplicates(room: RoomBuilder) -> None:
    room.rejects_by_itself(message(room, LEVELS), "3.1")


def test_3_1_two_different_events_for_the_same_state_are_duplicates(room: RoomBuilder) -> None:
    first = room.state["m.room.member", BOB]
    room.join(BOB)
    room.rejects_by_itself(message(room, first), "3.1")


@pytest.mark.parametrize("key", [JOIN_RULES, ("m.room.member", ALICE), ("m.room.topic", "")])
def test_3_2_no_auth_events_that_are_not_selected(room: RoomBuilder, key: StateKey) -> None:
    room.set(ALICE, "m.room.topic", {"topic": "Tea"})
    room.rejects_by_itself(message(room, key), "3.2")


def test_3_2_a_message_authorises_nothing(room: RoomBuilder) -> None:
    chat = room.send(ALICE, "m.room.message")
    room.rejects_by_itself(message(room, chat.event_id), "3.2")


def test_3_2_since_v12_the_create_event_is_not_selected() -> None:
    room = RoomBuilder("12").join(BOB)
    room.rejects_by_itself(message(room, CREATE), "3.2")


def test_3_3_no_rejected_auth_events(room: RoomBuilder) -> None:
    room.rejects_by_itself(message(room), "3.3", rejected={room.state["m.room.member", BOB]})


@pytest.mark.parametrize("version", until("11"))
def test_v1_2_4_until_v11_the_create_event_must_be_there(version: str) -> None:
    room = RoomBuilder(version).join(BOB)
    room.rejects_by_itself(message(room, without=CREATE), "v1 2.4")


def test_3_5_auth_events_are_of_the_same_room(room: RoomBuilder) -> None:
    event_id = room.state["m.room.member", BOB]
    room.events[event_id] = replace(room.events[event_id], room_id="!elsewhere:example.org")
    room.rejects_by_itself(message(room), "3.5")


# --- Rule 5.2 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_5_2_1_since_v8_the_authorising_server_must_have_signed(version: str) -> None:
    room = RoomBuilder(version).join_rule("restricted").join(CHARLIE)
    content = {"membership": "join", "join_authorised_via_users_server": CHARLIE}
    event = room.draft(BOB, "m.room.member", content, BOB)
    if version not in since("8"):
        room.allows_by_itself(event)
        return
    room.rejects_by_itself(event, "5.2.1")
    signatures = {**event.pdu["signatures"], "elsewhere.example": {"ed25519:1": "made up"}}
    room.allows_by_itself(replace(event, pdu={**event.pdu, "signatures": signatures}))


@pytest.mark.parametrize("authoriser", [None, 5, "", "charlie", "@charlie:"])
def test_5_2_1_an_authoriser_that_is_nobody_has_no_server(authoriser: object) -> None:
    room = RoomBuilder("12").join_rule("restricted")
    content = {"membership": "join", "join_authorised_via_users_server": authoriser}
    room.rejects_by_itself(room.draft(BOB, "m.room.member", content, BOB), "5.2.1")


@pytest.mark.parametrize("signatures", [None, [], "text", {"elsewhere.example": {}}, {"elsewhere.example": None}])
def test_5_2_1_signatures_of_a_wrong_shape_are_none(signatures: object) -> None:
    room = RoomBuilder("12").join_rule("restricted").join(CHARLIE)
    content = {"membership": "join", "join_authorised_via_users_server": CHARLIE}
    event = room.draft(BOB, "m.room.member", content, BOB)
    room.rejects_by_itself(replace(event, pdu={**event.pdu, "signatures": signatures}), "5.2.1")


# --- Selection ----------------------------------------------------------------------------------------------------


def member(user: str) -> StateKey:
    return ("m.room.member", user)


def selected(version: str, event_type: str, state_key: str | None = None, **content: Any) -> list[StateKey]:
    """What is selected for an event of Alice's, without the create event."""
    rules = ROOM_VERSIONS[version]
    keys = auth_types_for_event(event_type, ALICE, state_key, content, rules)
    assert len(keys) == len(set(keys))
    assert (CREATE in keys) is (rules.create_event_is_auth_event and event_type != "m.room.create")
    return [key for key in keys if key != CREATE]


SIGNED = {"signed": {"token": "t"}}


@pytest.mark.parametrize("version", ALL_VERSIONS)
class TestSelection:
    def test_the_create_event_has_none(self, version: str) -> None:
        assert selected(version, "m.room.create", "") == []

    def test_messages_and_other_state_need_levels_and_the_senders_membership(self, version: str) -> None:
        for event_type, state_key in (("m.room.message", None), ("m.room.topic", ""), ("m.room.power_levels", "")):
            assert selected(version, event_type, state_key) == [LEVELS, member(ALICE)]

    def test_a_member_event_without_state_key_is_like_a_message(self, version: str) -> None:
        assert selected(version, "m.room.member", membership="join") == [LEVELS, member(ALICE)]

    def test_leaving_and_banning_need_the_target(self, version: str) -> None:
        for membership in ("leave", "ban"):
            assert selected(version, "m.room.member", BOB, membership=membership) == [
                LEVELS,
                member(ALICE),
                member(BOB),
            ]

    def test_joining_inviting_and_knocking_need_the_join_rules(self, version: str) -> None:
        for membership in ("join", "invite", "knock"):
            assert JOIN_RULES in selected(version, "m.room.member", ALICE, membership=membership)

    def test_a_third_party_invite_needs_the_event_it_comes_from(self, version: str) -> None:
        keys = selected(version, "m.room.member", BOB, membership="invite", third_party_invite=SIGNED)
        assert keys == [LEVELS, member(ALICE), member(BOB), JOIN_RULES, ("m.room.third_party_invite", "t")]

    def test_the_third_party_key_counts_for_invites_only(self, version: str) -> None:
        keys = selected(version, "m.room.member", ALICE, membership="join", third_party_invite=SIGNED)
        assert keys == [LEVELS, member(ALICE), JOIN_RULES]

    def test_a_restricted_join_needs_its_authoriser_since_v8(self, version: str) -> None:
        content = {"membership": "join", "join_authorised_via_users_server": CHARLIE}
        keys = selected(version, "m.room.member", ALICE, **content)
        assert (member(CHARLIE) in keys) is (version in since("8"))

    def test_nonsense_selects_nothing_more(self, version: str) -> None:
        for nonsense in (None, 5, [], {}, {"signed": 5}, {"signed": {"token": []}}):
            assert selected(version, "m.room.member", BOB, membership=nonsense) == [
                LEVELS,
                member(ALICE),
                member(BOB),
            ]
            keys = selected(version, "m.room.member", BOB, membership="invite", third_party_invite=nonsense)
            assert keys == [LEVELS, member(ALICE), member(BOB), JOIN_RULES]
            keys = selected(
                version, "m.room.member", ALICE, membership="join", join_authorised_via_users_server=nonsense
            )
            assert keys == [LEVELS, member(ALICE), JOIN_RULES]


def test_mallory_authorises_herself_and_is_listed_once() -> None:
    content = {"membership": "join", "join_authorised_via_users_server": MALLORY}
    keys = auth_types_for_event("m.room.member", MALLORY, MALLORY, content, ROOM_VERSIONS["12"])
    assert keys.count(("m.room.member", MALLORY)) == 1
