"""What an inviting server tells of a room: whole events, stripped ones, and what Mallory makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.federation.doors.invite_state import MAX_BYTES, read_invite_state
from homeserver.federation.pdu_checks import PduChecks
from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.events import Event
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.federation.peers import signing_key
from tests.federation.test_pdu_checks import KnownKeys

ALICE = "@alice:alpha.example"
# Up to version 4 a key counts for ever: KnownKeys know theirs for early events only.
OLD, NEW = "4", "12"


def lair(version: str, name: str = "lair") -> tuple[ForeignRoom, Event]:
    room = ForeignRoom.create(version, now_ms=0, name=name, called=name)
    room.set(MALLORY, "m.room.name", {"name": "lair"})
    return room, room.member(ALICE, "invite", sender=MALLORY)


def whole(room: ForeignRoom) -> list[dict[str, Any]]:
    return [room.events[room.state[key, ""]].pdu for key in ("m.room.create", "m.room.name")]


def stripped(room: ForeignRoom) -> list[dict[str, Any]]:
    return [{key: pdu[key] for key in ("type", "state_key", "sender", "content")} for pdu in whole(room)]


async def read(shown: list[Any], invite: Event) -> list[dict[str, Any]]:
    return await read_invite_state(PduChecks(KnownKeys({"peer.example": signing_key(2)})), shown, invite)


def types(events: list[dict[str, Any]]) -> list[str]:
    return [each["type"] for each in events]


@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize("form", [whole, stripped])
async def test_both_forms_become_stripped_events(version: str, form: Any) -> None:
    room, invite = lair(version)
    shown = await read([*form(room), invite.pdu], invite)
    assert types(shown) == ["m.room.create", "m.room.name", "m.room.member"]
    assert all(set(each) == {"type", "state_key", "sender", "content"} for each in shown)
    assert shown[-1]["state_key"] == ALICE


async def test_the_invitation_is_always_that_which_is_signed() -> None:
    room, invite = lair(OLD)
    told = {"type": "m.room.member", "state_key": ALICE, "sender": "@boss:alpha.example", "content": {"x": 1}}
    shown = await read([*whole(room), told], invite)
    assert [each["sender"] for each in shown if each["type"] == "m.room.member"] == [MALLORY]


async def test_old_rooms_may_tell_nothing_and_new_ones_must_tell_what_they_are() -> None:
    room, invite = lair(OLD)
    assert types(await read([], invite)) == ["m.room.member"]
    room, invite = lair(NEW)
    for shown in ([], whole(room)[1:]):
        with pytest.raises(InvalidParam):
            await read(shown, invite)


@pytest.mark.parametrize("version", [OLD, NEW])
async def test_events_of_other_rooms_and_forged_ones_are_not_shown(version: str) -> None:
    room, invite = lair(version)
    other, _ = lair(version, "den")
    other.set(MALLORY, "m.room.name", {"name": "Bank of Alice"})
    name = whole(room)[1]
    for lie in (whole(other)[1], {**name, "signatures": {}}, {**name, "depth": "x"}, {**name, "hashes": None}):
        shown = [whole(room)[0], lie]
        if version == NEW:
            with pytest.raises(InvalidParam):
                await read(shown, invite)
        else:
            assert types(await read(shown, invite)) == ["m.room.create", "m.room.member"]


@pytest.mark.parametrize("junk", [None, 7, "x", [], {}, {"type": "m.room.name"}, {"content": 1, "sender": []}])
async def test_what_is_no_event_is_left_out(junk: Any) -> None:
    room, invite = lair(OLD)
    assert types(await read([junk, *whole(room)], invite)) == ["m.room.create", "m.room.name", "m.room.member"]
    room, invite = lair(NEW)
    with pytest.raises(InvalidParam):
        await read([junk, *whole(room)], invite)


async def test_a_huge_state_is_refused() -> None:
    room, invite = lair(OLD)
    with pytest.raises(InvalidParam):
        await read([*stripped(room)] * 60, invite)
    name = {"type": "m.room.name", "state_key": "", "sender": MALLORY, "content": {"name": "x" * (MAX_BYTES // 2)}}
    with pytest.raises(InvalidParam):
        await read([name] * 2, invite)
