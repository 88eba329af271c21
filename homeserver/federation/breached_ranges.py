"""Asks a range API for hashes of passwords that others have lost; implements services/accounts/breached.py."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from homeserver.federation.connections import Connections

# Somebody waits for his account.
TIMEOUT_S: Final = 4.0
# About 1,000 lines of 40 bytes, and padding.
MAX_BYTES: Final = 512 * 1024
# Whoever registers says his password in every step.
KEPT: Final = 8

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GuardedRanges:
    """`url`: what the five digits are written behind. Keeps the answers to a few questions in memory."""

    connections: Connections
    url: str
    _kept: dict[str, str] = field(default_factory=dict)

    async def __call__(self, prefix: str) -> str | None:
        """As services/accounts/breached.py says."""
        if prefix in self._kept:
            return self._kept[prefix]
        headers = {"Add-Padding": "true"}
        try:
            page = await self.connections.ask("GET", self.url + prefix, MAX_BYTES, TIMEOUT_S, headers=headers)
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("%s says nothing of breached passwords: %s", urlsplit(self.url).netloc, type(error).__name__)
            return None
        if page.status != 200:
            log.warning("%s says nothing of breached passwords: status %d", urlsplit(self.url).netloc, page.status)
            return None
        self._keep(prefix, page.body.decode("ascii", "replace"))
        return self._kept[prefix]

    def _keep(self, prefix: str, lines: str) -> None:
        while len(self._kept) >= KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[prefix] = lines
