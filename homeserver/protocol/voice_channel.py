"""Voice channels: rooms of type `org.matrix.msc3417.call` (MSC3417), and what their state says about them.

`org.voicechat.voice_channel` is a state event of ours with an empty state key. Every key of it may be absent; a value
that is not of its type or out of its range counts as absent, so that nobody can break a channel by its settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver.protocol.auth.power_levels import Level, PowerLevels
from homeserver.protocol.identifiers import is_room_id

CALL_ROOM_TYPES: Final = frozenset({"org.matrix.msc3417.call", "io.element.video"})
"""Values of `type` in `m.room.create`: MSC3417's, and the one Element Web uses for its video rooms."""
VOICE_CHANNEL: Final = "org.voicechat.voice_channel"
"""The type of the state event."""

MODERATE: Final = "org.voicechat.voice.moderate"
"""Key in `events` of the power levels: to mute others in the call. Else what a kick needs."""
MOVE: Final = "org.voicechat.voice.move"
"""To move and disconnect others. Else what `MODERATE` needs."""
SPEAK: Final = "org.voicechat.voice.speak"
VIDEO: Final = "org.voicechat.voice.video"
SCREEN: Final = "org.voicechat.voice.screen"
PRIORITY: Final = "org.voicechat.voice.priority"
"""To be heard however many talk."""
ATTACH: Final = "org.voicechat.attach"
"""Not of the voice, but another such key: to send files. Else what a message needs."""

USER_LIMIT: Final = range(1, 1001)
BITRATE: Final = range(24_000, 96_001)
FRAME_MS: Final = (10, 20, 40, 60)
"""Durations of an Opus frame within 10 to 60 ms. RFC 6716, section 2.1.4."""
AFK_AFTER_MS: Final = range(60_000, 24 * 3_600_000 + 1)
MAX_REGION_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class VoiceChannel:
    """What the room wishes; None: what the server does by default."""

    user_limit: int | None = None
    bitrate: int | None = None
    """Bits per second of one microphone."""
    frame_ms: int | None = None
    region: str | None = None
    afk_room_id: str | None = None
    """Where those go who are not there."""
    afk_after_ms: int | None = None
    """After how long a silence. Nobody is moved where either is missing."""


def parse_voice_channel(content: Mapping[str, Any]) -> VoiceChannel:
    """Read the content of `org.voicechat.voice_channel`. Never raises."""
    return VoiceChannel(
        user_limit=_integer(content.get("user_limit"), USER_LIMIT),
        bitrate=_integer(content.get("bitrate"), BITRATE),
        frame_ms=_integer(content.get("frame_ms"), FRAME_MS),
        region=_region(content.get("region")),
        afk_room_id=_room_id(content.get("afk_room_id")),
        afk_after_ms=_integer(content.get("afk_after_ms"), AFK_AFTER_MS),
    )


def level_to_moderate(levels: PowerLevels) -> Level:
    """The level needed to mute somebody in the call (who must have a lower one besides)."""
    return levels.events.get(MODERATE, levels.kick)


def level_to_move(levels: PowerLevels) -> Level:
    """The level needed to move somebody to another call, or to disconnect him."""
    return levels.events.get(MOVE, level_to_moderate(levels))


def _integer(value: object, allowed: range | tuple[int, ...]) -> int | None:
    return value if type(value) is int and value in allowed else None


def _region(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_REGION_CHARACTERS else None


def _room_id(value: object) -> str | None:
    return value if isinstance(value, str) and is_room_id(value) else None
