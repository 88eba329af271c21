"""Stored filters. Client-server API, "Filtering"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.filters.filters import MAX_FILTER_BYTES, Filters

FILTERS = "/_matrix/client/v3/user/{user_id}/filter"


@dataclass(frozen=True, slots=True)
class FilterEndpoints:
    """Everybody has his own."""

    filters: Filters

    @endpoint("POST", FILTERS, guests=True, body=dict, max_body_bytes=2 * MAX_FILTER_BYTES, limit="filter")
    async def create(self, request: Request[dict[str, Any]]) -> Response:
        return {"filter_id": await self.filters.create(_own_user_id(request), request.body)}

    @endpoint("GET", FILTERS + "/{filter_id}", guests=True)
    async def get(self, request: Request[None]) -> Response:
        return await self.filters.definition(_own_user_id(request), request.path["filter_id"])


def _own_user_id(request: Request[Any]) -> str:
    if request.path["user_id"] != request.requester.user_id:
        raise errors.Forbidden("These are somebody else's filters")
    return request.requester.user_id
