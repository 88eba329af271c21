"""What moderators have muted, in memory: asked for everybody who comes into a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from voice.sfu.backend import Source

MUTED_BY: Final[dict[str, Sequence[Source]]] = {
    "microphone": ("microphone",),
    "camera": ("camera",),
    "screen": ("screen_share", "screen_share_audio"),
}
"""What may be muted, and what that is to the SFU."""


@dataclass(slots=True)
class Silences:
    """By room and user. Filled by `LastingMutes`."""

    _of: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def of(self, room_id: str, user_id: str) -> Sequence[str]:
        """Keys of MUTED_BY; empty for nearly everybody."""
        return self._of.get((room_id, user_id), ())

    def put(self, room_id: str, user_id: str, what: str) -> None:
        self._of[room_id, user_id] = tuple(sorted({*self.of(room_id, user_id), what}))

    def lift(self, room_id: str, user_id: str, what: str) -> None:
        left = tuple(each for each in self.of(room_id, user_id) if each != what)
        if left:
            self._of[room_id, user_id] = left
        else:
            self._of.pop((room_id, user_id), None)

    def __len__(self) -> int:
        return len(self._of)
