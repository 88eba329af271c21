"""What the doors need of their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from homeserver.federation.pdu_checks import DroppedPdu
from homeserver.protocol.events import Event, StateMap
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.foreign_events.outcomes import Standing, Verdict
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import TimelineEvent


class Acl(Protocol):
    """federation/room_acl.py."""

    async def check(self, room_id: str, server_name: str) -> None:
        """Raises Forbidden for servers that the room's m.room.server_acl keeps out."""
        ...


class Checks(Protocol):
    """federation/pdu_checks.py."""

    async def __call__(
        self, pdus: Sequence[Any], version: RoomVersion, *, room_id: str | None = None
    ) -> list[Event | DroppedPdu]: ...


class Intake(Protocol):
    """federation/incoming: what has passed the checks of the PDU goes on from there."""

    async def receive(self, origin: str, room_id: str, events: Sequence[Event]) -> list[Verdict]: ...


class KnownEvents(Protocol):
    """services/foreign_events: how stored events are known."""

    async def __call__(self, event_ids: Sequence[str]) -> dict[str, Standing]: ...


class Forward(Protocol):
    """federation/sending: an event of another server that we let in is brought to all servers of its room by us."""

    def __call__(self, event: TimelineEvent) -> None: ...


class PastStates(Protocol):
    """services/foreign_events: the state before an event."""

    async def before(self, room: LiveRoom, event_id: str) -> StateMap[str]: ...


class AuthChains(Protocol):
    """services/foreign_events."""

    async def of(self, event_ids: Sequence[str]) -> list[str]: ...


class OutsideMemberships(Protocol):
    """Memberships of our users in rooms that this server is not in."""

    async def record(self, event: Event, stripped: Sequence[bytes]) -> None:
        """Store an invitation and what is known of its room, and wake the user."""
        ...
