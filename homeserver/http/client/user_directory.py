"""Client-server API, "User Directory"."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import InvalidParam
from homeserver.services.user_directory.search import DEFAULT_LIMIT, FoundUser, SearchUsers


class UserSearchBody(msgspec.Struct):
    search_term: str
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class UserDirectoryEndpoints:
    """One endpoint."""

    search: SearchUsers

    @endpoint("POST", "/_matrix/client/v3/user_directory/search", body=UserSearchBody, limit="search")
    async def find(self, request: Request[UserSearchBody]) -> Response:
        body = request.body
        if body.limit is not None and body.limit < 0:
            raise InvalidParam("'limit' must not be negative")
        limit = DEFAULT_LIMIT if body.limit is None else body.limit
        users, limited = await self.search(request.requester.user_id, body.search_term, limit)
        return {"results": [_user(each) for each in users], "limited": limited}


def _user(user: FoundUser) -> dict[str, str]:
    told = {"user_id": user.user_id, "display_name": user.displayname, "avatar_url": user.avatar_url}
    return {key: text for key, text in told.items() if text}
