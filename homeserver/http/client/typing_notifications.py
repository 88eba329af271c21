"""Client-server API, "Typing Notifications"."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.typing_users import TypingUsers


class TypingBody(msgspec.Struct):
    typing: bool
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class TypingEndpoints:
    """Who is typing."""

    typing: TypingUsers

    @endpoint(
        "PUT",
        "/_matrix/client/v3/rooms/{room_id}/typing/{user_id}",
        guests=True,
        suspended=False,
        body=TypingBody,
        limit="typing",
    )
    async def set_typing(self, request: Request[TypingBody]) -> Response:
        path, body = request.path, request.body
        await self.typing.set(request.requester, path["user_id"], path["room_id"], body.typing, body.timeout)
        return {}
