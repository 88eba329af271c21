"""In which rooms a plain message notifies whom: there the flags of events count ("loud"), elsewhere only rows do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.push_rules.rulesets import ReaderRules, RoomKind, Rulesets
from homeserver.services.unread.rules import room_kind
from homeserver.storage.unread import UnreadCountRows

if TYPE_CHECKING:
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.storage.database import Queries

RoomNids = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Loudness:
    """At most two statements, however many users and rooms; none for users with the default rules."""

    queries: Queries
    rows: UnreadCountRows
    rulesets: Rulesets
    cache: RoomCache

    async def of_users(self, rooms: Mapping[str, RoomNids]) -> dict[str, dict[str, bool]]:
        """Whether plain messages notify, by user and room. Rooms that are gone are left out for some."""
        rules = await self.rulesets.of_users(rooms)
        asked = {room_id: nid for user_id, nids in rooms.items() if user_id in rules for room_id, nid in nids.items()}
        kinds = await self.kinds(asked)
        return {user_id: _of_user(rules.get(user_id), nids, kinds) for user_id, nids in rooms.items()}

    async def kinds(self, nids: RoomNids) -> dict[str, RoomKind]:
        """What push rules ask about these rooms; one statement for those that are not in memory."""
        live = {room_id: room for room_id in nids if (room := self.cache.peek(room_id)) is not None}
        kinds = {room_id: room_kind(room) for room_id, room in live.items()}
        stored = [room_nid for room_id, room_nid in nids.items() if room_id not in live]
        if stored:
            found = await self.rows.room_kinds(self.queries, stored)
            kinds |= {
                room_id: RoomKind(room_id, *found[room_nid]) for room_id, room_nid in nids.items() if room_nid in found
            }
        return kinds


def _of_user(rules: ReaderRules | None, nids: RoomNids, kinds: Mapping[str, RoomKind]) -> dict[str, bool]:
    if rules is None:
        return dict.fromkeys(nids, True)
    return {room_id: rules.in_room(room_id).loud(kinds[room_id]) for room_id in nids if room_id in kinds}
