"""Who is told of a room: whoever is in it, or could come in, or look in. Client-server API, `GET /hierarchy`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.services.spaces.space_room import SpaceRoom
    from homeserver.storage.memberships import Membership

OPEN_RULES = frozenset({"public", "knock", "knock_restricted"})


def is_open(room: SpaceRoom) -> bool:
    """To everybody: "public", "knockable", or its history "`world_readable`"."""
    return room.facts.world_readable or room.join_rule in OPEN_RULES


def is_open_through(room: SpaceRoom, joined: Collection[str]) -> bool:
    """To those who have joined one of these rooms."""
    return room.join_rule == "restricted" and any(room_id in joined for room_id in room.allowed)


def may_user_see(room: SpaceRoom, memberships: Mapping[str, Membership], joined: Collection[str]) -> bool:
    """`memberships` and `joined` are the user's own."""
    own = memberships.get(room.facts.room_id)
    membership = own.membership if own is not None else "leave"
    if membership in ("join", "invite"):
        return True
    if membership == "ban":  # no join rule lets him in
        return room.facts.world_readable
    return is_open(room) or is_open_through(room, joined)
