"""GET /sync. Client-server API, "Syncing"."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import endpoint
from homeserver.http.query import Query
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.protocol.filters import Filter
from homeserver.services.filters.filters import Filters
from homeserver.services.sync.engine import Sync
from homeserver.services.sync.request import MAX_TIMEOUT_MS, SyncRequest
from homeserver.services.tokens import StreamToken

PRESENCE = ("offline", "online", "unavailable", "busy")
EVERYTHING = Filter()
# The parameter that asks for state at the end of the timeline, and the key it then stands under.
STATE_AFTER = {
    "use_state_after": "state_after",
    "org.matrix.msc4222.use_state_after": "org.matrix.msc4222.state_after",
}
TIME_TO_ANSWER_MS = 120_000


@dataclass(frozen=True, slots=True)
class SyncEndpoints:
    """The one endpoint that clients spend their lives in."""

    sync: Sync
    filters: Filters

    @endpoint(
        "GET",
        "/_matrix/client/v3/sync",
        guests=True,
        waits=True,
        limit="sync",
        time_limit_ms=MAX_TIMEOUT_MS + TIME_TO_ANSWER_MS,
    )
    async def get_sync(self, request: Request[None]) -> Response:
        query = request.query
        since = query.string("since")
        return Raw(
            await self.sync(
                SyncRequest(
                    requester=request.requester,
                    filter=await self._filter(request),
                    # Clients send an empty `since` and mean none.
                    since=StreamToken.parse(since) if since else None,
                    timeout_ms=query.integer("timeout", 0, minimum=0, maximum=MAX_TIMEOUT_MS),
                    full_state=query.boolean("full_state"),
                    set_presence=query.one_of("set_presence", PRESENCE, "online"),
                    state_after=_state_after(query),
                )
            )
        )

    async def _filter(self, request: Request[None]) -> Filter:
        text = request.query.string("filter")
        return await self.filters.resolve(request.requester.user_id, text) if text else EVERYTHING


def _state_after(query: Query) -> tuple[str, ...]:
    return tuple(key for parameter, key in STATE_AFTER.items() if query.boolean(parameter))
