"""Which rooms the roles of a space rule, and how they are now.

A room is ruled where both sides say so: the space names it as a child, and an owner of the room names the space as its parent.
Otherwise whoever may add channels to a space could have its steward, who owns other rooms too, turn those inside out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import NotFound
from homeserver.protocol.roles.levels import OWNER
from homeserver.protocol.roles.role_state import ROLES
from homeserver.protocol.roles.rooms import BY_ROLES, HISTORY, JOIN_RULES, MEMBER, POWER_LEVELS, TAGS, RoomNow, Space

if TYPE_CHECKING:
    from homeserver.services.roles.space_roles import SpaceRoles
    from homeserver.services.rooms.live_room import LiveRoom
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.storage.database import Queries
    from homeserver.storage.roles import AppliedRow, RoleRows

MAX_ROOMS: Final = 500
MAX_DEPTH: Final = 5
"""Categories within categories."""


@dataclass(slots=True)
class Survey:
    """What was found. `unruled`: rooms that are left alone, and why."""

    space: Space
    unruled: dict[str, str] = field(default_factory=dict)
    applied: list[AppliedRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SurveySpace:
    """One verb: one statement, beside the loading of rooms that are not in memory."""

    queries: Queries
    rows: RoleRows
    cache: RoomCache

    async def __call__(self, space: SpaceRoles, steward: str, overwrite: Collection[str] = ()) -> Survey:
        """`overwrite`: rooms that are taken over from another space."""
        rooms, unruled = await self._walk(space.room, steward)
        applied = await self.rows.applied(self.queries, [room.room_id for room in rooms])
        elsewhere = {row.room_id for row in applied if row.space_id != space.room.room_id} - set(overwrite)
        unruled |= dict.fromkeys(elsewhere, "The roles of another space rule it")
        written: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {}
        for row in applied:
            written.setdefault(row.room_id, {})[row.event_type, row.state_key] = row.content
        ruled = tuple(room for room in rooms if room.room_id not in elsewhere)
        people = frozenset(space.room.joined)
        return Survey(Space(space.room.room_id, ruled, people, written), unruled, applied)

    async def _walk(self, root: LiveRoom, steward: str) -> tuple[list[RoomNow], dict[str, str]]:
        """Breadth first, each room once: circles of spaces end, and a channel belongs to the category nearest to the top."""
        rooms, unruled = [room_now(root, (), is_root=True)], dict[str, str]()
        waiting, seen = deque([(root, tuple[str, ...]())]), {root.room_id}
        while waiting:
            parent, above = waiting.popleft()
            for room_id in _children(parent):
                if room_id in seen:
                    continue
                seen.add(room_id)
                # Rooms in memory are had without waiting: others have their turn between them.
                await asyncio.sleep(0)
                room = await self._get(room_id)
                why = "This server is not in it" if room is None else _why_not(room, parent.room_id, steward)
                if why is None and len(rooms) >= MAX_ROOMS:
                    why = f"Roles rule {MAX_ROOMS} rooms at most"
                if room is None or why is not None:
                    unruled[room_id] = why or ""
                    continue
                rooms.append(room_now(room, above))
                if len(above) < MAX_DEPTH:
                    waiting.append((room, (room_id, *above)))
        return rooms, unruled

    async def _get(self, room_id: str) -> LiveRoom | None:
        try:
            return await self.cache.get(room_id)
        except NotFound:
            return None


def _children(room: LiveRoom) -> Iterator[str]:
    """ "If `via` is not present, or invalid, the child is ignored" (client-server API, `m.space.child`)."""
    if _room_type(room) != "m.space":
        return
    for room_id, event in room.state.of_type("m.space.child").items():
        if _has_via(event.content):
            yield room_id


def _why_not(room: LiveRoom, parent_id: str, steward: str) -> str | None:
    levels = room.power_levels()
    parent = room.state.get("m.space.parent", parent_id)
    if parent is None or not _has_via(parent.content) or levels.of_user(parent.sender) < OWNER:
        return "No owner of the room has named the space as its parent"
    if steward not in room.joined_local or levels.of_user(steward) < OWNER:
        return f"{steward}, in whose name roles work, is no owner of it"
    roles = room.state.get(ROLES)
    if roles is not None and roles.content:
        return "It has roles of its own"
    return None


def room_now(room: LiveRoom, above: tuple[str, ...], *, is_root: bool = False) -> RoomNow:
    """The room as the compiler sees it."""
    kinds = (POWER_LEVELS, JOIN_RULES, HISTORY, TAGS)
    state = {each: event.content for each in kinds if (event := room.state.get(each)) is not None}
    levels = room.power_levels()
    # Until v11 a room without power levels is its creator's.
    state.setdefault(POWER_LEVELS, {"users": dict(levels.users)})
    members = dict.fromkeys(room.joined, "join") | dict.fromkeys(room.invited, "invite")
    bans = set[str]()
    for user_id, event in room.state.of_type(MEMBER).items():
        # Reading a content takes time, and most are in the room.
        if user_id in members or event.membership not in ("ban", "knock"):
            continue
        members[user_id] = event.membership
        if event.membership == "ban" and event.content.get(BY_ROLES):
            bans.add(user_id)
    return RoomNow(
        room.room_id,
        room.version,
        state,
        members,
        levels.creators,
        frozenset(bans),
        above,
        is_root,
    )


def _room_type(room: LiveRoom) -> object:
    create = room.state.get("m.room.create")
    return None if create is None else create.content.get("type")


def _has_via(content: Mapping[str, Any]) -> bool:
    via = content.get("via")
    return isinstance(via, list) and bool(via)
