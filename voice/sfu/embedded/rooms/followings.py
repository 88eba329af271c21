"""What one participant hears and sees, and how he wants it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from livekit.protocol import models

from voice.sfu.embedded.contracts import Kind, SentSection
from voice.sfu.embedded.media import Subscription
from voice.sfu.embedded.rooms.publications import Publication


@dataclass(frozen=True, slots=True)
class TrackSetting:
    """`UpdateTrackSettings` of one track."""

    disabled: bool = False
    quality: int = models.HIGH
    width: int = 0
    height: int = 0
    fps: int = 0

    def quality_of(self, info: Any) -> int:
        """0..2: a size is the smallest layer that fills it, without one it is the quality named."""
        if not (self.width or self.height):
            return min(self.quality, int(models.HIGH))
        layers = sorted(
            (layer.width * layer.height, layer.quality) for layer in info.layers if layer.quality != models.OFF
        )
        wanted = self.width * self.height
        fitting = [quality for size, quality in layers if size >= wanted]
        return fitting[0] if fitting else int(models.HIGH)


@dataclass(slots=True, eq=False, weakref_slot=True)
class Following:
    """One subscription: wanted when it is made, flowing when it has a section."""

    publication: Publication
    mid: str = ""
    flow: Subscription | None = None
    section: SentSection | None = None
    """As it was negotiated last; most negotiations change nothing for most tracks."""

    @property
    def kind(self) -> Kind:
        return self.publication.kind

    def apply(self, setting: TrackSetting) -> None:
        if self.flow is None:
            return
        self.flow.paused = setting.disabled or setting.quality == models.OFF
        if self.kind == "video":
            self.flow.want(setting.quality_of(self.publication.info), setting.fps)


@dataclass(slots=True)
class Followings:
    most_settings: int
    by_sid: dict[str, Following] = field(default_factory=dict)
    settings: dict[str, TrackSetting] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Following]:
        return iter(self.by_sid.values())

    def add(self, publication: Publication) -> bool:
        if publication.sid in self.by_sid:
            return False
        self.by_sid[publication.sid] = Following(publication)
        return True

    def pop(self, track_sid: str) -> Following | None:
        return self.by_sid.pop(track_sid, None)

    def waiting(self) -> list[Following]:
        """Those that need a section."""
        return [following for following in self if not following.mid]

    def placed(self) -> dict[str, Following]:
        """By mid."""
        return {following.mid: following for following in self if following.mid}

    def set(self, track_sid: str, setting: TrackSetting) -> None:
        if track_sid not in self.settings and len(self.settings) >= self.most_settings:
            return
        self.settings[track_sid] = setting
        following = self.by_sid.get(track_sid)
        if following is not None:
            following.apply(setting)

    def started(self, following: Following, flow: Subscription) -> None:
        following.flow = flow
        setting = self.settings.get(following.publication.sid)
        if setting is not None:
            following.apply(setting)
