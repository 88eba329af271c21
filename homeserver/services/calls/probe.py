"""Calls with nobody in them: `doctor voice` asks for one, to find out whether voice reaches the people.

Who asks proves that he is the operator: he signs with this server's own key. Such a room belongs to no Matrix room, so its
two participants are in no roster, and nobody else has a token for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import Forbidden, InvalidSignature, LimitExceeded, Unavailable
from homeserver.protocol.signing import SigningKey, verify_json
from voice.sfu.backend import Grant, RoomOptions, SfuBackend, SfuUnavailable

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from voice.turn import TurnAccess, TurnCredentials

PURPOSE: Final = "voice probe"
"""Of the signed request, so that nothing else this key has signed is one."""
WINDOW_MS: Final = 60_000
MAX_NONCES: Final = 1_000
NONCE_CHARACTERS: Final = range(16, 65)


@dataclass(frozen=True, slots=True)
class Probe:
    """An empty call for two. `ports` are those that clients may have to reach; empty where the SFU is not ours."""

    url: str
    tokens: tuple[str, str]
    turn: TurnCredentials | None
    ports: Sequence[int]


@dataclass(slots=True)
class VoiceProbes:
    """`ports` is asked each time: workers open theirs when they start."""

    server_name: str
    key: SigningKey
    backend: SfuBackend
    turn: TurnAccess | None
    ports: Callable[[], Sequence[int]]
    clock: Clock
    _used: dict[str, int] = field(default_factory=dict)
    """Nonce -> when no request with it can be in time any more."""

    async def begin(self, signed: Mapping[str, Any]) -> Probe:
        """A room, and a token for each of two. Raises Forbidden, LimitExceeded, Unavailable."""
        self._check(signed)
        name = f"probe-{secrets.token_hex(8)}"
        try:
            url = await self.backend.ensure_room(name, RoomOptions(max_participants=2, region=signed.get("region")))
            talker, listener = (self.backend.mint_token(Grant(name, f"probe-{who}")) for who in ("talker", "listener"))
        except SfuUnavailable as error:
            raise Unavailable(f"The SFU cannot be reached: {error}") from error
        turn = None if self.turn is None else self.turn.credentials(name, self.clock.now_ms() / 1000)
        return Probe(url, (talker, listener), turn, self.ports())

    def _check(self, signed: Mapping[str, Any]) -> None:
        if signed["server_name"] != self.server_name or signed["purpose"] != PURPOSE:
            raise Forbidden(f"This is no request for a probe of {self.server_name}")
        try:
            verify_json(dict(signed), self.server_name, self.key.key_id, self.key.verify_key)
        except InvalidSignature as error:
            raise Forbidden(f"Only who has the signing key of {self.server_name} may ask for a probe") from error
        now_ms = self.clock.now_ms()
        if abs(now_ms - signed["ts"]) > WINDOW_MS:
            raise Forbidden("The clocks of the two machines differ by more than a minute")
        self._use(signed["nonce"], signed["ts"] + WINDOW_MS, now_ms)

    def _use(self, nonce: str, until_ms: int, now_ms: int) -> None:
        if len(nonce) not in NONCE_CHARACTERS:
            raise Forbidden("The nonce must have 16 to 64 characters")
        self._used = {used: until for used, until in self._used.items() if until >= now_ms}
        if nonce in self._used:
            raise Forbidden("This request was made before")
        if len(self._used) >= MAX_NONCES:
            raise LimitExceeded("Too many probes", retry_after_ms=WINDOW_MS)
        self._used[nonce] = until_ms
