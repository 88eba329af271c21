"""Client-server API, "Room summaries", and its two unstable paths (MSC3266)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.services.spaces.summary import SummariseRoom

STABLE = "/_matrix/client/v1/room_summary/{room}"
UNSTABLE = "/_matrix/client/unstable/im.nheko.summary/summary/{room}"
# "this was a mistake in this MSC", and is what nheko asks all the same.
OLDEST = "/_matrix/client/unstable/im.nheko.summary/rooms/{room}/summary"
# What these two call it, and nothing else: to clients made with Ruma both names together are one too many.
UNSTABLE_NAMES = {"encryption": "im.nheko.summary.encryption", "room_version": "im.nheko.summary.room_version"}


@dataclass(frozen=True, slots=True)
class RoomSummaryEndpoints:
    """One answer, at three paths."""

    summarise: SummariseRoom
    limiter: AnyRateLimiter

    @endpoint("GET", STABLE, auth=Auth.OPTIONAL, guests=True, limit="directory")
    async def summary(self, request: Request[None]) -> Response:
        return await self._summary(request)

    @endpoint("GET", UNSTABLE, OLDEST, auth=Auth.OPTIONAL, guests=True, limit="directory")
    async def summary_unstable(self, request: Request[None]) -> Response:
        return {UNSTABLE_NAMES.get(key, key): told for key, told in (await self._summary(request)).items()}

    async def _summary(self, request: Request[None]) -> dict[str, Any]:
        """Strangers have us ask other servers only now and then."""
        reader, room, via = request.optional_requester, request.path["room"], request.query.strings("via")
        if reader is None and self.summarise.asks_others(room, via):
            self.limiter.check("stranger_asks", None, request.remote_address)
        return await self.summarise(None if reader is None else reader.user_id, room, via)
