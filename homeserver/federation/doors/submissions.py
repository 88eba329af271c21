"""PUT send_join, send_leave, send_knock: a signed member event goes into the room, or is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from homeserver.federation.doors.forwarding import Forwarding
from homeserver.federation.doors.member_pdus import Handed, check_format, check_handed, check_own, verified
from homeserver.federation.doors.residence import ResidentRooms
from homeserver.federation.doors.vouching import Vouching, needs_voucher
from homeserver.federation.incoming.incoming import Incoming
from homeserver.federation.pdu_checks import PduChecks
from homeserver.protocol.errors import Forbidden
from homeserver.protocol.events import Event
from homeserver.protocol.identifiers import is_user_id
from homeserver.protocol.signing import SigningKey, sign_event
from homeserver.services.foreign_events.outcomes import Outcome, Standing
from homeserver.services.foreign_events.standings import StandingsOf
from homeserver.services.rooms.live_room import LiveRoom


@dataclass(frozen=True, slots=True)
class Admitted:
    """The event as it was stored, and its room."""

    room: LiveRoom
    event: Event


@dataclass(frozen=True, slots=True)
class Submissions:
    """One verb a handshake. All raise Forbidden, NotFound, InvalidParam, InvalidEvent, TooLarge."""

    server_name: str
    signing_key: SigningKey
    rooms: ResidentRooms
    checks: PduChecks
    vouching: Vouching
    intake: Incoming
    known: StandingsOf
    forward: Forwarding

    async def join(self, origin: str, room_id: str, event_id: str, pdu: dict[str, Any]) -> Admitted:
        """Our signature is added: "The resident homeserver then adds its signature to this event".

        Raises UnableToAuthoriseJoin and UnableToGrantJoin too.
        """
        handed = Handed(origin, room_id, event_id, "join", pdu)
        room = await self._opened(handed)
        await self._check_voucher(room, pdu)
        signed = sign_event(pdu, room.version, self.server_name, self.signing_key)
        return await self._admit(room, replace(handed, pdu=signed))

    async def leave(self, origin: str, room_id: str, event_id: str, pdu: dict[str, Any]) -> Admitted:
        handed = Handed(origin, room_id, event_id, "leave", pdu)
        return await self._admit(await self._opened(handed), handed)

    async def knock(self, origin: str, room_id: str, event_id: str, pdu: dict[str, Any]) -> Admitted:
        handed = Handed(origin, room_id, event_id, "knock", pdu)
        return await self._admit(await self._opened(handed), handed)

    async def _opened(self, handed: Handed) -> LiveRoom:
        check_handed(handed)
        check_own(handed)
        room = await self.rooms.open_to(handed.origin, handed.room_id)
        check_format(handed, room.version)
        return room

    async def _check_voucher(self, room: LiveRoom, pdu: Mapping[str, Any]) -> None:
        """With our signature we say that the conditions are met: that may have changed since the template was made."""
        if not room.version.restricted_joins:
            return
        authoriser = pdu["content"].get("join_authorised_via_users_server")
        if not is_user_id(authoriser) or authoriser.partition(":")[2] != self.server_name:
            return
        if needs_voucher(room, pdu["sender"]):
            await self.vouching.check_signed(room, pdu["sender"], authoriser)

    async def _admit(self, room: LiveRoom, handed: Handed) -> Admitted:
        event = await verified(self.checks, handed, room.version)
        verdicts = await self.intake.receive(handed.origin, room.room_id, [event])
        verdict = next((each for each in verdicts if each.event_id == event.event_id), None)
        room = await self.rooms.cache.get(room.room_id)
        if verdict is not None and verdict.outcome is Outcome.ACCEPTED:
            self._tell_others(room, event)
        elif verdict is None or not await self._stands(event, verdict.outcome):
            raise Forbidden((verdict.reason if verdict is not None else "") or "The room does not accept the event")
        return Admitted(room, event)

    async def _stands(self, event: Event, outcome: Outcome) -> bool:
        """Whether a server repeats what was accepted before: it may not have got our answer."""
        if outcome is not Outcome.KNOWN:
            return False
        return (await self.known([event.event_id])).get(event.event_id) is Standing.IN_TIMELINE

    def _tell_others(self, room: LiveRoom, event: Event) -> None:
        """ "The resident server must also send the event to other servers participating in the room." """
        stored = next((each for each in reversed(room.recent) if each.event_id == event.event_id), None)
        stored = stored or room.state.get("m.room.member", event.sender)
        if stored is not None and stored.event_id == event.event_id:
            self.forward(stored)
