"""The power levels of one room, from its ladder. What roles do not rule stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from homeserver.protocol import voice_channel
from homeserver.protocol.auth.power_levels import read_level
from homeserver.protocol.roles.levels import OWNER, Ladder
from homeserver.protocol.roles.permissions import Permission
from homeserver.protocol.roles.role_state import ROLE_STATE
from homeserver.protocol.roles.rooms import POWER_LEVELS, Content, RoomNow

CALL_MEMBERSHIPS: Final = ("org.matrix.msc3401.call.member", "org.matrix.msc4143.rtc.member", "m.rtc.member")
"""How clients say that they are in a call: without it they do not hear either."""

OWNERS_EVENTS: Final = (
    "m.room.power_levels", "m.room.join_rules", "m.room.history_visibility", "m.room.guest_access", "m.room.server_acl",
    "m.room.encryption", "m.room.tombstone", *ROLE_STATE,
)  # fmt: skip
"""What decides over the room, or over roles, stays with the owners: roles are changed by our API, which knows who may."""

EVENTS: Final[Mapping[str, tuple[Permission, ...]]] = {
    "m.room.name": (Permission.MANAGE_CHANNEL,),
    "m.room.topic": (Permission.MANAGE_CHANNEL,),
    "m.room.avatar": (Permission.MANAGE_CHANNEL,),
    "m.room.canonical_alias": (Permission.MANAGE_CHANNEL,),
    "m.space.child": (Permission.MANAGE_CHANNEL,),
    voice_channel.VOICE_CHANNEL: (Permission.MANAGE_CHANNEL,),
    "m.room.pinned_events": (Permission.MANAGE_MESSAGES,),
    "m.sticker": (Permission.SEND, Permission.ATTACH),
    voice_channel.ATTACH: (Permission.SEND, Permission.ATTACH),
    **dict.fromkeys(CALL_MEMBERSHIPS, (Permission.LISTEN,)),
    voice_channel.SPEAK: (Permission.LISTEN, Permission.SPEAK),
    voice_channel.VIDEO: (Permission.LISTEN, Permission.SPEAK),
    voice_channel.SCREEN: (Permission.LISTEN, Permission.SHARE_SCREEN),
    voice_channel.PRIORITY: (Permission.LISTEN, Permission.SPEAK, Permission.PRIORITY_SPEAKER),
    voice_channel.MODERATE: (Permission.MUTE_OTHERS,),
    voice_channel.MOVE: (Permission.MOVE,),
}
"""What each event needs: all of these."""

SINGLE: Final[Mapping[str, Permission]] = {
    "events_default": Permission.SEND,
    "state_default": Permission.MANAGE_CHANNEL,
    "ban": Permission.BAN,
    "kick": Permission.KICK,
    "redact": Permission.MANAGE_MESSAGES,
    "invite": Permission.INVITE,
}


def compiled(room: RoomNow, ladder: Ladder, holders: Mapping[str, frozenset[str]]) -> dict[str, Any]:
    """The whole content. `holders`: the roles of those in the space who have any."""
    current = room.content(POWER_LEVELS)
    return {
        **current,
        **{key: ladder.needed[permission] for key, permission in SINGLE.items()},
        "users_default": 0,
        "users": _users(room, ladder, holders),
        "events": {**_mapping(current, "events"), **_owners_events(room), **_events(ladder)},
        "notifications": {**_mapping(current, "notifications"), "room": ladder.needed[Permission.MENTION_EVERYONE]},
    }


def ruled(content: Content) -> dict[str, Any]:
    """Of power levels, what roles rule: by this two contents are the same to them."""
    events, notifications = _mapping(content, "events"), _mapping(content, "notifications")
    keys = (*OWNERS_EVENTS, *EVENTS)
    return {
        **{key: content.get(key) for key in (*SINGLE, "users_default")},
        "users": {user_id: level for user_id, level in _mapping(content, "users").items() if level != 0},
        "events": {key: events.get(key) for key in keys},
        "room": notifications.get("room"),
    }


def rewritten(current: Content, after: Content) -> dict[str, Any]:
    """What stands there now, with all that roles rule as `after` has it: the rest may have changed since the plan."""
    content = _replaced(current, after, (*SINGLE, "users_default", "users"))
    for key, ruled_keys in (("events", (*OWNERS_EVENTS, *EVENTS)), ("notifications", ("room",))):
        content[key] = _replaced(_mapping(current, key), _mapping(after, key), ruled_keys)
    return content


def protects_roles(content: Content) -> bool:
    """Whether only owners can write the state that roles are."""
    events = _mapping(content, "events")
    return all(type(events.get(each)) is int and events[each] >= OWNER for each in ROLE_STATE)


def protecting(content: Content) -> dict[str, Any]:
    """The same levels, with the state of roles closed to all but owners."""
    return {**content, "events": {**_mapping(content, "events"), **dict.fromkeys(ROLE_STATE, OWNER)}}


def _replaced(current: Content, after: Content, keys: Iterable[str]) -> dict[str, Any]:
    keys = frozenset(keys)
    kept = {key: value for key, value in current.items() if key not in keys}
    return kept | {key: value for key, value in after.items() if key in keys}


def _users(room: RoomNow, ladder: Ladder, holders: Mapping[str, frozenset[str]]) -> dict[str, int]:
    current, owners = _mapping(room.content(POWER_LEVELS), "users"), room.owners()
    users = {user_id: level for user_id, level in current.items() if user_id in owners and user_id not in room.creators}
    levels = {held: ladder.of_holder(held) for held in set(holders.values())}
    for user_id in sorted(holders.keys() - owners):
        if (level := levels[holders[user_id]]) != 0:
            users[user_id] = level
    return users


def _owners_events(room: RoomNow) -> dict[str, int]:
    """Since v12 a tombstone needs more than state does; where a room asks for more, it goes on to."""
    current = _mapping(room.content(POWER_LEVELS), "events")
    return {key: max(OWNER, read_level(current.get(key), room.version) or 0) for key in OWNERS_EVENTS}


def _events(ladder: Ladder) -> dict[str, int]:
    return {key: max(ladder.needed[each] for each in permissions) for key, permissions in EVENTS.items()}


def _mapping(content: Content, key: str) -> Mapping[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}
