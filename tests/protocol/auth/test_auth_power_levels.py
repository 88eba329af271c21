"""Rule 10: `m.room.power_levels`, and how its content is read in each room version."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeserver.protocol.auth import AuthRejection, PowerLevels, power_levels_in_room
from homeserver.protocol.auth.power_levels import DEFAULT_LEVELS, parse_power_levels, read_level
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.protocol.factory import ALICE, ALL_VERSIONS, BOB, CHARLIE, MALLORY, RoomBuilder, since, until

SINGLE_LEVELS = tuple(DEFAULT_LEVELS)
# Bob has 60 and may set power levels in the rooms below.
BASE: dict[str, Any] = {"events": {"m.room.power_levels": 60}}


@pytest.fixture(params=ALL_VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Every room version."""
    name: str = request.param
    return name


def room_of(version: str, users: dict[str, Any] | None = None, **content: Any) -> RoomBuilder:
    """A room in which Bob has power level 60, and with it may change the levels."""
    content["events"] = {**BASE["events"], **content.get("events", {})}
    return RoomBuilder(version).join(BOB).power_levels({BOB: 60, **(users or {})}, **content)


def changed(room: RoomBuilder, by: str = BOB, users: dict[str, Any] | None = None, **content: Any) -> Event:
    """The room's power levels with these keys changed; None takes a key (or the entry of a user) away."""
    current = room.fetch("m.room.power_levels", "")
    assert current is not None
    new_users = {**current.content["users"], **(users or {})}
    new = {**current.content, **content, "users": {user: level for user, level in new_users.items() if level != "gone"}}
    new = {key: value for key, value in new.items() if value is not None}
    return room.draft(by, "m.room.power_levels", new, "")


# --- 10.1 to 10.3: the form ---------------------------------------------------------------------------------------

NO_INTEGERS = ["50", " 1", 1.5, None, True, [], {}]


@pytest.mark.parametrize("key", SINGLE_LEVELS)
@pytest.mark.parametrize("value", NO_INTEGERS, ids=str)
@pytest.mark.parametrize("version", since("10"))
def test_10_1_since_v10_single_levels_are_integers(version: str, key: str, value: object) -> None:
    room = RoomBuilder(version)
    room.rejects(room.draft(ALICE, "m.room.power_levels", {key: value}, ""), "10.1")


@pytest.mark.parametrize("key", ["events", "notifications"])
@pytest.mark.parametrize("value", [None, 5, [], "x", *({"a": value} for value in NO_INTEGERS)], ids=str)
@pytest.mark.parametrize("version", since("10"))
def test_10_2_since_v10_events_and_notifications_map_to_integers(version: str, key: str, value: object) -> None:
    room = RoomBuilder(version)
    room.rejects(room.draft(ALICE, "m.room.power_levels", {key: value}, ""), "10.2")


@pytest.mark.parametrize("version", until("9"))
@pytest.mark.parametrize("content", [{"ban": "banana"}, {"events": 5}, {"notifications": {"room": []}}])
def test_10_1_and_10_2_until_v9_only_users_are_looked_at(version: str, content: dict[str, Any]) -> None:
    room = RoomBuilder(version)
    room.allows(room.draft(ALICE, "m.room.power_levels", content, ""))


@pytest.mark.parametrize("users", [None, 5, [], "x", {"bob": 5}, {"": 5}, {"@b b:c d": 5}, {BOB: None}, {BOB: "x"}])
def test_10_3_users_map_user_ids_to_levels(version: str, users: object) -> None:
    room = RoomBuilder(version)
    room.rejects(room.draft(ALICE, "m.room.power_levels", {"users": users}, ""), "10.3")


@pytest.mark.parametrize("level", ["60", " +060 "])
def test_10_3_until_v9_a_level_may_be_an_integer_in_a_string(version: str, level: str) -> None:
    room = RoomBuilder(version)
    event = room.draft(ALICE, "m.room.power_levels", {"users": {BOB: level}}, "")
    if version in until("9"):
        room.allows(event)
    else:
        room.rejects(event, "10.3")


def test_10_3_until_v5_a_level_may_be_a_float(version: str) -> None:
    room = RoomBuilder(version)
    event = room.draft(ALICE, "m.room.power_levels", {"users": {BOB: 50.57}}, "")
    if version in until("5"):
        room.allows(event)
    else:
        room.rejects(event, "10.3")


# --- 10.4 and 10.5 ------------------------------------------------------------------------------------------------


def test_10_4_since_v12_creators_are_not_listed(version: str) -> None:
    room = RoomBuilder(version, additional_creators=[BOB])
    for creator in (ALICE, BOB):
        event = room.draft(ALICE, "m.room.power_levels", {"users": {creator: 100}}, "")
        if version in since("12"):
            room.rejects(event, "10.4")
        else:
            room.allows(event)


@pytest.mark.parametrize("version", since("12"))
def test_10_4_the_creator_a_v12_event_only_claims_is_nobody(version: str) -> None:
    room = RoomBuilder(version)
    room.events["$create"].content["creator"] = BOB
    room.allows(room.draft(ALICE, "m.room.power_levels", {"users": {BOB: 100}}, ""))


def test_10_5_the_first_power_levels_may_be_anything(version: str) -> None:
    room = RoomBuilder(version).join(BOB)
    content = {"users": {BOB: 1000}, "ban": 1000, "events": {"x": 1000}, "notifications": {"room": 1000}}
    room.allows(room.draft(ALICE, "m.room.power_levels", content, ""))
    room.rejects(room.draft(BOB, "m.room.power_levels", content, ""), "8")


# --- 10.6: single levels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", SINGLE_LEVELS)
class TestRule106:
    def test_10_6_1_a_level_above_ones_own_is_not_touched(self, version: str, key: str) -> None:
        if key == "users_default":
            pytest.skip("then everybody has it")
        room = room_of(version, **{key: 61})
        room.rejects(changed(room, **{key: 60}), "10.6.1")
        room.rejects(changed(room, **{key: None}), "10.6.1")
        room.allows(changed(room, users={CHARLIE: 1}))

    def test_10_6_2_nor_set(self, version: str, key: str) -> None:
        for room in (room_of(version), room_of(version, **{key: 5})):
            room.rejects(changed(room, **{key: 61}), "10.6.2")
            room.allows(changed(room, **{key: 60}))
            room.allows(changed(room, **{key: -5}))

    def test_10_6_a_level_up_to_ones_own_is_free(self, version: str, key: str) -> None:
        room = room_of(version, **{key: 60})
        room.allows(changed(room, **{key: 0}))
        room.allows(changed(room, **{key: None}))


# --- 10.7 and 10.8: entries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapping", ["events", "notifications"])
class TestRules107And108:
    def test_10_7_1_an_entry_above_ones_own_level_is_not_touched(self, version: str, mapping: str) -> None:
        room = room_of(version, **{mapping: {"x": 61}})
        rest = BASE["events"] if mapping == "events" else {}
        for new in ({"x": 5, **rest}, rest):
            event = changed(room, **{mapping: new})
            if mapping == "events" or version in since("6"):
                room.rejects(event, "10.7.1")
            else:
                room.allows(event)

    def test_10_7_1_nor_taken_away_with_the_whole_mapping(self, version: str, mapping: str) -> None:
        room = room_of(version, **{mapping: {"x": 61}})
        event = changed(room, **{mapping: None})
        if mapping == "events" or version in since("6"):
            room.rejects(event, "10.7.1")
        else:
            room.allows(event)

    def test_10_8_1_nor_set(self, version: str, mapping: str) -> None:
        room = room_of(version, **{mapping: {"x": 5}})
        rest = BASE["events"] if mapping == "events" else {}
        for new in ({"x": 61}, {"x": 5, "new": 61}):
            event = changed(room, **{mapping: {**rest, **new}})
            if mapping == "events" or version in since("6"):
                room.rejects(event, "10.8.1")
            else:
                room.allows(event)

    def test_entries_up_to_ones_own_level_are_free(self, version: str, mapping: str) -> None:
        room = room_of(version, **{mapping: {"x": 60, "y": 61}})
        rest = BASE["events"] if mapping == "events" else {}
        room.allows(changed(room, **{mapping: {**rest, "x": 5, "y": 61, "z": 60}}))


# --- 10.9 and 10.10: users ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [60, 61])
def test_10_9_1_equals_and_betters_are_not_touched(version: str, level: int) -> None:
    room = room_of(version, {CHARLIE: level})
    room.rejects(changed(room, users={CHARLIE: 5}), "10.9.1")
    room.rejects(changed(room, users={CHARLIE: "gone"}), "10.9.1")


def test_10_9_everybody_may_lower_himself(version: str) -> None:
    room = room_of(version)
    room.allows(changed(room, users={BOB: 5}))
    room.allows(changed(room, users={BOB: "gone"}))
    room.rejects(changed(room, users={BOB: 61}), "10.10.1")


def test_10_10_1_nobody_gives_more_than_he_has(version: str) -> None:
    room = room_of(version, {CHARLIE: 5})
    for user in (CHARLIE, MALLORY):
        room.rejects(changed(room, users={user: 61}), "10.10.1")
        room.allows(changed(room, users={user: 60}))


def test_10_otherwise_allow(version: str) -> None:
    room = room_of(version, {CHARLIE: 59})
    room.allows(changed(room, users={CHARLIE: "gone"}, ban=10, kick=None))
    room.allows(changed(room))


@pytest.mark.parametrize("version", since("12"))
def test_10_a_creator_of_v12_changes_everything(version: str) -> None:
    room = room_of(version, {CHARLIE: 2**53 - 1}, ban=2**53 - 1, events={"x": 2**53 - 1})
    room.allows(changed(room, ALICE, users={CHARLIE: 0}, ban=0, events={}))


@pytest.mark.parametrize("version", until("9"))
def test_10_until_v9_the_same_level_in_another_form_is_no_change(version: str) -> None:
    room = room_of(version, {CHARLIE: 100}, ban="100", events={"x": " 100 "})
    room.allows(changed(room, users={CHARLIE: "100"}, ban=100, events={**BASE["events"], "x": "+0100"}))


@pytest.mark.parametrize("version", until("9"))
def test_10_until_v9_a_level_nobody_can_read_cannot_be_compared(version: str) -> None:
    room = room_of(version, ban="banana")
    room.rejects(changed(room, ban=5), "10.6")
    room.rejects(changed(room, kick="banana"), "10.6")
    room.allows(changed(room, ban="banana"))


# --- Reading levels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "level", "versions"),
    [
        (5, 5, ALL_VERSIONS),
        (-5, -5, ALL_VERSIONS),
        ("100", 100, until("9")),
        ("000100", 100, until("9")),
        ("+100", 100, until("9")),
        ("-100", -100, until("9")),
        (" 100 ", 100, until("9")),
        (" 00100 ", 100, until("9")),
        (" +100 ", 100, until("9")),
        (" -100 ", -100, until("9")),
        ("1 0", None, ()),
        ("1_0", None, ()),
        ("5.0", None, ()),
        ("", None, ()),
        ("0x10", None, ()),
        ("٣", None, ()),
        ("9" * 5000, None, ()),
        (51146.98, 51146, until("5")),
        (5.1146e1, 51, until("5")),
        (-1.9, -1, until("5")),
        (math.inf, None, ()),
        (math.nan, None, ()),
        (True, None, ()),
        (None, None, ()),
        ([], None, ()),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_level_is_an_integer_or_what_old_versions_took_for_one(
    version: str, value: object, level: int | None, versions: tuple[str, ...]
) -> None:
    assert read_level(value, ROOM_VERSIONS[version]) == (level if version in versions else None)


def test_what_the_defaults_are() -> None:
    levels = parse_power_levels({}, ROOM_VERSIONS["11"])
    assert levels.of_user(BOB) == 0
    assert (levels.to_send("m.x", is_state=False), levels.to_send("m.x", is_state=True)) == (0, 50)
    assert (levels.ban, levels.kick, levels.redact, levels.invite, levels.to_notify()) == (50, 50, 50, 0, 50)


def test_without_power_levels_the_creator_has_100_and_since_v12_infinitely_much(version: str) -> None:
    room = RoomBuilder(version)
    create = room.fetch("m.room.create", "")
    assert create is not None
    levels = power_levels_in_room(create, None, ROOM_VERSIONS[version])
    assert levels.of_user(ALICE) == (math.inf if version in since("12") else 100)
    assert levels.of_user(BOB) == 0


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["5", " -7 "]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([ALICE, BOB, "x"]), inner, max_size=3),
    max_leaves=4,
)
CONTENTS = st.dictionaries(st.sampled_from([*SINGLE_LEVELS, "users", "events", "notifications"]), ANYTHING)


@given(st.sampled_from(ALL_VERSIONS), CONTENTS, CONTENTS)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_mallory_sends_any_power_levels_and_is_allowed_or_rejected(
    version: str, current: dict[str, Any], new: dict[str, Any]
) -> None:
    room = RoomBuilder(version).join(BOB).set(ALICE, "m.room.power_levels", current)
    levels = parse_power_levels(current, ROOM_VERSIONS[version])
    assert isinstance(levels, PowerLevels)
    for sender in (ALICE, BOB):
        rule = rule_against(room, room.draft(sender, "m.room.power_levels", new, ""))
        assert rule is None or rule == "8" or rule.startswith("10")


def rule_against(room: RoomBuilder, event: Event) -> str | None:
    """The rule that rejects the event, None where it is allowed."""
    try:
        room.allows(event)
    except AuthRejection as rejection:
        return rejection.rule
    return None
