"""Names and passwords of connectivity checks, through restarts of ICE."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from voice.sfu.embedded.transport.stun import BindingRequest

_MAX_TRANSACTIONS = 128


@dataclass(frozen=True, slots=True)
class Credentials:
    """Both of ice-char; at least 24 and 128 bits of randomness (RFC 8445 section 5.3)."""

    ufrag: str = field(default_factory=lambda: secrets.token_hex(6))
    password: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(slots=True)
class CredentialHistory:
    """The newest, and the ones before until the peer uses the newest."""

    current: Credentials = field(default_factory=Credentials)
    previous: Credentials | None = None

    def restart(self) -> Credentials | None:
        """New ones; returns those that are void now."""
        void, self.previous = self.previous, self.current
        self.current = Credentials()
        return void

    def password_of(self, request: BindingRequest) -> str | None:
        """Whose integrity value proves that its maker knows the password; None for nobody's."""
        for credentials in (self.current, self.previous):
            if credentials is not None and credentials.ufrag == request.ufrag:
                return credentials.password if request.is_authentic(credentials.password) else None
        return None

    def settle(self, request: BindingRequest) -> Credentials | None:
        """After an authentic check: the previous ones, if they are void now."""
        if self.previous is None or request.ufrag != self.current.ufrag:
            return None
        void, self.previous = self.previous, None
        return void


@dataclass(slots=True)
class RecentTransactions:
    """Where the last checks came from.

    A check repeated from another address is somebody else's: he recorded it, and would have our media sent to a third.
    Clients make a new transaction for each pair of addresses.
    """

    _seen: dict[bytes, object] = field(default_factory=dict)

    def is_replay(self, transaction: bytes, source: object) -> bool:
        known = self._seen.setdefault(transaction, source)
        if len(self._seen) > _MAX_TRANSACTIONS:
            del self._seen[next(iter(self._seen))]
        return known != source
