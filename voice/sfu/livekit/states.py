"""LiveKit's participants, tracks and reasons in our words."""

from __future__ import annotations

from typing import Final

from livekit.protocol import models

from voice.sfu.backend import Grant, LeaveReason, ParticipantState, Source
from voice.sfu.livekit.void_tokens import ATTRIBUTE

TRACK_SOURCES: Final[dict[Source, models.TrackSource]] = {
    "camera": models.TrackSource.CAMERA,
    "microphone": models.TrackSource.MICROPHONE,
    "screen_share": models.TrackSource.SCREEN_SHARE,
    "screen_share_audio": models.TrackSource.SCREEN_SHARE_AUDIO,
}
_REASONS: Final = {
    models.DisconnectReason.CLIENT_INITIATED: LeaveReason.LEFT,
    models.DisconnectReason.DUPLICATE_IDENTITY: LeaveReason.DUPLICATE,
    models.DisconnectReason.PARTICIPANT_REMOVED: LeaveReason.REMOVED,
    models.DisconnectReason.ROOM_DELETED: LeaveReason.ROOM_ENDED,
    models.DisconnectReason.ROOM_CLOSED: LeaveReason.ROOM_ENDED,
    models.DisconnectReason.MIGRATION: LeaveReason.BACKEND_LOST,
    models.DisconnectReason.SERVER_SHUTDOWN: LeaveReason.BACKEND_LOST,
}


def state_of(info: models.ParticipantInfo) -> ParticipantState:
    """How somebody is now. LiveKit tells nobody outside of the call who is speaking."""
    by_source = {track.source: track for track in info.tracks}
    microphone = by_source.get(models.TrackSource.MICROPHONE)
    return ParticipantState(
        identity=info.identity,
        sid=info.sid,
        joined_ms=info.joined_at_ms or info.joined_at * 1000,
        microphone="none" if microphone is None else "muted" if microphone.muted else "on",
        camera=_is_live(by_source.get(models.TrackSource.CAMERA)),
        screen=_is_live(by_source.get(models.TrackSource.SCREEN_SHARE)),
        attributes={name: value for name, value in info.attributes.items() if name != ATTRIBUTE},
    )


def _is_live(track: models.TrackInfo | None) -> bool:
    return track is not None and not track.muted


def is_person(info: models.ParticipantInfo) -> bool:
    """Recorders and agents of the operator's own are in no roster."""
    return bool(info.kind == models.ParticipantInfo.Kind.STANDARD and not info.permission.hidden)


def is_there(info: models.ParticipantInfo) -> bool:
    return bool(info.state == models.ParticipantInfo.State.ACTIVE)


def reason_of(info: models.ParticipantInfo) -> LeaveReason:
    """Without a known reason the connection broke."""
    return _REASONS.get(info.disconnect_reason, LeaveReason.VANISHED)


def permission_of(grant: Grant) -> models.ParticipantPermission:
    """What a grant allows, as LiveKit changes it while somebody is there."""
    publish = grant.can_publish and bool(grant.sources)
    return models.ParticipantPermission(
        can_subscribe=grant.can_subscribe,
        can_publish=publish,
        can_publish_data=grant.can_publish_data,
        can_publish_sources=[TRACK_SOURCES[source] for source in grant.sources] if publish else [],
        can_update_metadata=True,
    )
