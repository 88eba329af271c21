"""Whoever guesses passwords waits longer each time: for one account from one place, and for all accounts from there.

Beside the buckets of services/rate_limits.py, which let everybody go on at an even pace. In the memory of one process; a
restart forgives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import LimitExceeded
from homeserver.services.rate_limits import network_of

if TYPE_CHECKING:
    from homeserver.services.clock import Clock

SECOND_MS: Final = 1000
# Of one account from one place: typing errors cost nothing.
FREE_OF_ACCOUNT: Final = 5
# Of all accounts from one place, behind which a whole house may be.
FREE_OF_PLACE: Final = 100
FIRST_MS: Final = 5 * SECOND_MS
LONGEST_MS: Final = 15 * 60 * SECOND_MS
# Without a further failure as long, there was none.
FORGOTTEN_MS: Final = 60 * 60 * SECOND_MS
# About 200 bytes each.
MAX_KEPT: Final = 20_000


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_ms: int = 0
    blocked_until_ms: int = 0


@dataclass(slots=True)
class BackOff:
    """Failures by place and account. From a right password on, its account is forgiven; the place is not, or Mallory would sign
    in to an account of his own after each guess.
    """

    clock: Clock
    max_kept: int = MAX_KEPT
    _failures: dict[tuple[str, str], _Failures] = field(default_factory=dict)

    def check(self, address: str, account: str) -> None:
        """Before a password is looked at. Raises LimitExceeded."""
        now_ms, place = self.clock.now_ms(), network_of(address)
        found = (self._failures.get(key) for key in ((place, account), (place, "")))
        until_ms = max((each.blocked_until_ms for each in found if each is not None), default=0)
        if until_ms > now_ms:
            raise LimitExceeded("Too many wrong passwords", retry_after_ms=until_ms - now_ms)

    def failed(self, address: str, account: str) -> None:
        """A wrong password."""
        place = network_of(address)
        self._note((place, account), FREE_OF_ACCOUNT)
        self._note((place, ""), FREE_OF_PLACE)

    def succeeded(self, address: str, account: str) -> None:
        """A right one."""
        self._failures.pop((network_of(address), account), None)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"places": len(self._failures)}

    def _note(self, key: tuple[str, str], free: int) -> None:
        now_ms = self.clock.now_ms()
        if key not in self._failures and len(self._failures) >= self.max_kept:
            self._forget(now_ms)
        known = self._failures.get(key)
        if known is None or known.last_ms < now_ms - FORGOTTEN_MS:
            known = self._failures[key] = _Failures()
        known.count, known.last_ms = known.count + 1, now_ms
        if known.count >= free:
            known.blocked_until_ms = now_ms + min(FIRST_MS << min(known.count - free, 20), LONGEST_MS)

    def _forget(self, now_ms: int) -> None:
        """The old ones; in a flood from many places those that have waited least."""
        kept = {key: each for key, each in self._failures.items() if each.last_ms >= now_ms - FORGOTTEN_MS}
        if len(kept) >= self.max_kept * 0.9:
            worst = sorted(kept.items(), key=lambda item: item[1].count, reverse=True)
            kept = dict(worst[: self.max_kept // 2])
        self._failures = kept
