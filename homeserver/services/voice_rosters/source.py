"""What sync asks of voice: rosters of rooms, and channels of spaces."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from homeserver.services.sight import Sight
from homeserver.storage.positions import StreamPosition

if TYPE_CHECKING:
    from homeserver.services.voice_rosters.rosters import Rosters
    from homeserver.services.voice_rosters.spaces import SpaceChannels
    from homeserver.services.voice_rosters.stream import RosterStream


@dataclass(frozen=True, slots=True)
class VoiceForSync:
    """Implements `VoiceSource`. A change after `to` is reported early, and again."""

    stream: RosterStream
    rosters: Rosters
    spaces: SpaceChannels

    @property
    def position(self) -> StreamPosition:
        return self.stream.position

    def roster(self, room_id: str) -> bytes | None:
        """Who is in this room's call; None where nobody is."""
        return self.rosters.content(room_id) if room_id in self.rosters.channels() else None

    def concerns(self, room_ids: Collection[str], since: int, to: int) -> bool:
        """Whether members of these rooms may have to be told of anything since; rather too often than not."""
        if since >= to:
            return False
        return any(room_id in room_ids for room_id in self.stream.rosters.since(since)) or bool(
            self.spaces.changed(Sight(room_ids), since)
        )

    def changed_rosters(self, room_ids: Collection[str], since: int, to: int) -> Mapping[str, bytes]:
        """Rosters of these rooms that changed since, those that nobody is left in included."""
        if since >= to:
            return {}
        changed = (room_id for room_id in self.stream.rosters.since(since) if room_id in room_ids)
        return {room_id: self.rosters.content(room_id) for room_id in changed}

    def channels(self, space_id: str, sight: Sight) -> bytes | None:
        """Who is in the voice channels of a space that somebody may see; None for none."""
        content = self.spaces.content(space_id, sight)
        return orjson.dumps(content) if content["channels"] else None

    def changed_channels(self, sight: Sight, since: int, to: int) -> Mapping[str, bytes]:
        """The same for those of the joined spaces where somebody came or went since."""
        if since >= to:
            return {}
        return {
            space_id: orjson.dumps(self.spaces.content(space_id, sight))
            for space_id in self.spaces.changed(sight, since)
        }
