"""Which application services an event concerns. Application service API, "Registration".

An event concerns those whose user is joined to the room, sends it, or is its target; and all events of a room those in
whose namespaces the room's id or one of its aliases is. The verdict over a room is remembered: for events of rooms that
concern nobody this costs two look-ups in dictionaries.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from homeserver.services.announcer import Resolved
    from homeserver.services.appservices.appservice import Appservice
    from homeserver.services.appservices.registry import Appservices
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.appservices import AppserviceRows
    from homeserver.storage.database import Queries

REMEMBERED_ROOMS: Final = 50_000
ROOMS_AT_ONCE: Final = 500

Concerned: TypeAlias = "frozenset[Appservice]"


@dataclass(slots=True)
class Interests:
    """`known` is synchronous; where it does not know, `of_rooms` asks the database and remembers."""

    appservices: Appservices
    cache: RoomCache
    queries: Queries
    rows: AppserviceRows
    server_name: str
    _rooms: OrderedDict[str, Concerned] = field(default_factory=OrderedDict)
    _changes: int = 0

    def known(self, event: TimelineEvent) -> Concerned | None:
        """Whom the event concerns; None where the room has to be looked at first."""
        room = self.known_of_room(event.room_id)
        return None if room is None else self.of_event(event, room)

    def of_event(self, event: TimelineEvent, room: Concerned) -> Concerned:
        """The same; `room`: those that all events of the room concern."""
        by_sender = self.appservices.of_user(event.sender)
        is_member_event = event.type == "m.room.member" and event.state_key is not None
        by_target = self.appservices.of_user(event.state_key or "") if is_member_event else ()
        if by_target:
            self._follow(event, by_target)
        return room.union(by_sender, by_target) if by_sender or by_target else room

    def _follow(self, event: TimelineEvent, targets: Collection[Appservice]) -> None:
        """Whether the room still concerns them is looked at again, once this event has been told; one more who comes in
        beside others of theirs changes nothing.
        """
        known = self._rooms.get(event.room_id)
        if known is not None and event.membership == "join" and known.issuperset(targets):
            self._changes += 1
        else:
            self.forget(event.room_id)

    def known_of_room(self, room_id: str) -> Concerned | None:
        """Those that all events of the room concern; None where that has to be asked for."""
        found = self._rooms.get(room_id)
        if found is None and not self._has_alias_namespaces:
            room = self.cache.peek(room_id)
            if room is not None:
                found = self._judge(room_id, room.joined_local, ())
                self._remember(room_id, found)
        return found

    async def of_room(self, room_id: str) -> Concerned:
        """The same for any room; nobody where this server does not know it."""
        return (await self.of_rooms([room_id]))[room_id]

    async def of_rooms(self, room_ids: Iterable[str]) -> dict[str, Concerned]:
        """The same for many rooms, by room id; at most two statements for each ROOMS_AT_ONCE that are not known."""
        found: dict[str, Concerned] = {}
        unknown: list[str] = []
        for room_id in dict.fromkeys(room_ids):
            known = self.known_of_room(room_id)
            if known is None:
                unknown.append(room_id)
            else:
                found[room_id] = known
        for start in range(0, len(unknown), ROOMS_AT_ONCE):
            found |= await self._ask(unknown[start : start + ROOMS_AT_ONCE])
        return found

    async def _ask(self, room_ids: Sequence[str]) -> dict[str, Concerned]:
        changes = self._changes
        members: dict[str, list[str]] = {room_id: [] for room_id in room_ids}
        for room_id, user_id in await self.rows.local_members(self.queries, room_ids, f":{self.server_name}"):
            members[room_id].append(user_id)
        aliases: dict[str, list[str]] = {room_id: [] for room_id in room_ids}
        if self._has_alias_namespaces:
            for room_id, alias in await self.rows.aliases(self.queries, room_ids):
                aliases[room_id].append(alias)
        found = {room_id: self._judge(room_id, members[room_id], aliases[room_id]) for room_id in room_ids}
        if changes == self._changes:
            # Otherwise something may have changed while the database was asked: it is asked again next time.
            for room_id, concerned in found.items():
                self._remember(room_id, concerned)
        return found

    @property
    def _has_alias_namespaces(self) -> bool:
        return any(each.aliases for each in self.appservices.all)

    def _judge(self, room_id: str, members: Iterable[str], aliases: Iterable[str]) -> Concerned:
        concerned = {each for user_id in members for each in self.appservices.of_user(user_id)}
        concerned.update(each for each in self.appservices.all if each.covers_room(room_id))
        concerned.update(each for alias in aliases for each in self.appservices.of_alias(alias))
        return frozenset(concerned)

    def _remember(self, room_id: str, concerned: Concerned) -> None:
        self._rooms[room_id] = concerned
        if len(self._rooms) > REMEMBERED_ROOMS:
            self._rooms.popitem(last=False)

    def forget(self, room_id: str) -> None:
        """Members or aliases of the room have changed. Called after the commit."""
        self._changes += 1
        self._rooms.pop(room_id, None)

    def apply_resolved(self, resolved: Resolved) -> None:
        """State came into force, or went, without events of the timeline. Subscribed to the announcer."""
        self.forget(resolved.room_id)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"rooms": len(self._rooms)}
