"""Files of users and how much they have, at the addresses and in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.admin.paging import paging_of
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.limits import MAX_INTEGER
from homeserver.http.query import Query
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.administration.user_files import FileAdministration, FileOrder
from homeserver.storage.user_files import ORDERS, USAGE_ORDERS, Usage, UsageFilter, UserFile

V1 = "/_synapse/admin/v1"
# As long as a thousand files take.
REMOVAL_TIME_LIMIT_MS = 10 * 60_000


@dataclass(frozen=True, slots=True)
class UserFileEndpoints:
    """All for administrators."""

    files: FileAdministration

    @endpoint("GET", f"{V1}/users/{{user_id}}/media", auth=Auth.ADMIN)
    async def of_user(self, request: Request[None]) -> Response:
        order = _order_of(request.query)
        page, total = await self.files.of_user(request.path["user_id"], order)
        answer: dict[str, Any] = {"media": [_shown(request.path["user_id"], file) for file in page], "total": total}
        following = order.offset + len(page)
        return answer | {"next_token": following} if page and following < total else answer

    @endpoint(
        "DELETE",
        f"{V1}/users/{{user_id}}/media",
        auth=Auth.ADMIN,
        limit="administration",
        time_limit_ms=REMOVAL_TIME_LIMIT_MS,
    )
    async def delete(self, request: Request[None]) -> Response:
        """Of one page, as the list would show it."""
        removed = await self.files.delete(request.requester, request.path["user_id"], _order_of(request.query))
        return {"deleted_media": removed, "total": len(removed)}

    @endpoint("GET", f"{V1}/statistics/users/media", auth=Auth.ADMIN)
    async def usage(self, request: Request[None]) -> Response:
        query, place = request.query, paging_of(request.query)
        wanted = UsageFilter(
            query.integer("from_ts", 0, minimum=0),
            query.integer("until_ts", MAX_INTEGER, minimum=0),
            query.string("search_term"),
        )
        by = query.one_of("order_by", USAGE_ORDERS, "user_id")
        users, total = await self.files.usage(wanted, FileOrder(by, place.descending, place.limit, place.offset))
        answer: dict[str, Any] = {"users": [_shown_usage(user) for user in users], "total": total}
        following = place.offset + len(users)
        return answer | {"next_token": following} if users and following < total else answer


def _order_of(query: Query) -> FileOrder:
    """The newest first, unless something else is asked for."""
    is_usual = "order_by" not in query and "dir" not in query
    place = paging_of(query, direction="b" if is_usual else "f")
    return FileOrder(query.one_of("order_by", ORDERS, "created_ts"), place.descending, place.limit, place.offset)


def _shown_usage(usage: Usage) -> dict[str, Any]:
    return {
        "user_id": usage.user_id,
        "displayname": usage.displayname,
        "media_count": usage.files,
        "media_length": usage.length,
    }


def _shown(user_id: str, file: UserFile) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "media_id": file.media_id,
        "media_type": file.content_type,
        "media_length": file.size,
        "upload_name": file.file_name,
        "created_ts": file.created_ms,
        "last_access_ts": file.last_access_ms,
        "quarantined_by": file.quarantined_by,
        "safe_from_quarantine": file.protected,
    }
