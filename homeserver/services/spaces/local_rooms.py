"""Rooms that this server is in, as the hierarchy shows them: three statements, however many."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.services.directory.facts import RoomFacts, room_facts
from homeserver.services.spaces.children import child_of, in_order
from homeserver.services.spaces.space_room import SHOWN_TYPES, SpaceRoom, allowed_rooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries
    from homeserver.storage.space_trees import RoomMembers, SpaceTrees

MAX_ROOMS: Final = 3_000
"""That one question looks at."""
_NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True)
class _State:
    """Of one room."""

    contents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    children: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LocalRooms:
    """Rooms that this server has left are not among them: what it knows of those is old."""

    queries: Queries
    trees: SpaceTrees
    server_name: str

    async def below(self, space_id: str, depth: int) -> dict[str, SpaceRoom]:
        """The space and what is below it, as far as this server is in it."""
        room_ids = await self.trees.below(self.queries, space_id, depth, MAX_ROOMS)
        return await self.among(room_ids)

    async def among(self, room_ids: Iterable[str], asker: str = "") -> dict[str, SpaceRoom]:
        """Those of the rooms that this server is in."""
        rooms, _ = await self.for_server(room_ids, asker)
        return rooms

    async def for_server(self, room_ids: Iterable[str], asker: str) -> tuple[dict[str, SpaceRoom], set[str]]:
        """The same, and in which of them somebody of the asking server has joined or is invited."""
        wanted = list(dict.fromkeys(room_ids))[:MAX_ROOMS]
        if not wanted:
            return {}, set()
        members = await self.trees.members(self.queries, wanted, self.server_name, asker)
        ours = [each for each in members if each.has_us]
        states = await self._states([each.room_id for each in ours])
        rooms = {each.room_id: _room(each, states.get(each.room_id) or _State()) for each in ours}
        return rooms, {each.room_id for each in ours if each.has_asker}

    async def with_server(self, room_ids: Collection[str], server_name: str) -> set[str]:
        """Those of the rooms in which somebody of that server is."""
        if not room_ids:
            return set()
        return await self.trees.with_server(self.queries, list(room_ids)[:MAX_ROOMS], server_name)

    async def _states(self, room_ids: list[str]) -> dict[str, _State]:
        states: dict[str, _State] = {}
        rows = await self.trees.state(self.queries, room_ids, SHOWN_TYPES) if room_ids else []
        for room_id, event_type, state_key, body in rows:
            state, event = states.setdefault(room_id, _State()), orjson.loads(body)
            if event_type == "m.space.child":
                state.children.append({**event, "state_key": state_key})
            else:
                content = event.get("content")
                state.contents[event_type] = content if isinstance(content, dict) else _NOTHING
        return states


def _room(members: RoomMembers, state: _State) -> SpaceRoom:
    def content_of(event_type: str) -> Mapping[str, Any]:
        return state.contents.get(event_type, _NOTHING)

    facts: RoomFacts = room_facts(members.room_id, 0, members.joined, content_of)
    children = [child for event in state.children if (child := child_of(event)) is not None]
    algorithm = content_of("m.room.encryption").get("algorithm")
    return SpaceRoom(
        facts,
        members.version,
        algorithm if isinstance(algorithm, str) else None,
        allowed_rooms(content_of("m.room.join_rules")),
        in_order(children) if facts.room_type == "m.space" else (),
    )
