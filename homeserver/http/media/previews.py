"""GET /preview_url: what a link leads to."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.previews.previews import UrlPreviews


@dataclass(frozen=True, slots=True)
class PreviewEndpoints:
    """Only for people with an account: each question makes this server ask somebody."""

    previews: UrlPreviews

    @endpoint(
        "GET",
        "/_matrix/client/v1/media/preview_url",
        "/_matrix/media/v3/preview_url",
        limit="url_preview",
    )
    async def preview(self, request: Request[None]) -> Response:
        """OpenGraph properties."""
        url, at_ms = request.query.required("url"), request.query.integer("ts", minimum=0)
        return dict(await self.previews.preview(request.requester.user_id, url, at_ms))
