"""Whom a moderator has muted. LiveKit lets everybody open his microphone again; here he stays mute until he joins anew,
as at our own SFU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from livekit.protocol import models

from voice.sfu.backend import Left, RoomsLost, SfuEvent, Source
from voice.sfu.livekit.states import TRACK_SOURCES


@dataclass(slots=True)
class Silences:
    """Follows the events of the backend: a silence ends with its session."""

    _sources: dict[str, dict[str, set[Source]]] = field(default_factory=dict)
    """Room -> identity -> what he may not send."""

    def begin(self, room: str, identity: str, source: Source) -> None:
        self._sources.setdefault(room, {}).setdefault(identity, set()).add(source)

    def end(self, room: str, identity: str, source: Source) -> None:
        self._sources.get(room, {}).get(identity, set()).discard(source)

    def broken(self, room: str, info: models.ParticipantInfo) -> Iterator[models.TrackInfo]:
        """Tracks of his that are open and should not be."""
        silent = {TRACK_SOURCES[source] for source in self._sources.get(room, {}).get(info.identity, ())}
        return (track for track in info.tracks if track.source in silent and not track.muted)

    def follow(self, event: SfuEvent) -> None:
        if isinstance(event, Left):
            self._sources.get(event.room, {}).pop(event.identity, None)
            if not self._sources.get(event.room, True):
                del self._sources[event.room]
        elif isinstance(event, RoomsLost):
            for room in event.rooms:
                self._sources.pop(room, None)
