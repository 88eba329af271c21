"""MSC4306 and MSC4308: subscriptions to threads, by their unstable names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol.errors import InvalidParam
from homeserver.services.thread_subscriptions.changes import MAX_CHANGES, SubscriptionPages
from homeserver.services.thread_subscriptions.subscriptions import ThreadSubscriptions

UNSTABLE: Final = "/_matrix/client/unstable/"
SUBSCRIPTION: Final = UNSTABLE + "io.element.msc4306/rooms/{room_id}/thread/{root_id}/subscription"


class SubscriptionBody(msgspec.Struct):
    automatic: str | None = None
    """The event that subscribes the user without his doing."""


@dataclass(frozen=True, slots=True)
class ThreadSubscriptionEndpoints:
    """One thread, and all that changed."""

    subscriptions: ThreadSubscriptions
    pages: SubscriptionPages

    @endpoint("PUT", SUBSCRIPTION, body=SubscriptionBody, empty_body=True, limit="preferences")
    async def subscribe(self, request: Request[SubscriptionBody]) -> Response:
        path = request.path
        await self.subscriptions.subscribe(request.requester, path["room_id"], path["root_id"], request.body.automatic)
        return {}

    @endpoint("GET", SUBSCRIPTION)
    async def subscription(self, request: Request[None]) -> Response:
        found = await self.subscriptions.get(request.requester, request.path["room_id"], request.path["root_id"])
        return {"automatic": found.automatic}

    @endpoint("DELETE", SUBSCRIPTION, limit="preferences")
    async def unsubscribe(self, request: Request[None]) -> Response:
        await self.subscriptions.unsubscribe(request.requester, request.path["room_id"], request.path["root_id"])
        return {}

    @endpoint("GET", UNSTABLE + "io.element.msc4308/thread_subscriptions")
    async def changes(self, request: Request[None]) -> Response:
        query = request.query
        if query.string("dir", "b") != "b":
            raise InvalidParam("dir is always 'b'")
        limit = query.integer("limit", MAX_CHANGES, minimum=1, maximum=MAX_CHANGES)
        start, stop = query.string("from"), query.string("to")
        return await self.pages(request.requester.user_id, start=start, stop=stop, limit=limit)
