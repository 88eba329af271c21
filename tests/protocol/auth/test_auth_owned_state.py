"""MSC3757: state under a user's id and something more is that user's, and that of those who have more power."""

from __future__ import annotations

import pytest

from homeserver.protocol.auth.general import owner_of_state
from homeserver.protocol.errors import EventTooLarge
from homeserver.protocol.event_format import check_field_bytes
from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.protocol.factory import ALICE, BOB, CHARLIE, MALLORY, RoomBuilder

OWNED = "org.matrix.msc3757.11"
TYPE = "org.matrix.msc3401.call.member"


@pytest.fixture
def room() -> RoomBuilder:
    """Alice has 100, Bob 50, Charlie and Mallory nothing; anybody may set state of this type."""
    room = RoomBuilder(OWNED).join_rule("public").join(BOB, CHARLIE, MALLORY)
    return room.power_levels({ALICE: 100, BOB: 50}, events={TYPE: 0}, users_default=0)


@pytest.mark.parametrize("suffix", ["", "_", "_DEVICE", "_DEVICE_m.call", "_:@_", "_" + "ü" * 127 + "x"])
def test_a_user_owns_state_under_his_id(room: RoomBuilder, suffix: str) -> None:
    room.allows(room.draft(CHARLIE, TYPE, state_key=CHARLIE + suffix))
    room.rejects(room.draft(MALLORY, TYPE, state_key=CHARLIE + suffix), "9")


def test_who_has_more_power_may_change_it_and_an_equal_may_not(room: RoomBuilder) -> None:
    for key in (CHARLIE, f"{CHARLIE}_DEVICE"):
        room.allows(room.draft(BOB, TYPE, state_key=key))
    for key in (ALICE, f"{ALICE}_DEVICE"):
        room.rejects(room.draft(BOB, TYPE, state_key=key), "9")
    room.rejects(room.draft(CHARLIE, TYPE, state_key=f"{MALLORY}_DEVICE"), "9")


@pytest.mark.parametrize(
    "key",
    [f"{CHARLIE}.evil.example_x", f"{CHARLIE}x", f"{CHARLIE}:1:2", "@", "@_", "@:", "@x", "@x:_y", "@x:ex ample_"],
)
def test_what_only_looks_like_an_id_is_nobodys(room: RoomBuilder, key: str) -> None:
    room.rejects(room.draft(CHARLIE, TYPE, state_key=key), "9")


def test_keys_without_an_id_are_as_they_were(room: RoomBuilder) -> None:
    for key in ("", f"_{CHARLIE}_DEVICE", "x" * 255):
        room.allows(room.draft(MALLORY, TYPE, state_key=key))
    room.rejects(room.draft(MALLORY, TYPE, state_key="x" * 256), "9")
    room.rejects(room.draft(CHARLIE, TYPE, state_key=f"{CHARLIE}_{'x' * 256}"), "9")


def test_the_power_for_the_type_is_needed_all_the_same(room: RoomBuilder) -> None:
    room.power_levels({ALICE: 100, BOB: 50}, events={TYPE: 50})
    room.rejects(room.draft(CHARLIE, TYPE, state_key=f"{CHARLIE}_DEVICE"), "8")


def test_other_versions_know_no_such_state() -> None:
    room = RoomBuilder("11").join_rule("public").join(BOB).power_levels({ALICE: 100}, events={TYPE: 0})
    room.rejects(room.draft(BOB, TYPE, state_key=f"{BOB}_DEVICE"), "9")
    room.rejects(room.draft(ALICE, TYPE, state_key=BOB), "9")


def test_state_keys_may_be_longer() -> None:
    check_field_bytes({"state_key": "x" * 511}, ROOM_VERSIONS[OWNED])
    for field, length in {"state_key": 512, "type": 256, "sender": 256}.items():
        with pytest.raises(EventTooLarge):
            check_field_bytes({field: "x" * length}, ROOM_VERSIONS[OWNED])
    with pytest.raises(EventTooLarge):
        check_field_bytes({"state_key": "x" * 256}, ROOM_VERSIONS["11"])


def test_underscores_before_the_colon_are_part_of_the_id() -> None:
    assert owner_of_state("@a_b:example.org_c_d") == "@a_b:example.org"
    assert owner_of_state("@a_b") == "@a_b"
