"""Rooms of a space that this server is not in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from homeserver.services.spaces.space_room import SpaceRoom


@dataclass(frozen=True, slots=True)
class RemoteSpace:
    """A room by the word of another server. `children`: what it says of rooms in it, without what is below those.

    `closed`: rooms that nobody of this server could get into.
    """

    room: SpaceRoom
    children: Mapping[str, SpaceRoom] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()


class OtherServersSpaces(Protocol):
    """Implemented by federation/spaces/asking.py."""

    async def ask(self, room_id: str, via: Sequence[str]) -> RemoteSpace | None:
        """What one of these servers says; None where none knows, or none can be reached."""
        ...


class NoOtherServersSpaces:
    """Where federation is switched off."""

    __slots__ = ()

    async def ask(self, room_id: str, via: Sequence[str]) -> RemoteSpace | None:
        return None
