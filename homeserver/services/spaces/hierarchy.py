"""GET /hierarchy: pages of a walk through a space."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import Forbidden, InvalidParam
from homeserver.services.spaces.access import may_user_see
from homeserver.services.spaces.walk import Walk

if TYPE_CHECKING:
    from homeserver.services.awake import AwakeUsers
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.services.spaces.local_rooms import LocalRooms
    from homeserver.services.spaces.remote import OtherServersSpaces
    from homeserver.services.spaces.space_room import SpaceRoom

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 100
MAX_DEPTH: Final = 10
"""Also the default."""
# How many rooms were shown, how deep, and whether suggested ones only. Nothing is kept for it, so it is good for ever.
_TOKEN: Final = re.compile(r"h([0-9]{1,4})_([0-9]{1,2})_([01])", re.ASCII)


@dataclass(frozen=True, slots=True)
class HierarchyQuery:
    """What is asked for; None where it was not said."""

    limit: int = DEFAULT_LIMIT
    max_depth: int | None = None
    suggested_only: bool | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class HierarchyPage:
    """Rooms in order; a token where there may be more."""

    rooms: Sequence[SpaceRoom]
    next_batch: str | None
    suggested_only: bool


@dataclass(frozen=True, slots=True)
class _Place:
    shown: int
    max_depth: int
    suggested_only: bool

    def after(self, count: int) -> str:
        return f"h{self.shown + count}_{self.max_depth}_{int(self.suggested_only)}"


@dataclass(frozen=True, slots=True)
class ReadHierarchy:
    """One verb."""

    local: LocalRooms
    elsewhere: OtherServersSpaces
    awake: AwakeUsers
    clock: Clock
    sees_everything: bool = False
    """For administrators."""

    async def __call__(self, requester: Requester, room_id: str, query: HierarchyQuery) -> HierarchyPage:
        """Raises Forbidden, also for a room that does not exist; InvalidParam for a token that does not fit."""
        place = _place_of(query)
        limit = max(1, min(query.limit, MAX_LIMIT))
        rooms: list[SpaceRoom] = []
        number = 0
        async for room in (await self._walk(requester.user_id, room_id, place)).rooms(room_id):
            number += 1
            if number > place.shown + limit:
                return HierarchyPage(rooms, place.after(limit), place.suggested_only)
            if number > place.shown:
                rooms.append(room)
        if number == 0:
            raise Forbidden("You are not allowed to view this room")
        return HierarchyPage(rooms, None, place.suggested_only)

    async def _walk(self, user_id: str, room_id: str, place: _Place) -> Walk:
        may_see = await self._eyes(user_id)
        known = await self.local.below(room_id, place.max_depth)
        return Walk(
            self.local, self.elsewhere, self.clock, known, may_see, place.max_depth, place.suggested_only
        )  # fmt: skip

    async def _eyes(self, user_id: str) -> Callable[[SpaceRoom], bool]:
        if self.sees_everything:
            return lambda room: True
        memberships = await self.awake.memberships(user_id)
        joined = await self.awake.joined_room_ids(user_id)
        return lambda room: may_user_see(room, memberships, joined)


def _place_of(query: HierarchyQuery) -> _Place:
    depth = MAX_DEPTH if query.max_depth is None else min(query.max_depth, MAX_DEPTH)
    if query.token is None:
        return _Place(0, depth, bool(query.suggested_only))
    match = _TOKEN.fullmatch(query.token)
    if match is None:
        raise InvalidParam("'from' is not a token of this space")
    place = _Place(int(match[1]), int(match[2]), match[3] == "1")
    same_depth = query.max_depth is None or depth == place.max_depth
    same_choice = query.suggested_only is None or query.suggested_only == place.suggested_only
    if place.max_depth > MAX_DEPTH or not same_depth or not same_choice:
        raise InvalidParam("'suggested_only' and 'max_depth' cannot change on the way")
    return place
