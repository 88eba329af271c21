"""The rooms in which a user is notified, and by what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.services.account_data.ignored import IgnoredUsers
    from homeserver.services.account_data.invite_filters import InviteFilters
    from homeserver.services.awake import AwakeUsers
    from homeserver.services.unread.loudness import Loudness
    from homeserver.storage.memberships import Membership


@dataclass(frozen=True, slots=True)
class ReaderRooms:
    """`loud`: whether the flags of events count, by room; where he is only invited they do not."""

    user_id: str
    rooms: Mapping[str, Membership]
    loud: Mapping[str, bool]
    ignored: frozenset[str]

    def as_rows(self) -> list[tuple[int, bool]]:
        """(room_nid, loud) of all of them."""
        return [(each.room_nid, self.loud.get(room_id, False)) for room_id, each in self.rooms.items()]


@dataclass(frozen=True, slots=True)
class FindNotifyingRooms:
    """One verb; statements only for what is not in memory."""

    awake: AwakeUsers
    invites: InviteFilters

    async def of_user(self, user_id: str) -> dict[str, Membership]:
        """Those that he is in, and those to which he is invited, where he sees that."""
        memberships = await self.awake.memberships(user_id)
        inviters = {each.sender for each in memberships.values() if each.membership == "invite"}
        hidden = await self.invites.hidden(user_id, inviters)
        return {
            room_id: each
            for room_id, each in memberships.items()
            if each.membership == "join" or (each.membership == "invite" and each.sender not in hidden)
        }


@dataclass(frozen=True, slots=True)
class FindReaderRooms:
    """One verb; statements only for what is not in memory."""

    rooms: FindNotifyingRooms
    loudness: Loudness
    ignored: IgnoredUsers

    async def of_user(self, user_id: str) -> ReaderRooms:
        """All of them."""
        rooms = await self.rooms.of_user(user_id)
        nids = {room_id: each.room_nid for room_id, each in rooms.items() if each.membership == "join"}
        loud = (await self.loudness.of_users({user_id: nids}))[user_id]
        return ReaderRooms(user_id, rooms, loud, await self.ignored.of_user(user_id))
