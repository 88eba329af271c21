"""What the compiler sees of a room, and what it wants there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from homeserver.protocol.auth.power_levels import Level, parse_power_levels
from homeserver.protocol.events import StateKey
from homeserver.protocol.roles.levels import OWNER
from homeserver.protocol.room_versions import RoomVersion

POWER_LEVELS: Final = "m.room.power_levels"
JOIN_RULES: Final = "m.room.join_rules"
HISTORY: Final = "m.room.history_visibility"
TAGS: Final = "in.cinny.room.power_level_tags"
"""Names and colours of levels, in one event: what Cinny and its kin read. MSC3949 has one `m.room.power_level_tag` for each
level; it is not accepted, has no unstable name, and no client shows it.
"""
MEMBER: Final = "m.room.member"
BY_ROLES: Final = "org.voicechat.by_roles"
"""In the content of bans that roles have made: only those are lifted by roles."""

Content = Mapping[str, Any]
_NOTHING: Content = {}


@dataclass(frozen=True, slots=True)
class RoomNow:
    """A room of the space as it is. `above`: the sub-spaces over it, the nearest first, without the space itself."""

    room_id: str
    version: RoomVersion
    state: Mapping[str, Content]
    """Contents of `POWER_LEVELS`, `JOIN_RULES`, `HISTORY` and `TAGS`; what is not there is missing."""
    members: Mapping[str, str]
    """Memberships other than "leave"."""
    creators: frozenset[str] = frozenset()
    """Since v12: those who outrank everybody."""
    bans_by_roles: frozenset[str] = frozenset()
    above: tuple[str, ...] = ()
    is_root: bool = False

    def content(self, event_type: str) -> Content:
        """Of one type; empty where there is none."""
        return self.state.get(event_type, _NOTHING)

    def level_of(self, user_id: str) -> Level:
        """What somebody has now."""
        return parse_power_levels(self.content(POWER_LEVELS), self.version, self.creators).of_user(user_id)

    def owners(self) -> frozenset[str]:
        """Those whom roles neither raise nor lower."""
        levels = parse_power_levels(self.content(POWER_LEVELS), self.version, self.creators)
        return self.creators.union(user_id for user_id, level in levels.users.items() if level >= OWNER)


@dataclass(frozen=True, slots=True)
class Change:
    """One state event that is to be: what stands there now, and what is to. No content counts as an empty one."""

    room_id: str
    event_type: str
    state_key: str
    before: Content
    after: Content

    @property
    def key(self) -> StateKey:
        """The place in the room's state."""
        return (self.event_type, self.state_key)

    def as_json(self) -> dict[str, Any]:
        """For people: where, and what is different (`from`, `to`; what is not there is null)."""
        where = {"room_id": self.room_id, "type": self.event_type, "state_key": self.state_key}
        return {**where, "diff": difference(self.before, self.after)}

    def exactly(self) -> list[Any]:
        """For its digest."""
        return [self.room_id, self.event_type, self.state_key, self.before, self.after]

    def undone(self) -> Change:
        """The way back."""
        return Change(self.room_id, self.event_type, self.state_key, self.after, self.before)


@dataclass(frozen=True, slots=True)
class Space:
    """All that a plan is made of. `people`: who has joined the space. `applied`: what roles wrote last, by room."""

    space_id: str
    rooms: tuple[RoomNow, ...]
    people: frozenset[str]
    applied: Mapping[str, Mapping[StateKey, Content]] = field(default_factory=dict)


def difference(before: Content, after: Content) -> dict[str, Any]:
    """Of two contents, the keys that differ, objects key by key."""
    found: dict[str, Any] = {}
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, Mapping) or isinstance(new, Mapping):
            found[key] = difference(_object(old), _object(new))
        else:
            found[key] = {"from": old, "to": new}
    return found


def _object(value: object) -> Content:
    return value if isinstance(value, Mapping) else _NOTHING
