"""Restricted joins: membership in another room opens this one (room versions 8 and later).

Spec: client-server API, "Restricted rooms"; auth rule 5.3.5.
"""

from __future__ import annotations

from typing import Any

from homeserver.protocol.auth.permissions import may_invite
from homeserver.protocol.errors import Forbidden, UnableToGrantJoin
from homeserver.services.awake import AwakeUsers
from homeserver.services.rooms.live_room import LiveRoom

MAX_ALLOW_CONDITIONS = 100


def join_rules_of(room: LiveRoom) -> dict[str, Any]:
    """The content of m.room.join_rules; `invite` where there is none (spec default)."""
    event = room.fetch_auth_event("m.room.join_rules", "")
    return event.content if event is not None else {"join_rule": "invite"}


def is_restricted(room: LiveRoom) -> bool:
    """Whether the room's join rule is one of the restricted ones, as its version knows them."""
    rule = join_rules_of(room).get("join_rule")
    if rule == "restricted":
        return room.version.restricted_joins
    return rule == "knock_restricted" and room.version.knock_restricted


def allowed_room_ids(room: LiveRoom) -> list[str]:
    """Rooms whose members may join."""
    allow = join_rules_of(room).get("allow")
    if not isinstance(allow, list):
        return []
    return [
        condition["room_id"]
        for condition in allow[:MAX_ALLOW_CONDITIONS]
        if isinstance(condition, dict)
        and condition.get("type") == "m.room_membership"
        and isinstance(condition.get("room_id"), str)
    ]


async def meets_condition(room: LiveRoom, user_id: str, awake: AwakeUsers) -> bool:
    """Whether the user has joined one of the allowed rooms."""
    joined = await awake.joined_room_ids(user_id)
    return any(room_id in joined for room_id in allowed_room_ids(room))


def may_vouch(room: LiveRoom) -> bool:
    """Whether a local member may let somebody in."""
    levels = room.power_levels()
    return any(may_invite(levels, user_id) for user_id in room.joined_local)


def vouching_servers(room: LiveRoom) -> list[str]:
    """Other servers that have a member who may let somebody in, the most powerful first."""
    levels = room.power_levels()
    able = [user_id for user_id in room.joined - room.joined_local if may_invite(levels, user_id)]
    able.sort(key=lambda user_id: (levels.of_user(user_id), user_id), reverse=True)
    return list(dict.fromkeys(user_id.partition(":")[2] for user_id in able))


def authorising_user(room: LiveRoom) -> str:
    """A local member who may invite: his server vouches for the join. Raises UnableToGrantJoin where there is none."""
    levels = room.power_levels()
    candidates = [user_id for user_id in room.joined_local if may_invite(levels, user_id)]
    if not candidates:
        raise UnableToGrantJoin("No member on this server has the power to let you in")
    # The most powerful one is the least likely to lose the right in a fork of the graph.
    return max(candidates, key=lambda user_id: (levels.of_user(user_id), user_id))


def refuse_restricted() -> None:
    """What those get who meet no condition."""
    raise Forbidden("You do not belong to any of the rooms or spaces that may join this room")
