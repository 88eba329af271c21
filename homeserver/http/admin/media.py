"""Files, for administrators, at the addresses and in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import MissingParam
from homeserver.services.media.quarantine import Quarantine
from homeserver.services.media.removal import RemoveMedia, Unused
from homeserver.services.media.room_media import FilesOfRoom
from homeserver.storage.quarantine import FileRecord

V1 = "/_synapse/admin/v1"
# As long as thousands of files take.
REMOVAL_TIME_LIMIT_MS = 60 * 60_000
MAX_SIZE = 2**53 - 1


@dataclass(frozen=True, slots=True)
class AdminMediaEndpoints:
    """Who has which file, and who gets it."""

    quarantine: Quarantine
    removal: RemoveMedia
    files_of_room: FilesOfRoom
    server_name: str

    @endpoint("GET", f"{V1}/media/{{server_name}}/{{media_id}}", auth=Auth.ADMIN)
    async def get(self, request: Request[None]) -> Response:
        server_name, media_id = request.path["server_name"], request.path["media_id"]
        record = await self.quarantine.record(server_name, media_id)
        return {"media_info": {"media_origin": self._origin(server_name), "media_id": media_id, **_shown(record)}}

    @endpoint("GET", f"{V1}/room/{{room_id}}/media", auth=Auth.ADMIN, time_limit_ms=REMOVAL_TIME_LIMIT_MS)
    async def of_room(self, request: Request[None]) -> Response:
        files = sorted(await self.files_of_room(request.path["room_id"]))
        return {
            "local": [f"mxc://{name}/{media_id}" for name, media_id in files if name == self.server_name],
            "remote": [f"mxc://{name}/{media_id}" for name, media_id in files if name != self.server_name],
        }

    @endpoint("POST", f"{V1}/media/quarantine/{{server_name}}/{{media_id}}", auth=Auth.ADMIN, limit="administration")
    async def put(self, request: Request[None]) -> Response:
        await self.quarantine.put(request.requester, request.path["server_name"], request.path["media_id"])
        return {}

    @endpoint("POST", f"{V1}/media/unquarantine/{{server_name}}/{{media_id}}", auth=Auth.ADMIN, limit="administration")
    async def release(self, request: Request[None]) -> Response:
        await self.quarantine.release(request.requester, request.path["server_name"], request.path["media_id"])
        return {}

    @endpoint(
        "POST",
        f"{V1}/room/{{room_id}}/media/quarantine",
        f"{V1}/quarantine_media/{{room_id}}",
        auth=Auth.ADMIN,
        time_limit_ms=REMOVAL_TIME_LIMIT_MS,
        limit="administration",
    )
    async def put_room(self, request: Request[None]) -> Response:
        return {"num_quarantined": await self.quarantine.put_room(request.requester, request.path["room_id"])}

    @endpoint("POST", f"{V1}/user/{{user_id}}/media/quarantine", auth=Auth.ADMIN, limit="administration")
    async def put_user(self, request: Request[None]) -> Response:
        return {"num_quarantined": await self.quarantine.put_user(request.requester, request.path["user_id"])}

    @endpoint("POST", f"{V1}/media/protect/{{media_id}}", auth=Auth.ADMIN, limit="administration")
    async def protect(self, request: Request[None]) -> Response:
        await self.quarantine.protect(request.requester, request.path["media_id"], True)
        return {}

    @endpoint("POST", f"{V1}/media/unprotect/{{media_id}}", auth=Auth.ADMIN, limit="administration")
    async def unprotect(self, request: Request[None]) -> Response:
        await self.quarantine.protect(request.requester, request.path["media_id"], False)
        return {}

    @endpoint("DELETE", f"{V1}/media/{{server_name}}/{{media_id}}", auth=Auth.ADMIN, limit="administration")
    async def delete(self, request: Request[None]) -> Response:
        path = request.path
        return _removed(await self.removal.one(request.requester, path["server_name"], path["media_id"]))

    @endpoint(
        "POST",
        f"{V1}/media/delete",
        f"{V1}/media/{{server_name}}/delete",
        auth=Auth.ADMIN,
        time_limit_ms=REMOVAL_TIME_LIMIT_MS,
        limit="administration",
    )
    async def delete_unused(self, request: Request[None]) -> Response:
        """`before_ts` (last asked for), `size_gt` (bytes), `keep_profiles`."""
        query = request.query
        before_ms = query.integer("before_ts", minimum=1, maximum=MAX_SIZE)
        if before_ms is None:
            raise MissingParam("'before_ts' is missing: milliseconds since 1970")
        size = query.integer("size_gt", 0, minimum=0, maximum=MAX_SIZE)
        which = Unused(before_ms, size, query.boolean("keep_profiles", default=True))
        return _removed(await self.removal.unused(request.requester, which))

    def _origin(self, server_name: str) -> str | None:
        return None if server_name == self.server_name else server_name


def _removed(media_ids: list[str]) -> dict[str, Any]:
    return {"deleted_media": media_ids, "total": len(media_ids)}


def _shown(record: FileRecord) -> dict[str, Any]:
    return {
        "user_id": record.user_id,
        "media_type": record.content_type,
        "media_length": record.size,
        "upload_name": record.file_name,
        "created_ts": record.created_ms,
        "last_access_ts": record.last_access_ms,
        "quarantined_by": record.quarantined_by,
        "safe_from_quarantine": record.protected,
        "sha256": None if record.sha256 is None else record.sha256.hex(),
    }
