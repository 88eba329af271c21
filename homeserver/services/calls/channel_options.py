"""What the SFU is told of a room: its own wishes where it has some, the server's defaults elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from homeserver.protocol.voice_channel import VOICE_CHANNEL, parse_voice_channel
from voice.sfu.backend import RoomOptions

if TYPE_CHECKING:
    from homeserver.services.rooms.live_room import LiveRoom


def options_of(room: LiveRoom, defaults: RoomOptions) -> RoomOptions:
    """The options of this room's calls."""
    event = room.state.get(VOICE_CHANNEL)
    if event is None:
        return defaults
    channel = parse_voice_channel(event.content)
    return RoomOptions(
        max_participants=channel.user_limit or defaults.max_participants,
        audio_bitrate=channel.bitrate or defaults.audio_bitrate,
        audio_frame_ms=channel.frame_ms or defaults.audio_frame_ms,
        region=channel.region or defaults.region,
    )
