"""Tokens of those who were removed. LiveKit lets every token in until it expires, so ours say when they were made, and who
comes with one from before his removal is sent away again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from voice.sfu.backend import Grant
from voice.tokens import LIFETIME_S

ATTRIBUTE: Final = "org.voicechat.issued"
MAX_REMOVALS = 10_000


@dataclass(slots=True)
class VoidTokens:
    """`secret` signs the time: a client may set attributes of its own."""

    secret: bytes = field(repr=False)
    _removed_ms: dict[tuple[str, str], int] = field(default_factory=dict)

    def stamped(self, grant: Grant, now_ms: int) -> Grant:
        """The grant, with the time of its token: after his removal, should both be in the same millisecond."""
        now_ms = max(now_ms, self._removed_ms.get((grant.room, grant.identity), now_ms - 1) + 1)
        stamp = f"{now_ms}.{self._signature(grant.room, grant.identity, now_ms)}"
        return replace(grant, attributes={**grant.attributes, ATTRIBUTE: stamp})

    def remove(self, room: str, identity: str, now_ms: int) -> None:
        """No token made until now is good any more."""
        while len(self._removed_ms) >= MAX_REMOVALS:
            self._removed_ms.pop(next(iter(self._removed_ms)))
        self._removed_ms.pop((room, identity), None)
        self._removed_ms[room, identity] = now_ms

    def is_void(self, room: str, identity: str, attributes: Mapping[str, str], now_ms: int) -> bool:
        """Whether he came in with a token from before his removal."""
        removed_ms = self._removed_ms.get((room, identity))
        if removed_ms is None:
            return False
        if now_ms - removed_ms > LIFETIME_S * 1000:
            del self._removed_ms[room, identity]
            return False
        made, _, signature = attributes.get(ATTRIBUTE, "").partition(".")
        if not (made.isascii() and made.isdecimal() and len(made) < 16):
            return True
        expected = self._signature(room, identity, int(made))
        return not hmac.compare_digest(signature, expected) or int(made) <= removed_ms

    def __len__(self) -> int:
        return len(self._removed_ms)

    def _signature(self, room: str, identity: str, made_ms: int) -> str:
        text = f"{made_ms}\0{room}\0{identity}".encode()
        return hmac.new(self.secret, text, hashlib.sha256).hexdigest()[:32]
