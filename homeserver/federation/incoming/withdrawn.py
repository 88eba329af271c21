"""Rooms that nobody of ours is in, but somebody is invited to or knocks on: the one event of them that we are sent is that
this is over.

The specification has no endpoint for it: servers send the event to the server of whom it is about, as to those in the room.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.federation.pdu_checks import PduChecks, kept
from homeserver.protocol.errors import MatrixError
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.services.awake import OUTSIDE, AwakeUsers
from homeserver.services.rooms.outside import OutsideMemberships
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.storage.events import Events
from homeserver.storage.memberships import Membership
from homeserver.storage.rooms import Rooms
from homeserver.storage.stripped_states import StrippedStates

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_EVENTS: Final = 10
"""Of one room in one transaction; more users of ours are not put out of it at once."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EndsOutside:
    """One verb."""

    queries: Queries
    checks: PduChecks
    awake: AwakeUsers
    rooms: Rooms
    events: Events
    stripped: StrippedStates
    outside: OutsideMemberships
    server_name: str

    async def receive(self, room_id: str, pdus: Sequence[Any]) -> set[str]:
        """Ids of the events that ended the invitation, or the knock, of a user of ours."""
        candidates = [pdu for pdu in pdus if self._may_end(pdu)][:MAX_EVENTS]
        version = ROOM_VERSIONS.get(await self.rooms.version(self.queries, room_id) or "") if candidates else None
        if version is None:
            return set()
        ended: set[str] = set()
        for event in kept(await self.checks(candidates, version, room_id=room_id)):
            if await self._ends(event):
                ended.add(event.event_id)
        return ended

    def _may_end(self, pdu: Any) -> bool:
        if not isinstance(pdu, dict) or pdu.get("type") != "m.room.member":
            return False
        content, user_id = pdu.get("content"), pdu.get("state_key")
        is_over = isinstance(content, dict) and content.get("membership") in ("leave", "ban")
        return is_over and isinstance(user_id, str) and user_id.partition(":")[2] == self.server_name

    async def _ends(self, event: Event) -> bool:
        user_id = event.state_key or ""
        standing = (await self.awake.memberships(user_id)).get(event.room_id)
        if standing is None or not standing.outside or standing.membership not in OUTSIDE:
            return False
        if not await self._is_believed(event, standing):
            log.info("%s is not believed that %s is out of %s", event.sender, user_id, event.room_id)
            return False
        try:
            await self.outside.record(event)
        except MatrixError as error:
            log.info("%s stays outside of %s: %s", user_id, event.room_id, error)
            return False
        return True

    async def _is_believed(self, event: Event, standing: Membership) -> bool:
        """The event is built on the invitation or knock that it ends, and made by somebody of a server that has to do with
        the room, as far as we know: nobody here could say more, and it opens nothing.
        """
        rows = await self.events.by_nids(self.queries, [standing.event_nid])
        if not rows or to_timeline_event(rows[0], event.room_id).event_id not in event.auth_event_ids:
            return False
        server_name = event.sender_server
        if server_name == standing.sender.partition(":")[2]:
            return True
        states = await self.stripped.of_user(self.queries, event.state_key or "", [standing.room_nid])
        shown = orjson.loads(states.get(standing.room_nid, b"[]"))
        return any(each["sender"].partition(":")[2] == server_name for each in shown)
