"""Whose tokens are void: kept here for workers that die, and for rooms that they have forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MOST: Final = 100_000
SLACK_MS: Final = 60_000
"""Clients may refresh a token in the moment before they are removed."""


@dataclass(slots=True)
class VoidTokens:
    """By room and identity the moment of the last removal; `life_ms` later all tokens from before have expired."""

    life_ms: int
    _rooms: dict[str, dict[str, int]] = field(default_factory=dict)
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def add(self, room: str, identity: str, now_ms: int) -> None:
        if self._count >= MOST:
            self._make_place(now_ms)
        removed = self._rooms.setdefault(room, {})
        self._count += identity not in removed
        removed[identity] = now_ms

    def of(self, room: str, now_ms: int) -> Mapping[str, int]:
        """Identity -> since when, in ms since the epoch."""
        oldest = now_ms - self.life_ms - SLACK_MS
        return {identity: since for identity, since in self._rooms.get(room, {}).items() if since > oldest}

    def _make_place(self, now_ms: int) -> None:
        self.forget(now_ms)
        if self._count >= MOST:
            self._count -= len(self._rooms.pop(next(iter(self._rooms))))

    def forget(self, now_ms: int) -> None:
        """What no longer matters."""
        kept = {room: self.of(room, now_ms) for room in self._rooms}
        self._rooms = {room: dict(removed) for room, removed in kept.items() if removed}
        self._count = sum(map(len, self._rooms.values()))
