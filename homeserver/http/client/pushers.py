"""Client-server API, "Push Notifications": pushers, and what there was to notify of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.push.checks import PusherBody
from homeserver.services.push.notifications import DEFAULT_LIMIT, MAX_LIMIT, Notifications, Notified
from homeserver.services.push.pushers import Pushers
from homeserver.storage.pushers import Pusher

PUSHERS = "/_matrix/client/v3/pushers"
ENABLED = "org.matrix.msc3881.enabled"
DEVICE_ID = "org.matrix.msc3881.device_id"


class SetBody(msgspec.Struct):
    kind: str | None
    app_id: str
    pushkey: str
    app_display_name: str | None = None
    device_display_name: str | None = None
    profile_tag: str | None = None
    lang: str | None = None
    data: dict[str, Any] | None = None
    append: bool | None = None
    enabled: bool = msgspec.field(default=True, name=ENABLED)


@dataclass(frozen=True, slots=True)
class PusherEndpoints:
    """Where one wants to be notified."""

    pushers: Pushers

    @endpoint("GET", PUSHERS)
    async def of_user(self, request: Request[None]) -> Response:
        return {"pushers": [_to_client(each) for each in self.pushers.of_user(request.requester.user_id)]}

    @endpoint("POST", PUSHERS + "/set", body=SetBody, limit="pusher")
    async def set(self, request: Request[SetBody]) -> Response:
        body, requester = request.body, request.requester
        if body.kind is None:
            await self.pushers.delete(requester.user_id, body.app_id, body.pushkey)
        else:
            await self.pushers.set(requester, body.kind, body.app_id, body.pushkey, _wanted(body))
        return {}


def _wanted(body: SetBody) -> PusherBody:
    return PusherBody(
        body.app_display_name,
        body.device_display_name,
        body.profile_tag,
        body.lang,
        body.data,
        append=bool(body.append),
        enabled=body.enabled,
    )


def _to_client(pusher: Pusher) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "pushkey": pusher.pushkey,
        "kind": pusher.kind,
        "app_id": pusher.app_id,
        "app_display_name": pusher.app_display_name,
        "device_display_name": pusher.device_display_name,
        "lang": pusher.lang,
        "data": pusher.data,
        ENABLED: pusher.enabled,
    }
    if pusher.profile_tag is not None:
        shown["profile_tag"] = pusher.profile_tag
    if pusher.device_id is not None:
        shown[DEVICE_ID] = pusher.device_id
    return shown


@dataclass(frozen=True, slots=True)
class NotificationEndpoints:
    """What one has been notified of."""

    notifications: Notifications

    @endpoint("GET", "/_matrix/client/v3/notifications", limit="notifications")
    async def page(self, request: Request[None]) -> Response:
        query = request.query
        page = await self.notifications.page(
            request.requester,
            query.string("from"),
            query.integer("limit", DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT),
            query.string("only"),
        )
        answer: dict[str, Any] = {"notifications": [_notified(each) for each in page.notifications]}
        return answer if page.next_token is None else {**answer, "next_token": page.next_token}


def _notified(notified: Notified) -> dict[str, Any]:
    return {
        "room_id": notified.room_id,
        "event": orjson.Fragment(notified.event),
        "actions": notified.actions,
        "read": notified.read,
        "ts": notified.ts,
        # There are no rules for single devices any more; clients look for it all the same.
        "profile_tag": "",
    }
