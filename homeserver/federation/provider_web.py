"""Requests to providers that people sign in with. The administrator names them; where else they lead is checked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from homeserver.protocol.errors import Unavailable
from homeserver.services.upstream.web import WebAnswer

if TYPE_CHECKING:
    from homeserver.federation.connections import Connections

# Somebody waits in front of his browser.
TIMEOUT_S: Final = 10.0
# 10,000 names of groups fit.
MAX_BYTES: Final = 2 * 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GuardedProviderWeb:
    """Implements services/upstream/web.py. A slow provider holds up nobody but those who ask it: connections count by host."""

    connections: Connections

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
    ) -> WebAnswer:
        """As services/upstream/web.py says."""
        body, sent = None, dict(headers or {})
        if form is not None:
            body, sent["Content-Type"] = urlencode(form).encode(), "application/x-www-form-urlencoded"
        try:
            async with asyncio.timeout(TIMEOUT_S):
                page = await self.connections.ask(method, url, MAX_BYTES, TIMEOUT_S, headers=sent, body=body)
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("the provider at %s gave no answer: %s", urlsplit(url).netloc, type(error).__name__)
            raise Unavailable("The provider cannot be reached right now. Try again, or sign in another way.") from None
        content_type = page.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return WebAnswer(page.status, content_type, page.body)
