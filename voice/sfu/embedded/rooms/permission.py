"""What one participant may do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from livekit.protocol import models

from voice.sfu.backend import SOURCES, Grant, Source

PROTO_SOURCE: Mapping[Source, models.TrackSource] = {
    "camera": models.CAMERA,
    "microphone": models.MICROPHONE,
    "screen_share": models.SCREEN_SHARE,
    "screen_share_audio": models.SCREEN_SHARE_AUDIO,
}
SOURCE_NAME: Mapping[int, Source] = {number: name for name, number in PROTO_SOURCE.items()}


@dataclass(frozen=True, slots=True)
class Permission:
    can_publish: bool = True
    sources: frozenset[Source] = frozenset(SOURCES)
    can_subscribe: bool = True
    can_publish_data: bool = True

    def may_publish(self, source: int) -> bool:
        """A track without a source goes only where all may be published, as its kind says nothing of what it shows."""
        if not self.can_publish:
            return False
        if source in SOURCE_NAME:
            return SOURCE_NAME[source] in self.sources
        return self.sources == frozenset(SOURCES)

    def to_proto(self) -> Any:
        restricted = self.sources != frozenset(SOURCES)
        return models.ParticipantPermission(
            can_publish=self.can_publish and bool(self.sources),
            can_subscribe=self.can_subscribe,
            can_publish_data=self.can_publish_data,
            can_publish_sources=[PROTO_SOURCE[name] for name in sorted(self.sources)] if restricted else [],
            can_update_metadata=True,
        )


def of_grant(grant: Grant) -> Permission:
    return Permission(grant.can_publish, frozenset(grant.sources), grant.can_subscribe, grant.can_publish_data)


def of_claims(video: Mapping[str, Any]) -> Permission:
    """The `video` claim of a LiveKit token: a permission it does not name is given, an empty list of sources means all."""
    return Permission(
        can_publish=_allowed(video, "canPublish"),
        sources=_sources(video.get("canPublishSources")),
        can_subscribe=_allowed(video, "canSubscribe"),
        can_publish_data=_allowed(video, "canPublishData"),
    )


def _allowed(video: Mapping[str, Any], name: str) -> bool:
    return video.get(name, True) is not False


def _sources(named: object) -> frozenset[Source]:
    if not named or not isinstance(named, Iterable):
        return frozenset(SOURCES)
    return frozenset(name for name in SOURCES if name in set(map(str, named)))
