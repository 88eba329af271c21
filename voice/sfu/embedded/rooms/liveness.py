"""Who is still there."""

from __future__ import annotations

from voice.sfu.backend import LeaveReason
from voice.sfu.embedded.rooms.leaving import MEDIA_LOST, NEVER_CONNECTED, Farewell, farewell
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.participant import Participant


def verdict(participant: Participant, now: int, limits: RoomLimits) -> Farewell | None:
    """None while he is there; `now` in monotonic ms."""
    media_silence = participant.peer.silent_ms if participant.peer is not None else 0
    if participant.media_failed_at is not None and now - participant.media_failed_at > limits.media_failed:
        # Without signalling he cannot be told to come again.
        return MEDIA_LOST if participant.signal_lost_at is None else farewell(LeaveReason.VANISHED)
    if participant.signal_lost_at is not None:
        return _without_signalling(now - participant.signal_lost_at, media_silence, limits)
    if min(now - participant.heard_at, media_silence) > limits.silence:
        return farewell(LeaveReason.VANISHED)
    if not participant.active and now - participant.joined_at > limits.join:
        return NEVER_CONNECTED
    if participant.active and media_silence > limits.media_silence:
        return MEDIA_LOST
    return None


def _without_signalling(lost_for: int, media_silence: int, limits: RoomLimits) -> Farewell | None:
    """Media alone keeps a participant for a while: his client is making a new WebSocket."""
    if min(lost_for, media_silence) > limits.silence_without_signalling or lost_for > limits.resume:
        return farewell(LeaveReason.VANISHED)
    return None
