"""Aliases of this server: make, take away, list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from homeserver.protocol.auth.permissions import may_send
from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import AliasExists, Forbidden, InvalidParam, NotFound
from homeserver.protocol.identifiers import parse_room_alias, parse_room_id
from homeserver.services.clock import Clock
from homeserver.services.directory.names import new_alias
from homeserver.services.membership.content import membership_of
from homeserver.services.requester import Requester
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.refusals import not_in_room
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.storage.aliases import Aliases

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

CANONICAL_ALIAS = "m.room.canonical_alias"
MAX_ALIASES_OF_ROOM = 500
AliasesChanged = Callable[[str], None]


class Reservations(Protocol):
    """Names that belong to application services: services/appservices/registry.py."""

    def check_alias(self, requester: Requester, alias: str) -> None:
        """Raises Exclusive where this user may not make the alias."""
        ...

    def check_alias_removal(self, requester: Requester, alias: str) -> bool:
        """Whether he may take it away for it is in his namespace. Raises Exclusive where it is in another's."""
        ...


@dataclass(frozen=True, slots=True)
class RoomAliases:
    """Three verbs."""

    queries: Queries
    aliases: Aliases
    cache: RoomCache
    appender: Appender
    clock: Clock
    server_name: str
    require_membership: bool
    reservations: Reservations
    on_changed: list[AliasesChanged] = field(default_factory=list)
    """Called after the commit with the room id; synchronous, and quick."""

    async def create(self, requester: Requester, alias: str, room_id: str) -> None:
        """Point a new alias to a room. Raises InvalidParam, Forbidden, NotFound (the room), AliasExists, Exclusive."""
        localpart, server_name = parse_room_alias(alias)
        if server_name != self.server_name:
            raise InvalidParam(f"Only aliases that end in :{self.server_name} can be made here")
        new_alias(localpart, server_name)
        self.reservations.check_alias(requester, alias)
        parse_room_id(room_id)
        room = await self._room_to_name(requester, room_id)
        if len(await self.aliases.of_room(self.queries, room.room_nid)) >= MAX_ALIASES_OF_ROOM:
            raise InvalidParam(f"A room has at most {MAX_ALIASES_OF_ROOM} aliases")
        if not await self.aliases.add(self.queries, alias, room_id, requester.user_id, self.clock.now_ms()):
            raise AliasExists(f"The alias {alias} exists already")
        self._tell(room_id)

    def _tell(self, room_id: str) -> None:
        for listener in self.on_changed:
            listener(room_id)

    async def _room_to_name(self, requester: Requester, room_id: str) -> LiveRoom:
        # The namespace of an application service is its own; `create` has looked whether this is in it.
        if not self.require_membership or requester.is_admin or requester.appservice_id is not None:
            return await self.cache.get(room_id)
        try:
            room = await self.cache.get(room_id)
        except NotFound:
            raise not_in_room(room_id) from None
        if room.membership(requester.user_id) != "join":
            raise not_in_room(room_id)
        return room

    async def delete(self, requester: Requester, alias: str) -> None:
        """Take an alias away; the room's main alias event follows, if the requester may change it.

        Allowed to who made it, to who may choose the room's main alias, and to server administrators.
        Raises InvalidParam, NotFound, Forbidden.
        """
        parse_room_alias(alias)
        owns_name = self.reservations.check_alias_removal(requester, alias)
        found = await self.aliases.find(self.queries, alias)
        if found is None:
            raise NotFound(f"There is no room with the alias {alias}")
        room = await self.cache.get(found.room_id)
        may_change = _may_choose_alias(room, requester.user_id)
        if found.creator != requester.user_id and not (may_change or owns_name or requester.is_admin):
            raise Forbidden("Only who made an alias, or moderators of its room, may take it away")
        await self.aliases.delete(self.queries, alias)
        self._tell(found.room_id)
        if may_change:
            await self._leave_out(requester.user_id, room.room_id, alias)

    async def _leave_out(self, user_id: str, room_id: str, alias: str) -> None:
        def plan(room: LiveRoom) -> Plan:
            event = room.fetch_auth_event(CANONICAL_ALIAS, "")
            content = None if event is None else without_alias(event.content, alias)
            if content is None or not _may_choose_alias(room, user_id):
                return Plan([])
            return Plan([EventDraft(CANONICAL_ALIAS, user_id, content, "")])

        await self.appender.commit(room_id, plan)

    async def of_room(self, requester: Requester, room_id: str) -> list[str]:
        """Aliases of a room, for members and, in rooms anybody may read, for anybody. Raises Forbidden."""
        try:
            room = await self.cache.get(room_id)
        except NotFound:
            raise not_in_room(room_id) from None
        if room.membership(requester.user_id) != "join" and not requester.is_admin and not _anybody_reads(room):
            raise not_in_room(room_id)
        return await self.aliases.of_room(self.queries, room.room_nid)


def without_alias(content: dict[str, Any], alias: str) -> dict[str, Any] | None:
    """The content of m.room.canonical_alias without an alias; None where it does not have it."""
    changed = dict(content)
    if changed.get("alias") == alias:
        del changed["alias"]
    alternatives = changed.get("alt_aliases")
    if isinstance(alternatives, list) and alias in alternatives:
        changed["alt_aliases"] = [each for each in alternatives if each != alias]
    return None if changed == content else changed


def _may_choose_alias(room: LiveRoom, user_id: str) -> bool:
    return membership_of(room, user_id) == "join" and may_send(
        room.power_levels(), user_id, CANONICAL_ALIAS, is_state=True
    )


def _anybody_reads(room: LiveRoom) -> bool:
    event = room.state.get("m.room.history_visibility")
    return event is not None and event.content.get("history_visibility") == "world_readable"
