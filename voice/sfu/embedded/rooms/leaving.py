"""How a client is told that its session is over, and what it is to do then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from livekit.protocol import models, rtc

from voice.sfu.backend import LeaveReason

_KNOWS_ACTIONS = 13
"""The protocol version of LiveKit from which clients read `LeaveRequest.action`."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """What becomes of a participant: the reason listeners hear, and the one his client hears."""

    reason: LeaveReason
    disconnect: models.DisconnectReason
    rejoin: bool = False
    """The client is to join anew at once."""

    def to_proto(self, protocol: int) -> Any:
        """Older clients know `can_reconnect` only."""
        if protocol < _KNOWS_ACTIONS:
            return rtc.LeaveRequest(reason=self.disconnect, can_reconnect=self.rejoin)
        action = rtc.LeaveRequest.RECONNECT if self.rejoin else rtc.LeaveRequest.DISCONNECT
        return rtc.LeaveRequest(reason=self.disconnect, action=action)


_REASONS: Mapping[LeaveReason, models.DisconnectReason] = {
    LeaveReason.LEFT: models.CLIENT_INITIATED,
    LeaveReason.VANISHED: models.CONNECTION_TIMEOUT,
    LeaveReason.RECONNECTING: models.CONNECTION_TIMEOUT,
    LeaveReason.REMOVED: models.PARTICIPANT_REMOVED,
    LeaveReason.DUPLICATE: models.DUPLICATE_IDENTITY,
    LeaveReason.MOVED: models.PARTICIPANT_REMOVED,
    LeaveReason.ROOM_ENDED: models.ROOM_DELETED,
    LeaveReason.BACKEND_LOST: models.SERVER_SHUTDOWN,
}


def farewell(reason: LeaveReason) -> Farewell:
    return Farewell(reason, _REASONS[reason])


MEDIA_LOST = Farewell(LeaveReason.RECONNECTING, models.CONNECTION_TIMEOUT, rejoin=True)
NEVER_CONNECTED = Farewell(LeaveReason.RECONNECTING, models.JOIN_FAILURE, rejoin=True)
NOT_JOINED = Farewell(LeaveReason.REMOVED, models.JOIN_FAILURE)
BAD_NEGOTIATION = Farewell(LeaveReason.VANISHED, models.STATE_MISMATCH)
MISBEHAVED = Farewell(LeaveReason.REMOVED, models.STATE_MISMATCH)
UNKNOWN_SESSION = Farewell(LeaveReason.VANISHED, models.STATE_MISMATCH, rejoin=True)
"""Of a client that wants to resume what we do not know."""
STOPPING = Farewell(LeaveReason.BACKEND_LOST, models.SERVER_SHUTDOWN, rejoin=True)
