"""One device of one user in a voice channel, as a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from voice.sfu.backend import ParticipantState

DEAFENED: Final = "org.voicechat.deafened"
"""Attribute that a client sets to "1" while its user hears nobody."""

SeatKey = tuple[str, str]
"""Names at the SFU: room and identity."""


class Member(NamedTuple):
    """Who is behind an identity of the SFU, and in which Matrix room."""

    room_id: str
    user_id: str
    device_id: str
    """Empty for an application service's user, who has no device."""
    member_id: str | None = None
    """Of clients that announce themselves by sticky events: the key of theirs."""


class Identity(Protocol):
    """What is known of somebody with a token."""

    @property
    def room_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def device_id(self) -> str | None: ...
    @property
    def member_id(self) -> str | None: ...


class IdentityLookup(Protocol):
    """Whose the identities are that we made tokens for; from memory."""

    def find(self, sfu_room: str, identity: str) -> Identity | None:
        """None where no token of ours has this identity in this room."""
        ...


def member_of(identity: Identity) -> Member:
    """The same as a value of ours."""
    return Member(identity.room_id, identity.user_id, identity.device_id or "", identity.member_id)


@dataclass(frozen=True, slots=True)
class Seat:
    """Somebody in a channel. `is_there` False: the SFU lost him, and he is expected back within seconds."""

    member: Member
    sfu_room: str
    since_ms: int
    """When he came; a reconnect does not change it."""
    participant: ParticipantState
    is_there: bool = True
    silenced: Sequence[str] = ()
    """What a moderator has muted, until one lifts it: `microphone`, `camera`, `screen`."""

    @property
    def key(self) -> SeatKey:
        return self.sfu_room, self.participant.identity

    @property
    def is_quiet(self) -> bool:
        """Neither talks nor shows anything."""
        seen = self.participant
        return not (seen.speaking or seen.camera or seen.screen)

    def as_json(self) -> dict[str, Any]:
        """As clients get it."""
        seen = self.participant
        silenced = {"muted_by_moderator": list(self.silenced)} if self.silenced else {}
        return {
            "device_id": self.member.device_id,
            "since_ts": self.since_ms,
            "microphone": seen.microphone,
            "deafened": seen.attributes.get(DEAFENED) == "1",
            "speaking": seen.speaking,
            "camera": seen.camera,
            "screen": seen.screen,
            **silenced,
        }


def roster_json(seats: Iterable[Seat]) -> dict[str, Any]:
    """The content of `org.voicechat.voice`: devices by user, in the order in which they came."""
    participants: dict[str, list[dict[str, Any]]] = {}
    for seat in sorted(seats, key=lambda seat: seat.since_ms):
        participants.setdefault(seat.member.user_id, []).append(seat.as_json())
    return {"participants": participants}
