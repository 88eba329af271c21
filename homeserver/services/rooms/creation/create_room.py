"""POST /createRoom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.errors import Forbidden, RoomInUse
from homeserver.protocol.room_versions import room_version
from homeserver.services.clock import Clock
from homeserver.services.directory.aliases import Reservations
from homeserver.services.directory.published import PublishedRooms
from homeserver.services.membership.profiles import MemberProfiles
from homeserver.services.requester import Requester
from homeserver.services.rooms.appender import AlsoOfRoom
from homeserver.services.rooms.creation.first_events import first_events
from homeserver.services.rooms.creation.first_guests import InviteToNewRoom
from homeserver.services.rooms.creation.founder import RoomFounder
from homeserver.services.rooms.creation.wishes import RoomWishes, check_wishes
from homeserver.services.rooms.event_checks.server_acl import SERVER_ACL, check_own_acl
from homeserver.storage.aliases import Aliases
from homeserver.storage.room_directory import RoomDirectoryRows

if TYPE_CHECKING:
    from homeserver.storage.database import Database, Queries


@dataclass(frozen=True, slots=True)
class CreateRoom:
    """One verb."""

    database: Database
    found: RoomFounder
    aliases: Aliases
    directory: RoomDirectoryRows
    published: PublishedRooms
    profiles: MemberProfiles
    invite: InviteToNewRoom
    clock: Clock
    default_version: str
    allow_publish: bool
    reservations: Reservations

    async def __call__(self, requester: Requester, wishes: RoomWishes) -> str:
        """Make the room with all its first events, alias and directory entry at once; returns its id.

        Raises UnsupportedRoomVersion, InvalidRoomState, RoomInUse, InvalidParam, BadJson, Forbidden, TooLarge,
        Exclusive.
        """
        version = room_version(self.default_version if wishes.room_version is None else wishes.room_version)
        check_wishes(wishes)
        self._check_acl(wishes)
        if wishes.is_public and not self.allow_publish and not requester.is_admin:
            raise Forbidden("This server does not let users list rooms in the directory")
        elsewhere = await self.invite.elsewhere(requester, wishes)
        if wishes.alias is not None:
            self.reservations.check_alias(requester, wishes.alias)
        await self._check_alias_is_free(wishes.alias)
        creator = requester.user_id
        profiles = await self.profiles.member_profiles([creator, *wishes.invite])
        drafts = first_events(wishes, version, creator, profiles, invited_later=elsewhere)
        room_id = await self.found(version, drafts, self._entries(wishes, creator))
        if wishes.is_public:
            self.published.add(room_id)
        await self.invite(room_id, creator, elsewhere, wishes.is_direct)
        return room_id

    def _check_acl(self, wishes: RoomWishes) -> None:
        for state in wishes.initial_state:
            if (state.type, state.state_key) == (SERVER_ACL, ""):
                check_own_acl(state.content, self.found.server_name)

    async def _check_alias_is_free(self, alias: str | None) -> None:
        """An early answer; the database decides at the end."""
        if alias is not None and await self.aliases.find(self.database, alias) is not None:
            raise RoomInUse(f"The alias {alias} is taken")

    def _entries(self, wishes: RoomWishes, creator: str) -> AlsoOfRoom | None:
        """The alias and the directory entry, written in the transaction that makes the room."""
        if wishes.alias is None and not wishes.is_public:
            return None

        async def write(q: Queries, room_id: str) -> None:
            now_ms = self.clock.now_ms()
            if wishes.alias is not None and not await self.aliases.add(q, wishes.alias, room_id, creator, now_ms):
                raise RoomInUse(f"The alias {wishes.alias} is taken")
            if wishes.is_public:
                await self.directory.publish(q, room_id, now_ms)

        return write
