"""All that a user has said is redacted; at the addresses and in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.long_tasks.long_tasks import LongTasks
from homeserver.services.user_redaction.redact_all import DEFAULT_LIMIT, KIND, OrderRedaction, RedactionWish, shown

PATH = "/_synapse/admin/v1/user"


class RedactBody(msgspec.Struct):
    rooms: list[str]
    reason: str | None = None
    limit: int | None = None
    use_admin: bool | None = None
    before_ts: int | None = None
    after_ts: int | None = None


@dataclass(frozen=True, slots=True)
class UserRedactionEndpoints:
    """Orders, and how far they are."""

    order: OrderRedaction
    tasks: LongTasks

    @endpoint("POST", f"{PATH}/{{user_id}}/redact", auth=Auth.ADMIN, body=RedactBody, limit="administration")
    async def redact(self, request: Request[RedactBody]) -> Response:
        body = request.body
        limit = DEFAULT_LIMIT if body.limit is None else body.limit
        wish = RedactionWish(body.rooms, body.reason, limit, bool(body.use_admin), body.before_ts, body.after_ts)
        return {"redact_id": (await self.order(request.requester, request.path["user_id"], wish)).task_id}

    @endpoint("GET", f"{PATH}/redact_status/{{redact_id}}", auth=Auth.ADMIN)
    async def status(self, request: Request[None]) -> Response:
        return shown(await self.tasks.get(KIND, request.path["redact_id"]))
