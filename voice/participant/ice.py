"""The full, controlling agent, mostly against an ICE-lite one: checks, one nomination, and consent for as long as it lasts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aioice import stun

from voice.participant.paths import Address

CONSENT_SECONDS = 2.0
"""RFC 7675 section 5.1 has 5 on average; the SFU takes us for gone after 4."""
_FIRST_RETRY = 0.05
_LONGEST_RETRY = 0.8
_HOST_PRIORITY = 2_130_706_431
_REMEMBERED = 32


@dataclass(frozen=True, slots=True)
class Credentials:
    ufrag: str
    password: str

    @classmethod
    def new(cls) -> Credentials:
        return cls(secrets.token_hex(4), secrets.token_hex(16))


@dataclass(slots=True)
class IceAgent:
    """Plain checks to all targets until one answers, then a nominating one to it, repeated as consent."""

    ours: Credentials
    theirs: Credentials
    targets: Sequence[Address]
    send: Callable[[bytes, Address], None]
    on_nominated: Callable[[], None]
    selected: Address | None = None
    """Where media goes; None before the nomination went through."""
    answered_checks: int = 0
    _chosen: Address | None = None
    _waiting: dict[bytes, tuple[Address, bool]] = field(default_factory=dict)
    _tie_breaker: int = field(default_factory=lambda: secrets.randbits(64))
    _timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._tick(_FIRST_RETRY)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self, pause: float) -> None:
        for target in [self._chosen] if self._chosen else self.targets:
            self._check(target, nominating=self._chosen is not None)
        pause = CONSENT_SECONDS if self.selected else min(pause * 2, _LONGEST_RETRY)
        self._timer = asyncio.get_running_loop().call_later(pause, self._tick, pause)

    def _check(self, target: Address, *, nominating: bool) -> None:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self.theirs.ufrag}:{self.ours.ufrag}"
        request.attributes["PRIORITY"] = _HOST_PRIORITY
        request.attributes["ICE-CONTROLLING"] = self._tie_breaker
        if nominating:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self.theirs.password.encode())
        request.add_fingerprint()
        self._waiting[request.transaction_id] = target, nominating
        while len(self._waiting) > _REMEMBERED:
            del self._waiting[next(iter(self._waiting))]
        self.send(bytes(request), target)

    def arrived(self, packet: bytes) -> None:
        """A STUN message: an answer to a check of ours, or a check of a peer that is no lite agent (LiveKit's server)."""
        try:
            answer = stun.parse_message(packet)
        except ValueError:
            return
        if answer.message_class == stun.Class.REQUEST:
            self._answer(answer)
            return
        if not answer.check_message_integrity(self.theirs.password.encode()):
            return
        waiting = self._waiting.pop(answer.transaction_id, None)
        if waiting is None or answer.message_class != stun.Class.RESPONSE:
            return
        self.answered_checks += 1
        self._succeeded(*waiting)

    def _answer(self, request: stun.Message) -> None:
        password = self.ours.password.encode()
        if request.message_method != stun.Method.BINDING or not request.check_message_integrity(password):
            return
        source = self._chosen or self.targets[0]
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = source
        answer.add_message_integrity(password)
        answer.add_fingerprint()
        self.send(bytes(answer), source)

    def _succeeded(self, target: Address, nominating: bool) -> None:
        if self._chosen is None:
            self._chosen = target
            self._check(target, nominating=True)
        elif nominating and self.selected is None:
            self.selected = target
            self.close()
            self._timer = asyncio.get_running_loop().call_later(CONSENT_SECONDS, self._tick, CONSENT_SECONDS)
            self.on_nominated()
