"""Inviting a user of another server into a room of ours: built, signed there too, and only then part of the room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from homeserver.federation.travel.inviting import Inviting
from homeserver.federation.travel.refusals import passed_on
from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import Forbidden, MatrixError, Unavailable
from homeserver.protocol.events import Event
from homeserver.protocol.identifiers import server_name_of
from homeserver.services.foreign_events.outcomes import Arrival, Outcome
from homeserver.services.foreign_events.pdu_store import PduStore
from homeserver.services.foreign_events.receive_events import ReceiveEvents
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.stripped_state import SHOWN_TYPES

ATTEMPTS: Final = 2
"""What the invitation is built on may fail to be stored while the other server signs."""


class Build(Protocol):
    """`Appender.build`."""

    async def build(self, room_id: str, draft: EventDraft) -> Event:
        """An event on the room's tip, checked and signed, of which the room knows nothing yet."""
        ...


@dataclass(frozen=True, slots=True)
class InviteElsewhere:
    """One verb."""

    cache: RoomCache
    appender: Build
    inviting: Inviting
    receive: ReceiveEvents
    pdus: PduStore

    async def __call__(self, room_id: str, draft: EventDraft) -> str:
        """Returns the id of the invitation. Raises Forbidden, InviteBlocked, and that the other server did not help."""
        assert draft.state_key is not None
        for _ in range(ATTEMPTS):
            invite = await self.appender.build(room_id, draft)
            signed = await self._signed(server_name_of(draft.state_key), invite, draft.sender)
            # Others have written meanwhile: the invitation may be a fork, as the events of other servers are.
            (verdict,) = await self.receive(room_id, [Arrival(signed)])
            if verdict.outcome in (Outcome.ACCEPTED, Outcome.KNOWN):
                return invite.event_id
            if verdict.outcome is Outcome.SOFT_FAILED:
                raise Forbidden(f"The room does not allow the invitation any more: {verdict.reason}")
        raise Unavailable(f"The invitation came to nothing, try again: {verdict.reason}")

    async def _signed(self, server_name: str, invite: Event, inviter: str) -> Event:
        room = await self.cache.get(invite.room_id)
        shown = await self.pdus.pdus(_shown(room, inviter))
        try:
            return await self.inviting(server_name, invite, list(shown.values()))
        except MatrixError as error:
            raise passed_on(error) from error


def _shown(room: LiveRoom, inviter: str) -> list[str]:
    """Since v1.16 whole events, "formatted according to the room version": the create event proves which room it is."""
    keys = [*((event_type, "") for event_type in SHOWN_TYPES), ("m.room.member", inviter)]
    return [event.event_id for key in keys if (event := room.state.get(*key)) is not None]
