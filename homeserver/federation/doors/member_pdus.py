"""Member events that another server hands over: is this the event it says it is?

Source: server-server API, "PUT send_join", "send_knock", "send_leave", "invite": each "MUST apply certain validation",
with `M_INVALID_PARAM`, so that no server signs or stores anything else by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.federation.doors.residence import check_user_of
from homeserver.federation.pdu_checks import PduChecks
from homeserver.protocol.errors import Forbidden, InvalidParam
from homeserver.protocol.event_format import check_event_format
from homeserver.protocol.events import Event
from homeserver.protocol.hashing import has_valid_content_hash
from homeserver.protocol.room_versions import RoomVersion


@dataclass(frozen=True, slots=True)
class Handed:
    """A request with a member event: from whom, and what its path says of the event."""

    origin: str
    room_id: str
    event_id: str
    membership: str
    pdu: dict[str, Any]


def check_handed(handed: Handed) -> None:
    """What needs no knowledge of the room. Raises InvalidParam, Forbidden where the sender is of another server."""
    pdu = handed.pdu
    content = pdu.get("content")
    if pdu.get("type") != "m.room.member" or not isinstance(content, Mapping):
        raise InvalidParam("The event is not an m.room.member event")
    if content.get("membership") != handed.membership:
        raise InvalidParam(f"The membership of the event is not '{handed.membership}'")
    if not isinstance(pdu.get("state_key"), str):
        raise InvalidParam("The event has no state key")
    if pdu.get("room_id") != handed.room_id:
        raise InvalidParam("The event is of another room than the path")
    check_user_of(handed.origin, pdu.get("sender"))


def check_own(handed: Handed) -> None:
    """Nobody joins, knocks or leaves for somebody else on this way. Raises InvalidParam."""
    if handed.pdu.get("state_key") != handed.pdu.get("sender"):
        raise InvalidParam("The event is of another user than its sender")


def check_format(handed: Handed, version: RoomVersion) -> None:
    """Format and content hash. Raises InvalidEvent, TooLarge, InvalidParam.

    An event whose hash does not fit would be kept redacted; whoever hands over his own can do better.
    """
    check_event_format(handed.pdu, version)
    if not has_valid_content_hash(handed.pdu, version):
        raise InvalidParam("The hash of the event does not fit its content")


async def verified(checks: PduChecks, handed: Handed, version: RoomVersion) -> Event:
    """The event, signed by all who must. Raises InvalidParam, Forbidden where it is not; `check_format` has passed."""
    (result,) = await checks([handed.pdu], version, room_id=handed.room_id)
    if not isinstance(result, Event):
        raise Forbidden(result.reason)
    if result.event_id != handed.event_id:
        raise InvalidParam("The event has another id than the path")
    return result
