"""Power levels on their way into another room version."""

from __future__ import annotations

from typing import Any

from homeserver.protocol.room_versions import V1, V10, V11, V12
from homeserver.services.rooms.upgrade.carried_levels import carried_power_levels, raised

ALICE, BOB = "@alice:test", "@bob:test"


def carried(old: dict[str, Any], old_version: Any, new_version: Any, **creators: frozenset[str]) -> dict[str, Any]:
    known = {"old_creators": frozenset[str](), "new_creators": frozenset((ALICE,)), **creators}
    return carried_power_levels(old, old_version, new_version, **known)


def test_texts_become_integers_and_nonsense_is_left_out() -> None:
    old = {"ban": "60", "kick": " 7 ", "redact": "x", "invite": 5.9, "users": {ALICE: "100", BOB: None}, "note": [1]}
    assert carried(old, V1, V11) == {"ban": 60, "kick": 7, "invite": 5, "users": {ALICE: 100}, "note": [1]}


def test_levels_beyond_canonical_json_are_cut() -> None:
    assert carried({"users": {ALICE: 10**30}}, V1, V10)["users"] == {ALICE: 2**53 - 1}


def test_creators_are_no_users() -> None:
    new = carried({"users": {ALICE: 100, BOB: 100}}, V11, V12)
    assert new == {"users": {BOB: 100}, "events": {"m.room.tombstone": 150}}


def test_the_tombstone_is_above_the_state_default() -> None:
    events = {"m.room.tombstone": 50}
    assert carried({"state_default": 200, "events": events}, V11, V12)["events"]["m.room.tombstone"] == 201
    assert carried({"events": {"m.room.tombstone": 500}}, V11, V12)["events"]["m.room.tombstone"] == 500


def test_creators_lead_where_nobody_is_a_creator() -> None:
    new = carried({"users": {BOB: 120}}, V12, V11, old_creators=frozenset((ALICE, BOB)))
    assert new["users"] == {ALICE: 120, BOB: 120}


def test_the_old_room_falls_silent() -> None:
    assert raised({}, V11, 100) == {"events_default": 50, "invite": 50}
    assert raised({"users_default": 60}, V11, 100) == {"users_default": 60, "events_default": 61, "invite": 61}
    assert raised({"events_default": 70, "invite": 50}, V11, 100) is None
    assert raised({}, V11, 10) is None
