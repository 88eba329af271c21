"""What the homeserver asks of a selective forwarding unit, and what it is told: the same for ours and for LiveKit.

Names of rooms here are those of the SFU (a hash of Matrix room and slot, `voice/tokens.py`), identities those of its
participants; whose they are is the homeserver's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol

Source = Literal["camera", "microphone", "screen_share", "screen_share_audio"]
SOURCES: tuple[Source, ...] = ("camera", "microphone", "screen_share", "screen_share_audio")


class LeaveReason(Enum):
    """Why somebody is no longer in a room."""

    LEFT = "left"
    """Said goodbye."""
    VANISHED = "vanished"
    """Neither signalling nor media for a few seconds."""
    REMOVED = "removed"
    """By a moderator or by the rules of the room."""
    RECONNECTING = "reconnecting"
    """His media broke; his client is alive, and was told to join again at once."""
    DUPLICATE = "duplicate"
    """The same identity joined again."""
    MOVED = "moved"
    ROOM_ENDED = "room_ended"
    BACKEND_LOST = "backend_lost"
    """The worker or cluster went away; clients join again by themselves."""


@dataclass(frozen=True, slots=True)
class RoomOptions:
    """What a room allows. Bitrates in bits per second."""

    max_participants: int = 50
    audio_bitrate: int = 64_000
    audio_frame_ms: int = 20
    region: str | None = None
    """Which LiveKit cluster; None: the first one."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token lets its bearer do."""

    room: str
    identity: str
    name: str = ""
    can_publish: bool = True
    sources: Sequence[Source] = SOURCES
    """What may be published, when `can_publish`."""
    can_subscribe: bool = True
    can_publish_data: bool = True
    priority_speaker: bool = False
    """Is heard however many talk. Travels as the token's attribute `org.voicechat.priority` = "1"."""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParticipantState:
    """Somebody in a room, as the SFU sees him. Times in ms since the epoch."""

    identity: str
    sid: str
    joined_ms: int
    microphone: Literal["none", "on", "muted"] = "none"
    camera: bool = False
    screen: bool = False
    speaking: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Those the client set itself included, such as `org.voicechat.deafened` = "1"."""


@dataclass(frozen=True, slots=True)
class Joined:
    room: str
    participant: ParticipantState


@dataclass(frozen=True, slots=True)
class Changed:
    """Muted, shares, talks, or other attributes: the whole new state."""

    room: str
    participant: ParticipantState


@dataclass(frozen=True, slots=True)
class Left:
    room: str
    identity: str
    sid: str
    reason: LeaveReason


@dataclass(frozen=True, slots=True)
class RoomsLost:
    """A worker or cluster went away with everybody in these rooms; they are expected to come back within seconds."""

    rooms: Sequence[str]


SfuEvent = Joined | Changed | Left | RoomsLost
SfuListener = Callable[[SfuEvent], None]
"""Synchronous and quick; called in the homeserver's event loop."""


class SfuUnavailable(Exception):  # noqa: N818 - it is a state, and reads like one
    """The SFU cannot be reached now; chat goes on."""


class SfuBackend(Protocol):
    """Every verb raises SfuUnavailable where the SFU does not answer in time."""

    def on_event(self, listener: SfuListener) -> None:
        """Subscribe; before `start`."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def ensure_room(self, room: str, options: RoomOptions) -> str:
        """Make the room, or give it these options; the WebSocket URL at which clients join it (without `/rtc`)."""
        ...

    def mint_token(self, grant: Grant) -> str:
        """A JWT for `grant.room`; valid for one hour, and then only for joining anew."""
        ...

    async def participants(self, room: str) -> Sequence[ParticipantState]:
        """Who is there; empty where there is no such room."""
        ...

    async def remove(self, room: str, identity: str, reason: LeaveReason = LeaveReason.REMOVED) -> bool:
        """Out, and no token made until now lets him in again. False where he was not there (tokens are void anyway)."""
        ...

    async def mute(self, room: str, identity: str, source: Source, *, muted: bool = True) -> bool:
        """Stop forwarding what he publishes of this kind, and tell his client. False where there is nothing to mute."""
        ...

    async def permit(self, room: str, grant: Grant) -> bool:
        """Change what somebody who is there may do; tracks no longer allowed end. False where he is not there."""
        ...

    async def send_data(self, room: str, topic: str, payload: bytes, identities: Sequence[str] = ()) -> None:
        """A reliable data packet from the server to these participants, or to all."""
        ...
