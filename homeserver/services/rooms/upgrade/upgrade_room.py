"""The upgrade: a successor with the same state, then the tombstone ("Room upgrades", server behaviour, 1 to 6)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.protocol.auth.permissions import may_send
from homeserver.protocol.auth.rejection import AuthRejection
from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import Forbidden, InvalidParam
from homeserver.protocol.identifiers import is_user_id
from homeserver.protocol.room_versions import room_version
from homeserver.services.directory.published import PublishedRooms
from homeserver.services.membership.content import ProfileLookup, check_joined
from homeserver.services.requester import Requester
from homeserver.services.rooms.appender import Appender, Plan
from homeserver.services.rooms.creation.founder import RoomFounder
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.upgrade.carried_levels import raised
from homeserver.services.rooms.upgrade.carried_state import Succession, successor_events
from homeserver.services.rooms.upgrade.carry_settings import CarrySettings
from homeserver.storage.aliases import Aliases
from homeserver.storage.room_directory import RoomDirectoryRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_ADDITIONAL_CREATORS = 100
CANONICAL_ALIAS = "m.room.canonical_alias"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UpgradeRoom:
    """One verb."""

    cache: RoomCache
    appender: Appender
    found: RoomFounder
    aliases: Aliases
    directory: RoomDirectoryRows
    published: PublishedRooms
    profiles: ProfileLookup
    carry_settings: CarrySettings

    async def __call__(
        self, requester: Requester, room_id: str, new_version: str, additional_creators: Sequence[str]
    ) -> str:
        """Upgrade; returns the id of the new room. Raises NotFound, Forbidden, UnsupportedRoomVersion, InvalidParam."""
        version = room_version(new_version)
        room = await self._room_to_upgrade(requester, room_id)
        creators = _checked_creators(additional_creators) if version.additional_creators else []
        profile = await self.profiles.member_profile(requester.user_id)
        succession = Succession(room, version, requester.user_id, profile, creators)
        new_room_id = await self._replace(succession)
        await self._after(succession)
        await self.carry_settings(requester.user_id, await self.cache.get(new_room_id))
        return new_room_id

    async def _room_to_upgrade(self, requester: Requester, room_id: str) -> LiveRoom:
        room = await self.cache.get(room_id)
        check_joined(room, requester.user_id)
        if not may_send(room.power_levels(), requester.user_id, "m.room.tombstone", is_state=True):
            raise Forbidden("You do not have the power to upgrade this room")
        return room

    async def _replace(self, succession: Succession) -> str:
        """The new room and the tombstone that names it. Where the id is a hash, the room comes first.

        Otherwise the tombstone does, because the new room names it; then the new room has been tried before.
        """
        room, version = succession.room, succession.version
        new_room_id = self.found.new_room_id(version)
        if new_room_id is None:
            new_room_id = await self._found_successor(succession, {"room_id": room.room_id}, None)
            await self._tombstone(succession, new_room_id)
            return new_room_id
        self.found.check(version, successor_events(succession, {"room_id": room.room_id, "event_id": "$" + "x" * 43}))
        tombstone_id = await self._tombstone(succession, new_room_id)
        predecessor = {"room_id": room.room_id, "event_id": tombstone_id}
        return await self._found_successor(succession, predecessor, new_room_id)

    async def _found_successor(self, succession: Succession, predecessor: dict[str, Any], room_id: str | None) -> str:
        old = succession.room

        async def move_names(q: Queries, room_id: str) -> None:
            await self.aliases.move(q, old.room_nid, room_id)
            await self.directory.move(q, old.room_nid, room_id)

        drafts = successor_events(succession, predecessor)
        new_room_id = await self.found(succession.version, drafts, move_names, room_id)
        self.published.moved(old.room_id, new_room_id)
        return new_room_id

    async def _tombstone(self, succession: Succession, new_room_id: str) -> str:
        content = {"body": "This room has been replaced", "replacement_room": new_room_id}
        draft = EventDraft("m.room.tombstone", succession.user_id, content, "")
        events = await self.appender.commit(succession.room.room_id, lambda room: Plan([draft]))
        return events[-1].event_id

    async def _after(self, succession: Succession) -> None:
        """In the old room nobody speaks any more, and its main alias is gone. Not to be allowed to is no failure."""
        room = await self.cache.get(succession.room.room_id)
        user_id = succession.user_id
        levels = room.fetch_auth_event("m.room.power_levels", "")
        if levels is not None:
            content = raised(levels.content, room.version, room.power_levels().of_user(user_id))
            if content is not None:
                await self._if_allowed(room.room_id, Plan([EventDraft("m.room.power_levels", user_id, content, "")]))
        if room.fetch_auth_event(CANONICAL_ALIAS, "") is not None:
            await self._if_allowed(room.room_id, Plan([EventDraft(CANONICAL_ALIAS, user_id, {}, "")]))

    async def _if_allowed(self, room_id: str, plan: Plan) -> None:
        try:
            await self.appender.commit(room_id, lambda room: plan)
        except AuthRejection as error:
            log.info("upgrade: %s stays as it is: %s", room_id, error)


def _checked_creators(user_ids: Sequence[str]) -> list[str]:
    if len(user_ids) > MAX_ADDITIONAL_CREATORS:
        raise InvalidParam(f"'additional_creators' has at most {MAX_ADDITIONAL_CREATORS} users")
    if not all(map(is_user_id, user_ids)):
        raise InvalidParam("'additional_creators' must be a list of user ids")
    return list(dict.fromkeys(user_ids))
