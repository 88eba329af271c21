"""Answers of other servers, remembered: bounded in number and in bytes, for each may be large."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from homeserver.services.spaces.remote import RemoteSpace

MAX_REMEMBERED: Final = 2_000
MAX_BYTES: Final = 16 * 1024 * 1024
"""Of answers as they came; in memory they are a few times as much."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """`space` None: nobody knew. `size`: of the answer, in bytes."""

    space: RemoteSpace | None
    until_ms: int
    size: int


@dataclass(slots=True)
class SpaceMemory:
    """By room, and who was asked about it; who was not asked for longest goes first."""

    held: int = 0
    _entries: OrderedDict[str, Remembered] = field(default_factory=OrderedDict)

    def get(self, room_id: str, now_ms: int) -> Remembered | None:
        """What is still good."""
        entry = self._entries.get(room_id)
        if entry is None or entry.until_ms <= now_ms:
            return None
        self._entries.move_to_end(room_id)
        return entry

    def put(self, room_id: str, entry: Remembered) -> None:
        """Remember, and forget others for it."""
        before = self._entries.pop(room_id, None)
        self._entries[room_id] = entry
        self.held += entry.size - (before.size if before is not None else 0)
        while len(self._entries) > MAX_REMEMBERED or self.held > MAX_BYTES:
            self.held -= self._entries.popitem(last=False)[1].size

    def __len__(self) -> int:
        return len(self._entries)
