"""MSC4194: what a user has said in a room is redacted, some dozens of events a request."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.user_redaction.redact_user import RedactUser

DEFAULT_LIMIT = 25
MAX_LIMIT = 2**31


class RedactBody(msgspec.Struct):
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RedactUserEndpoints:
    """For moderators."""

    redact: RedactUser

    @endpoint(
        "POST",
        "/_matrix/client/unstable/org.matrix.msc4194/rooms/{room_id}/redact/user/{user_id}",
        suspended=False,
        body=RedactBody,
        limit="message",
    )
    async def redact_user(self, request: Request[RedactBody]) -> Response:
        """`limit`: how many events at most; the server may do fewer."""
        limit = request.query.integer("limit", DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)
        path = request.path
        done = await self.redact(request.requester, path["room_id"], path["user_id"], request.body.reason, limit)
        return {
            "is_more_events": done.is_more,
            "redacted_events": {"total": done.total, "soft_failed": done.soft_failed},
        }
