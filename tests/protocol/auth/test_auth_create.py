"""Rule 1: `m.room.create`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from homeserver.protocol.auth import AuthRejection, check_state_dependent, check_state_independent, room_creators
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.protocol.factory import ALICE, ALL_VERSIONS, BOB, CHARLIE, MALLORY, make_event, since, until


def create_event(version: str, *, room_id: str | None = None, prev: tuple[str, ...] = (), **content: Any) -> Event:
    """The first event of a room of Alice's, as she would send it."""
    rules = ROOM_VERSIONS[version]
    default = "!create" if rules.room_id_is_create_event_id else "!room:example.org"
    content = {"creator": ALICE, "room_version": version, **content}
    event_type = "m.room.create"
    event = make_event(
        rules, "$create", event_type, ALICE, content, room_id=room_id or default, state_key="", prev_event_ids=prev
    )
    return event if room_id is None else replace(event, pdu={**event.pdu, "room_id": room_id})


def check(event: Event) -> None:
    """Both doors lead to the same rules."""
    check_state_independent(event, [])
    check_state_dependent(event, event.room_version, lambda event_type, state_key: None)


def refused(event: Event, rule: str) -> None:
    for door in (
        lambda: check_state_independent(event, []),
        lambda: check_state_dependent(event, event.room_version, lambda event_type, state_key: None),
    ):
        with pytest.raises(AuthRejection) as caught:
            door()
        assert caught.value.rule == rule


@pytest.mark.parametrize("version", ALL_VERSIONS)
class TestRule1:
    def test_1_1_it_is_the_first_event(self, version: str) -> None:
        refused(create_event(version, prev=("$before",)), "1.1")

    def test_1_3_the_room_version_must_be_recognised(self, version: str) -> None:
        for unknown in ("13", "", 5, None, ["1"]):
            refused(create_event(version, room_version=unknown), "1.3")

    def test_1_5_otherwise_allow(self, version: str) -> None:
        check(create_event(version))


@pytest.mark.parametrize("version", until("11"))
def test_v1_1_2_the_room_id_is_of_the_senders_server(version: str) -> None:
    refused(create_event(version, room_id="!room:elsewhere.example"), "v1 1.2")
    refused(create_event(version, room_id="!room"), "v1 1.2")


@pytest.mark.parametrize("version", since("12"))
def test_1_2_since_v12_a_create_event_has_no_room_id(version: str) -> None:
    refused(create_event(version, room_id="!room:example.org"), "1.2")
    refused(create_event(version, room_id="!create"), "1.2")


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_v1_1_4_until_v10_the_creator_must_be_named(version: str) -> None:
    event = create_event(version)
    event = replace(event, content={"room_version": version})
    if version in until("10"):
        refused(event, "v1 1.4")
    else:
        check(event)


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("creators", ["@bob:example.org", {}, None, [5], ["bob"], [BOB, "#not:a.user"], ["@a:b c"]])
def test_1_4_since_v12_additional_creators_are_user_ids(version: str, creators: object) -> None:
    event = create_event(version, additional_creators=creators)
    if version in since("12"):
        refused(event, "1.4")
    else:
        check(event)


@pytest.mark.parametrize("creators", [[], [BOB], [BOB, CHARLIE], [BOB, BOB]])
def test_1_4_a_list_of_user_ids_is_fine(creators: list[str]) -> None:
    check(create_event("12", additional_creators=creators))


def test_the_room_version_may_be_left_out() -> None:
    event = create_event("1")
    check(replace(event, content={"creator": ALICE}))


# --- Who the creators are -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_the_creator_is_named_until_v10_and_the_sender_later(version: str) -> None:
    event = create_event(version, creator=BOB)
    expected = BOB if version in until("10") else ALICE
    assert room_creators(event, event.room_version) == {expected}


def test_a_creator_that_is_no_text_is_nobody() -> None:
    event = create_event("1", creator={"not": "text"})
    assert room_creators(event, event.room_version) == frozenset()


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_additional_creators_count_since_v12(version: str) -> None:
    event = create_event(version, additional_creators=[BOB, MALLORY])
    expected = {ALICE, BOB, MALLORY} if version in since("12") else {ALICE}
    assert room_creators(event, event.room_version) == expected
