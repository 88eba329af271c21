"""GET and POST /publicRooms: a page of the directory."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from homeserver.protocol.errors import InvalidParam
from homeserver.services.directory.facts import RoomFacts
from homeserver.services.directory.networks import NetworkRooms
from homeserver.services.directory.published import PublishedRooms

DEFAULT_LIMIT = 100
MAX_LIMIT = 500
MAX_TERM_CHARACTERS = 1000
MAX_ROOM_TYPES = 100

# The direction, and the place of the room that the page begins behind (n) or before (p).
_TOKEN = re.compile(r"(?P<direction>[np])(?P<joined>[0-9]{1,10})\.(?P<room_nid>[0-9]{1,10})", re.ASCII)


@dataclass(frozen=True, slots=True)
class DirectoryQuery:
    """What somebody looks for. `room_types`: None for all; None inside it for rooms without a type."""

    limit: int = DEFAULT_LIMIT
    since: str | None = None
    term: str | None = None
    room_types: Sequence[str | None] | None = None
    instance_id: str | None = None
    """A third-party network in the place of the public directory."""
    all_networks: bool = False
    """All of them beside it."""


@dataclass(frozen=True, slots=True)
class DirectoryPage:
    """Rooms in order; tokens where there is more in that direction."""

    rooms: Sequence[RoomFacts]
    next_batch: str | None
    prev_batch: str | None
    total: int


@dataclass(frozen=True, slots=True)
class SearchDirectory:
    """One verb."""

    published: PublishedRooms
    networks: NetworkRooms

    async def __call__(self, query: DirectoryQuery) -> DirectoryPage:
        """A page of the listed rooms, those with many members first. Raises InvalidParam for a bad token."""
        direction, place = _parse_token(query.since)
        found = _matching(await self._rooms(query), query)
        limit = max(1, min(query.limit, MAX_LIMIT))
        if direction == "p":
            end = bisect_left(found, place, key=lambda each: each.place)
            start = max(0, end - limit)
        else:
            start = bisect_right(found, place, key=lambda each: each.place) if query.since is not None else 0
            end = min(len(found), start + limit)
        page = found[start:end]
        return DirectoryPage(
            rooms=page,
            next_batch=_token("n", page[-1]) if page and end < len(found) else None,
            prev_batch=_token("p", page[0]) if page and start > 0 else None,
            total=len(found),
        )

    async def _rooms(self, query: DirectoryQuery) -> Sequence[RoomFacts]:
        if query.all_networks:
            rooms = {each.room_id: each for each in (*await self.networks.all(), *await self.published.listed())}
            return sorted(rooms.values(), key=lambda each: each.place)
        if query.instance_id is not None:
            return await self.networks.of_instance(query.instance_id)
        return await self.published.listed()


def _matching(rooms: Sequence[RoomFacts], query: DirectoryQuery) -> Sequence[RoomFacts]:
    if query.term:
        if len(query.term) > MAX_TERM_CHARACTERS:
            raise InvalidParam(f"'generic_search_term' has at most {MAX_TERM_CHARACTERS} characters")
        term = query.term.casefold()
        rooms = [room for room in rooms if room.mentions(term)]
    if query.room_types is not None:
        if len(query.room_types) > MAX_ROOM_TYPES:
            raise InvalidParam(f"'room_types' has at most {MAX_ROOM_TYPES} entries")
        types = set(query.room_types)
        rooms = [room for room in rooms if room.room_type in types]
    return rooms


def _token(direction: str, room: RoomFacts) -> str:
    return f"{direction}{room.joined}.{room.room_nid}"


def _parse_token(token: str | None) -> tuple[str, tuple[int, int]]:
    if token is None:
        return "n", (0, 0)
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InvalidParam("'since' is not a token of this directory")
    return match["direction"], (-int(match["joined"]), int(match["room_nid"]))
