"""Rooms that are deleted, history that is purged; at the addresses and in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.admin.room_block import checked_room_id
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import Unknown
from homeserver.services.long_tasks.long_tasks import LongTasks
from homeserver.services.room_removal import delete_room, purge_history
from homeserver.services.room_removal.delete_room import DeletionWish, OrderDeletion
from homeserver.services.room_removal.purge_history import OrderPurge
from homeserver.storage.long_tasks import LongTask

V1, V2 = "/_synapse/admin/v1", "/_synapse/admin/v2"
# As long as a very large room takes.
DELETION_TIME_LIMIT_MS = 60 * 60_000
NOTHING: dict[str, Any] = {
    "kicked_users": [],
    "failed_to_kick_users": [],
    "local_aliases": [],
    "new_room_id": None,
}


class DeletionBody(msgspec.Struct):
    new_room_user_id: str | None = None
    room_name: str | None = None
    message: str | None = None
    block: bool = False
    purge: bool = True
    force_purge: bool = False


class PurgeBody(msgspec.Struct):
    delete_local_events: bool = False
    purge_up_to_event_id: str | None = None
    purge_up_to_ts: int | None = None


@dataclass(frozen=True, slots=True)
class RoomRemovalEndpoints:
    """Orders, and how far they are."""

    order: OrderDeletion
    purge: OrderPurge
    tasks: LongTasks

    @endpoint(
        "DELETE",
        f"{V1}/rooms/{{room_id}}",
        auth=Auth.ADMIN,
        body=DeletionBody,
        empty_body=True,
        time_limit_ms=DELETION_TIME_LIMIT_MS,
        limit="administration",
    )
    async def delete(self, request: Request[DeletionBody]) -> Response:
        """Answers when it is done."""
        task = await self._order(request)
        if task is None:
            return NOTHING
        await self.tasks.wait(task)
        if task.status == "failed":
            raise Unknown(task.error)
        return delete_room.shown(task)

    @endpoint(
        "DELETE", f"{V2}/rooms/{{room_id}}", auth=Auth.ADMIN, body=DeletionBody, empty_body=True, limit="administration"
    )
    async def begin_deletion(self, request: Request[DeletionBody]) -> Response:
        task = await self._order(request)
        if task is None:
            raise Unknown("The room is blocked now; this server does not know it, so there is nothing to delete")
        return {"delete_id": task.task_id}

    @endpoint("GET", f"{V2}/rooms/{{room_id}}/delete_status", auth=Auth.ADMIN)
    async def deletions(self, request: Request[None]) -> Response:
        tasks = await self.tasks.of_target(delete_room.KIND, checked_room_id(request.path["room_id"]))
        return {"results": [_shown(task) for task in tasks]}

    @endpoint("GET", f"{V2}/rooms/delete_status/{{delete_id}}", auth=Auth.ADMIN)
    async def deletion(self, request: Request[None]) -> Response:
        return _shown(await self.tasks.get(delete_room.KIND, request.path["delete_id"]))

    @endpoint(
        "POST",
        f"{V1}/purge_history/{{room_id}}",
        f"{V1}/purge_history/{{room_id}}/{{event_id}}",
        auth=Auth.ADMIN,
        body=PurgeBody,
        empty_body=True,
        limit="administration",
    )
    async def begin_purge(self, request: Request[PurgeBody]) -> Response:
        body, path = request.body, request.path
        task = await self.purge(
            request.requester,
            checked_room_id(path["room_id"]),
            path.get("event_id") or body.purge_up_to_event_id,
            body.purge_up_to_ts,
            local_too=body.delete_local_events,
        )
        return {"purge_id": task.task_id}

    @endpoint("GET", f"{V1}/purge_history_status/{{purge_id}}", auth=Auth.ADMIN)
    async def purge_status(self, request: Request[None]) -> Response:
        task = await self.tasks.get(purge_history.KIND, request.path["purge_id"])
        # Synapse knows no order that has not begun.
        status = "active" if task.status == "scheduled" else task.status
        return {"status": status} if task.error is None else {"status": status, "error": task.error}

    async def _order(self, request: Request[DeletionBody]) -> LongTask | None:
        wish = DeletionWish(**msgspec.structs.asdict(request.body))
        return await self.order(request.requester, checked_room_id(request.path["room_id"]), wish)


def _shown(task: LongTask) -> dict[str, Any]:
    shown = {
        "delete_id": task.task_id,
        "room_id": task.target,
        "status": task.status,
        "shutdown_room": delete_room.shown(task),
    }
    return shown if task.error is None else {**shown, "error": task.error}
