"""Pictures of people from addresses that somebody else has written down: guarded as previews are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from homeserver.federation.web.pages import WebPages
from homeserver.protocol.errors import MatrixError
from homeserver.services.previews.urls import page_url
from homeserver.services.upstream.profile import PICTURE_TYPES, Picture

TIMEOUT_S: Final = 5.0
MAX_BYTES: Final = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GuardedPictures:
    """Implements `GetPicture` of services/upstream/profile.py."""

    web: WebPages

    async def __call__(self, url: str) -> Picture | None:
        """As services/upstream/profile.py says."""
        try:
            async with asyncio.timeout(TIMEOUT_S), self.web.open(page_url(url), ", ".join(PICTURE_TYPES)) as page:
                if page.content_type not in PICTURE_TYPES:
                    return None
                return Picture(page.content_type, await page.whole(MAX_BYTES))
        except (MatrixError, TimeoutError):
            return None
