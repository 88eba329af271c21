"""Somebody in a room: his state, without what happens to him."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from livekit.protocol import models

from voice.sfu.backend import ParticipantState
from voice.sfu.embedded.rooms.audience import Audience
from voice.sfu.embedded.rooms.followings import Followings
from voice.sfu.embedded.rooms.peer import Peer
from voice.sfu.embedded.rooms.permission import Permission
from voice.sfu.embedded.rooms.publications import Publications
from voice.sfu.embedded.rooms.signal import NoSignal, Signal


@dataclass(slots=True, eq=False)
class Participant:
    """Times are monotonic ms unless their name says otherwise."""

    sid: str
    identity: str
    name: str
    metadata: str
    attributes: dict[str, str]
    permission: Permission
    protocol: int
    auto_subscribe: bool
    priority: bool
    """Always heard."""
    joined_wall_ms: int
    joined_at: int
    token_expires_s: float
    publications: Publications
    followings: Followings
    signal: Signal
    heard_at: int
    """When signalling was heard last."""
    signal_lost_at: int | None = None
    media_failed_at: int | None = None
    """When a transport of his failed or was closed; it is of no use any more."""
    peer: Peer | None = None
    """None only while he is being made."""
    active: bool = False
    gone: bool = False
    speaking: bool = False
    audience: Audience = field(default_factory=Audience)
    forced_mutes: set[str] = field(default_factory=set)
    """Sources a moderator muted."""
    version: int = 0
    told: ParticipantState | None = None
    """What listeners know of him."""

    def info(self) -> Any:
        """ParticipantInfo; every one made is newer than those before."""
        self.version += 1
        return models.ParticipantInfo(
            sid=self.sid,
            identity=self.identity,
            name=self.name,
            metadata=self.metadata,
            state=self._state(),
            joined_at=self.joined_wall_ms // 1000,
            joined_at_ms=self.joined_wall_ms,
            version=self.version,
            is_publisher=bool(self.publications.live),
            permission=self.permission.to_proto(),
            attributes=self.attributes,
            tracks=self.publications.infos(),
        )

    def _state(self) -> Any:
        if self.gone:
            return models.ParticipantInfo.DISCONNECTED
        return models.ParticipantInfo.ACTIVE if self.active else models.ParticipantInfo.JOINED

    def state(self) -> ParticipantState:
        """As the homeserver sees him."""
        return ParticipantState(
            identity=self.identity,
            sid=self.sid,
            joined_ms=self.joined_wall_ms,
            microphone=self._microphone(),
            camera=self._shows(models.CAMERA),
            screen=self._shows(models.SCREEN_SHARE),
            speaking=self.speaking,
            attributes=dict(self.attributes),
        )

    def _microphone(self) -> Literal["none", "on", "muted"]:
        open_ones = [not info.muted for info in self._live(models.MICROPHONE)]
        if not open_ones:
            return "none"
        return "on" if any(open_ones) else "muted"

    def _shows(self, source: int) -> bool:
        return any(not info.muted for info in self._live(source))

    def _live(self, source: int) -> Sequence[Any]:
        return [info for info in self.publications.infos() if info.source == source]

    def lose_signal(self, now: int) -> None:
        self.signal = NoSignal()
        self.signal_lost_at = now
