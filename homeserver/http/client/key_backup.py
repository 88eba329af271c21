"""Server-side backup of room keys. Client-server API, "Server-side key backups"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import orjson

from homeserver.http.endpoint import KIBIBYTE, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.key_backup.backed_up_keys import BackedUpKeys
from homeserver.services.key_backup.versions import BackupVersions
from homeserver.storage.key_backups import BackedUpKey, BackupState, BackupVersion

VERSIONS = "/_matrix/client/v3/room_keys/version"
VERSION = VERSIONS + "/{version}"
ALL = "/_matrix/client/v3/room_keys/keys"
ROOM = ALL + "/{room_id}"
SESSION = ROOM + "/{session_id}"

# 200 keys of 2 KiB are one request of a client; an import may send more at once.
MAX_BODY_BYTES = 16 * 1024 * KIBIBYTE

Count = Annotated[int, msgspec.Meta(ge=0)]


class BackupBody(msgspec.Struct):
    algorithm: str
    auth_data: Any
    version: str | None = None


class KeyBody(msgspec.Struct):
    first_message_index: Count
    forwarded_count: Count
    is_verified: bool
    # "Algorithm-dependent data": an object in the one algorithm of the spec, a string in others.
    session_data: dict[str, Any] | str


class RoomBody(msgspec.Struct):
    sessions: dict[str, KeyBody]


class RoomsBody(msgspec.Struct):
    rooms: dict[str, RoomBody]


@dataclass(frozen=True, slots=True)
class KeyBackupVersionEndpoints:
    versions: BackupVersions

    @endpoint("POST", VERSIONS, body=BackupBody, limit="key_backup")
    async def create(self, request: Request[BackupBody]) -> Response:
        body = request.body
        return {"version": await self.versions.create(request.requester.user_id, body.algorithm, body.auth_data)}

    @endpoint("GET", VERSIONS)
    async def current(self, request: Request[None]) -> Response:
        return _backup(await self.versions.current(request.requester.user_id))

    @endpoint("GET", VERSION)
    async def one(self, request: Request[None]) -> Response:
        return _backup(await self.versions.get(request.requester.user_id, request.path["version"]))

    @endpoint("PUT", VERSION, body=BackupBody, limit="key_backup")
    async def update(self, request: Request[BackupBody]) -> Response:
        body, user_id = request.body, request.requester.user_id
        await self.versions.update(user_id, request.path["version"], body.algorithm, body.auth_data, body.version)
        return {}

    @endpoint("DELETE", VERSION, limit="key_backup")
    async def delete(self, request: Request[None]) -> Response:
        await self.versions.delete(request.requester.user_id, request.path["version"])
        return {}


@dataclass(frozen=True, slots=True)
class KeyBackupKeyEndpoints:
    """Each of the three depths with PUT, GET and DELETE."""

    keys: BackedUpKeys

    @endpoint("PUT", ALL, body=RoomsBody, max_body_bytes=MAX_BODY_BYTES, limit="key_backup")
    async def store_all(self, request: Request[RoomsBody]) -> Response:
        rooms = request.body.rooms.items()
        return await self._store(request, [key for room_id, room in rooms for key in _keys(room_id, room)])

    @endpoint("PUT", ROOM, body=RoomBody, max_body_bytes=MAX_BODY_BYTES, limit="key_backup")
    async def store_room(self, request: Request[RoomBody]) -> Response:
        return await self._store(request, list(_keys(request.path["room_id"], request.body)))

    @endpoint("PUT", SESSION, body=KeyBody, limit="key_backup")
    async def store_session(self, request: Request[KeyBody]) -> Response:
        room_id, session_id = request.path["room_id"], request.path["session_id"]
        return await self._store(request, [_key(room_id, session_id, request.body)])

    async def _store(self, request: Request[Any], keys: list[BackedUpKey]) -> Response:
        return _state(await self.keys.store(request.requester.user_id, request.query.required("version"), keys))

    @endpoint("GET", ALL)
    async def all(self, request: Request[None]) -> Response:
        rooms: dict[str, dict[str, Any]] = {}
        for key in await self.keys.get(request.requester.user_id, request.query.required("version")):
            rooms.setdefault(key.room_id, {"sessions": {}})["sessions"][key.session_id] = _key_data(key)
        return {"rooms": rooms}

    @endpoint("GET", ROOM)
    async def room(self, request: Request[None]) -> Response:
        found = await self.keys.get(
            request.requester.user_id, request.query.required("version"), request.path["room_id"]
        )  # fmt: skip
        return {"sessions": {key.session_id: _key_data(key) for key in found}}

    @endpoint("GET", SESSION)
    async def session(self, request: Request[None]) -> Response:
        path, version = request.path, request.query.required("version")
        return _key_data(
            await self.keys.get_one(request.requester.user_id, version, path["room_id"], path["session_id"])
        )  # fmt: skip

    @endpoint("DELETE", ALL, limit="key_backup")
    @endpoint("DELETE", ROOM, limit="key_backup")
    @endpoint("DELETE", SESSION, limit="key_backup")
    async def delete(self, request: Request[None]) -> Response:
        path, version = request.path, request.query.required("version")
        return _state(
            await self.keys.delete(request.requester.user_id, version, path.get("room_id"), path.get("session_id"))
        )


def _keys(room_id: str, room: RoomBody) -> Iterable[BackedUpKey]:
    return (_key(room_id, session_id, body) for session_id, body in room.sessions.items())


def _key(room_id: str, session_id: str, body: KeyBody) -> BackedUpKey:
    return BackedUpKey(
        room_id,
        session_id,
        body.first_message_index,
        body.forwarded_count,
        body.is_verified,
        orjson.dumps(body.session_data),
    )


def _key_data(key: BackedUpKey) -> dict[str, Any]:
    return {
        "first_message_index": key.first_message_index,
        "forwarded_count": key.forwarded_count,
        "is_verified": key.is_verified,
        "session_data": orjson.Fragment(key.session_data),
    }


def _state(state: BackupState) -> dict[str, Any]:
    return {"etag": str(state.etag), "count": state.key_count}


def _backup(backup: BackupVersion) -> dict[str, Any]:
    return {
        "algorithm": backup.algorithm,
        "auth_data": orjson.Fragment(backup.auth_data),
        "count": backup.key_count,
        "etag": str(backup.etag),
        "version": str(backup.version),
    }
