"""Tokens that are void since their bearer was removed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass(slots=True)
class Revocations:
    """Per room and identity the moment of the last removal; a token is void when it was made before or at it."""

    longest_token_life_ms: int
    most: int
    _removed_ms: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)

    def revoke(self, room: str, identity: str, now_ms: int) -> None:
        self._removed_ms.pop((room, identity), None)
        self._removed_ms[room, identity] = now_ms
        self._forget(now_ms)

    def is_void(self, room: str, identity: str, issued_s: float) -> bool:
        """Tokens name whole seconds or round to milliseconds, so those of that second or millisecond are void too."""
        removed_ms = self._removed_ms.get((room, identity))
        if removed_ms is None:
            return False
        precise = issued_s != int(issued_s)
        return issued_s * 1000 <= removed_ms + 1 if precise else int(issued_s) <= removed_ms // 1000

    def _forget(self, now_ms: int) -> None:
        while self._removed_ms:
            oldest = next(iter(self._removed_ms.values()))
            if len(self._removed_ms) <= self.most and oldest > now_ms - self.longest_token_life_ms:
                return
            self._removed_ms.popitem(last=False)
