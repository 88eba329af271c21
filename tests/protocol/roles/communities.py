"""Communities as hypothesis makes them up, and what a plan makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from homeserver.protocol.auth.power_levels import parse_power_levels
from homeserver.protocol.roles.permissions import ALL, OF_ROOMS, Permission, Permissions
from homeserver.protocol.roles.power_levels import EVENTS, SINGLE
from homeserver.protocol.roles.role_state import EVERYONE, Override, Role, RoleSet
from homeserver.protocol.roles.rooms import (
    BY_ROLES,
    HISTORY,
    JOIN_RULES,
    MEMBER,
    POWER_LEVELS,
    TAGS,
    Change,
    RoomNow,
    Space,
)
from homeserver.protocol.room_versions import ROOM_VERSIONS

SPACE = "!space:test"
ROOMS = ("!one:test", "!two:test")
ALICE = "@alice:test"
"""The owner."""
PEOPLE = tuple(f"@person{number}:test" for number in range(5))

BITS = st.integers(0, 2 ** len(ALL) - 1)
"""Sets as the bits of a number: to draw them one by one would take most of the time of these tests."""


def chosen(bits: int, things: Sequence[Any]) -> frozenset[Any]:
    return frozenset(thing for place, thing in enumerate(things) if bits >> place & 1)


permissions = BITS.map(lambda bits: chosen(bits, sorted(ALL)))
channel_permissions = BITS.map(lambda bits: chosen(bits, sorted(OF_ROOMS)))
overrides = st.builds(lambda allow, deny: Override(allow - deny, deny), channel_permissions, channel_permissions)


@st.composite
def role_sets(draw: st.DrawFn) -> RoleSet:
    """Up to five roles, words about two channels, and what five people hold."""
    ids = [f"role{number}" for number in range(draw(st.integers(0, 5)))]
    roles = tuple(Role(each, each.title(), draw(permissions)) for each in ids)
    everyone = Role(EVERYONE, "Member", draw(channel_permissions))
    said = {room: draw(st.dictionaries(st.sampled_from([*ids, EVERYONE]), overrides, max_size=3)) for room in ROOMS}
    bits = draw(st.tuples(*[st.integers(0, 2 ** len(ids) - 1)] * len(PEOPLE)))
    members = {person: held for person, each in zip(PEOPLE, bits, strict=True) if (held := chosen(each, ids))}
    return RoleSet(roles, everyone, said, members)


levels = st.integers(-20, 99)
memberships = st.sampled_from(["join", "invite", "knock", "ban", "leave"])


@st.composite
def rooms(draw: st.DrawFn, room_id: str) -> RoomNow:
    """A room in which anything may have been set by hand."""
    said = draw(st.dictionaries(st.sampled_from([*PEOPLE, *SINGLE, "m.room.topic", "com.example.thing"]), levels))
    state: dict[str, dict[str, Any]] = {
        POWER_LEVELS: {
            "users": {ALICE: 100} | {key: level for key, level in said.items() if key in PEOPLE},
            **{key: level for key, level in said.items() if key in SINGLE},
            "events": {key: level for key, level in said.items() if key.startswith(("m.", "com."))},
        },
        JOIN_RULES: {"join_rule": draw(st.sampled_from(["public", "invite", "knock"]))},
    }
    history = draw(st.sampled_from([None, "world_readable", "shared", "joined"]))
    if history is not None:
        state[HISTORY] = {"history_visibility": history}
        state[TAGS] = {"100": {"name": "Boss"}, "50": {"name": "Old"}}
    where = zip(PEOPLE, draw(st.tuples(*[memberships] * len(PEOPLE))), strict=True)
    members = {person: membership for person, membership in where if membership != "leave"}
    by_roles = {each for each, membership in members.items() if membership == "ban" and history is None}
    version = ROOM_VERSIONS[draw(st.sampled_from(["11", "12", "7"]))]
    creators = frozenset[str]()
    if version.creators_have_infinite_power:
        del state[POWER_LEVELS]["users"][ALICE]
        creators = frozenset({ALICE})
    members[ALICE] = "join"
    return RoomNow(room_id, version, state, members, creators, frozenset(by_roles), is_root=room_id == SPACE)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """The space and its two rooms; most people are in it."""
    people = chosen(draw(st.integers(0, 2 ** len(PEOPLE) - 1)), PEOPLE) | {ALICE}
    made = tuple(draw(rooms(room_id)) for room_id in (SPACE, *ROOMS))
    return Space(SPACE, made, people)


def after(space: Space, changes: Iterable[Change]) -> Space:
    """The space when all of it is done; invitations are accepted by nobody."""
    by_room = {room.room_id: room for room in space.rooms}
    applied = {room_id: dict(contents) for room_id, contents in space.applied.items()}
    for change in changes:
        by_room[change.room_id] = _after(by_room[change.room_id], change)
        applied.setdefault(change.room_id, {})[change.key] = change.after
    return replace(space, rooms=tuple(by_room.values()), applied=applied)


def _after(room: RoomNow, change: Change) -> RoomNow:
    if change.event_type != MEMBER:
        return replace(room, state={**room.state, change.event_type: change.after})
    members = {key: value for key, value in room.members.items() if key != change.state_key}
    membership = change.after["membership"]
    if membership != "leave":
        members[change.state_key] = membership
    bans = room.bans_by_roles - {change.state_key}
    if change.after.get(BY_ROLES):
        bans |= {change.state_key}
    return replace(room, members=members, bans_by_roles=bans)


def allowed(room: RoomNow, user_id: str) -> Permissions:
    """What the room's power levels let somebody do, read as clients and servers read them."""
    levels = parse_power_levels(room.content(POWER_LEVELS), room.version, room.creators)
    mine = levels.of_user(user_id)
    single = {
        Permission.SEND: levels.events_default,
        Permission.MANAGE_CHANNEL: levels.state_default,
        Permission.BAN: levels.ban,
        Permission.KICK: levels.kick,
        Permission.MANAGE_MESSAGES: levels.redact,
        Permission.INVITE: levels.invite,
        Permission.MENTION_EVERYONE: levels.to_notify(),
    }
    found = {permission for permission, level in single.items() if mine >= level}
    for event_type, needed in EVENTS.items():
        if mine >= levels.to_send(event_type, is_state=False):
            found |= {*needed}
    return frozenset(found)
