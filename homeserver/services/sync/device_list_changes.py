"""`device_lists`: whose keys changed, who newly shares a room with the reader, and who shares none any more.

"changed: users who have updated their device identity or cross-signing keys, or who now share an encrypted room with
the client since the previous sync response"; "left: users who no longer share any encrypted rooms". We do not look at
whether a room is encrypted: a client that encrypts later then knows its members already. Who was invited has changed, too:
clients encrypt for him already, maybe with keys that they have from a room which both were in long ago.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from homeserver.services.awake import AwakeUsers
from homeserver.services.rooms.timeline_event import RESOLVES, TimelineEvent
from homeserver.services.rooms.unsigned import replaced_membership
from homeserver.services.sync.changes import MEMBER, ChangesOfRooms, RoomChanges
from homeserver.services.sync.sources import DeviceListSource
from homeserver.services.tokens import StreamToken
from homeserver.storage.memberships import Membership
from homeserver.storage.sync_rooms import SyncRooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


class Sharing(NamedTuple):
    """Users who came into a room of the reader's (or into whose room he came), who went, and who was invited."""

    came: set[str]
    went: set[str]
    invited: set[str]


class DeviceListNews(NamedTuple):
    """The two lists of an answer."""

    changed: set[str]
    left: set[str]


@dataclass(frozen=True, slots=True)
class DeviceListChanges:
    """Two verbs."""

    queries: Queries
    rooms: SyncRooms
    awake: AwakeUsers
    device_lists: DeviceListSource
    changes: ChangesOfRooms

    async def between(self, user_id: str, since: StreamToken, to: StreamToken) -> DeviceListNews:
        """What changed between two syncs: GET /keys/changes."""
        rooms = dict(await self.awake.memberships(user_id))
        changes = await self.changes.between(user_id, rooms, since.events, to.events)
        sharing = await self.sharing(user_id, rooms, changes)
        return await self.news(user_id, sharing, since.device_lists, to.device_lists)

    async def sharing(self, user_id: str, rooms: Mapping[str, Membership], changes: RoomChanges) -> Sharing:
        """Who newly shares a room, and who may share one no more. No statement where memory has the changes and the
        reader himself stayed where he was.
        """
        sharing = Sharing(set(), set(), set())
        came, went, invited = sharing
        if not changes.rooms and not changes.own:
            return sharing
        await self._of_own_moves(rooms, changes, came, went)
        for moved, membership in await self._moves_of_others(rooms, changes):
            (came if membership == "join" else went).add(moved)
            if membership == "invite":
                invited.add(moved)
        for users in sharing:
            users.discard(user_id)
        return sharing

    async def _of_own_moves(
        self, rooms: Mapping[str, Membership], changes: RoomChanges, came: set[str], went: set[str]
    ) -> None:
        joined, left = [], []
        for room_id, own in changes.own.items():
            if rooms[room_id].membership == "join":
                if own.left_between:
                    joined.append(rooms[room_id].room_nid)
            elif own.was_in:
                left.append(rooms[room_id].room_nid)
        if joined:
            came |= await self.rooms.members_of(self.queries, joined)
        if left:
            went |= await self.rooms.members_of(self.queries, left, gone_after=changes.since)

    async def _moves_of_others(
        self, rooms: Mapping[str, Membership], changes: RoomChanges
    ) -> Sequence[tuple[str, str]]:  # fmt: skip
        moves: list[tuple[str, str]] = []
        unsure = []
        for room_id in changes.rooms:
            if rooms[room_id].membership != "join":
                continue
            events = None if changes.by_room is None else changes.by_room[room_id]
            if events is None or any(event.flags & RESOLVES for event in events):
                unsure.append(rooms[room_id].room_nid)
            else:
                moves += [
                    (event.state_key, event.membership or "leave")
                    for event in events
                    if event.type == MEMBER and event.state_key is not None and _came_or_went(event)
                ]
        if unsure:
            moves += await self.rooms.members_changed(self.queries, unsure, changes.since, changes.to)
        return moves

    async def news(self, user_id: str, sharing: Sharing, since: int, to: int) -> DeviceListNews:
        """The lists, with what the stream of device lists has."""
        changed = await self.device_lists.changed(user_id, since, to) if since < to else set()
        still = await self.awake.shared_among(user_id, sharing.came | sharing.went) if any(sharing) else set()
        changed |= (sharing.came & still) | sharing.invited
        return DeviceListNews(changed, sharing.went - still - sharing.invited)


def _came_or_went(event: TimelineEvent) -> bool:
    """Whether a membership event is more than a new name or picture: somebody came, went, or was invited."""
    before, after = replaced_membership(event), event.membership
    return event.takes_force and (
        (after == "join") != (before == "join") or (after == "invite") != (before == "invite")
    )
