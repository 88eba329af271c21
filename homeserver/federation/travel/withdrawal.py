"""A leave that no server of the room takes: it ends an invitation, or a knock, for us and our user alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.federation.travel.template import MEMBER, MemberWish
from homeserver.protocol.builder import hash_and_sign
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import RoomVersion
from homeserver.protocol.signing import SigningKey
from homeserver.services.awake import AwakeUsers
from homeserver.services.clock import Clock
from homeserver.services.membership.remote import unknown_room
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.storage.events import Events

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class Withdraw:
    """One verb."""

    queries: Queries
    events: Events
    awake: AwakeUsers
    clock: Clock
    server_name: str
    signing_key: SigningKey

    async def __call__(self, wish: MemberWish) -> Event:
        """The leave, built on nothing but the membership that it ends. Raises NotFound where there is none."""
        standing = (await self.awake.memberships(wish.user_id)).get(wish.room_id)
        rows = [] if standing is None else await self.events.by_nids(self.queries, [standing.event_nid])
        if not rows or wish.version is None:
            raise unknown_room(wish.room_id)
        ended = to_timeline_event(rows[0], wish.room_id)
        cited = [_reference(ended.event_id, wish.version)]
        pdu = {
            "type": MEMBER,
            "room_id": wish.room_id,
            "sender": wish.user_id,
            "state_key": wish.user_id,
            "content": dict(wish.content),
            "origin_server_ts": self.clock.now_ms(),
            "depth": ended.depth,
            "prev_events": cited,
            "auth_events": cited,
        }
        return hash_and_sign(pdu, wish.version, self.server_name, self.signing_key)


def _reference(event_id: str, version: RoomVersion) -> Any:
    return [event_id, {}] if version.event_id_in_pdu else event_id
