"""Relations that cannot be: a second equal reaction, a thread inside a thread, a relation into another room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import DuplicateAnnotation, Unknown
from homeserver.protocol.relations import ANNOTATION, THREAD, Relation, relation_of
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.refusals import not_in_room
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.relation_checks import RelationChecks

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class CheckRelation:
    """One statement for events that relate to something, none for others."""

    queries: Queries
    cache: RoomCache
    checks: RelationChecks

    async def __call__(self, room_id: str, draft: EventDraft) -> None:
        """Raises DuplicateAnnotation, Unknown, NotFound (the room)."""
        relation = relation_of(draft.content)
        if relation is None:
            return
        room = await self.cache.get(room_id)
        if draft.sender not in room.joined:
            raise not_in_room(room_id)
        await self._check(room, draft, relation)

    async def _check(self, room: LiveRoom, draft: EventDraft, relation: Relation) -> None:
        parent_id, rel_type, key = relation
        found = await self.checks.find(
            self.queries, parent_id, sender=draft.sender, event_type=draft.type, aggregation_key=key
        )
        if found is None:
            # A parent that this server has not seen yet: other servers may know it.
            return
        if found.room_nid != room.room_nid:
            raise Unknown("An event cannot relate to an event of another room")
        if rel_type == ANNOTATION and found.is_annotated:
            raise DuplicateAnnotation("You have reacted with this already")
        # "Servers should reject client requests which attempt to start a thread off an event with a rel_type" (Threading)
        if rel_type == THREAD and found.rel_type is not None:
            raise Unknown("A thread cannot begin at an event that has a relation itself")
