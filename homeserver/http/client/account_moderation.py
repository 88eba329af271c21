"""Locked and suspended accounts. Client-server API, "Account moderation"; MSC4323."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.standing.moderation import AccountModeration

STABLE = "/_matrix/client/v1/admin"
UNSTABLE = "/_matrix/client/unstable/uk.timedout.msc4323/admin"
LOCK = (f"{STABLE}/lock/{{user_id}}", f"{UNSTABLE}/lock/{{user_id}}")
SUSPEND = (f"{STABLE}/suspend/{{user_id}}", f"{UNSTABLE}/suspend/{{user_id}}")


class LockBody(msgspec.Struct):
    locked: bool


class SuspendBody(msgspec.Struct):
    suspended: bool


@dataclass(frozen=True, slots=True)
class AccountModerationEndpoints:
    """For administrators; the service checks that, before it looks anybody up."""

    moderation: AccountModeration

    @endpoint("GET", *LOCK)
    async def locked(self, request: Request[None]) -> Response:
        return {"locked": await self.moderation.is_locked(request.requester, request.path["user_id"])}

    @endpoint("PUT", *LOCK, body=LockBody, limit="administration")
    async def lock(self, request: Request[LockBody]) -> Response:
        await self.moderation.set_locked(request.requester, request.path["user_id"], request.body.locked)
        return {"locked": request.body.locked}

    @endpoint("GET", *SUSPEND)
    async def suspended(self, request: Request[None]) -> Response:
        return {"suspended": await self.moderation.is_suspended(request.requester, request.path["user_id"])}

    @endpoint("PUT", *SUSPEND, body=SuspendBody, limit="administration")
    async def suspend(self, request: Request[SuspendBody]) -> Response:
        await self.moderation.set_suspended(request.requester, request.path["user_id"], request.body.suspended)
        return {"suspended": request.body.suspended}
