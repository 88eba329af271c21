"""Files of other servers that are kept here for a while, for administrators."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.admin.media import MAX_SIZE, REMOVAL_TIME_LIMIT_MS, V1
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import MissingParam
from homeserver.services.media.remote import PurgeOtherServersMedia


@dataclass(frozen=True, slots=True)
class MediaCacheEndpoints:
    """They can be fetched again."""

    purge: PurgeOtherServersMedia

    @endpoint(
        "POST", f"{V1}/purge_media_cache", auth=Auth.ADMIN, time_limit_ms=REMOVAL_TIME_LIMIT_MS, limit="administration"
    )
    async def purge_cache(self, request: Request[None]) -> Response:
        """`before_ts`: when they were last asked for."""
        before_ms = request.query.integer("before_ts", minimum=1, maximum=MAX_SIZE)
        if before_ms is None:
            raise MissingParam("'before_ts' is missing: milliseconds since 1970")
        return {"deleted": await self.purge(request.requester, before_ms)}
