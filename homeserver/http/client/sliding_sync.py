"""POST /sync: sliding sync (MSC4186), in the shape of today's clients and in the accepted one."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from homeserver.http.client import sliding_sync_accepted as accepted
from homeserver.http.client import sliding_sync_unstable as unstable
from homeserver.http.client.sliding_sync_accepted import AcceptedBody
from homeserver.http.client.sliding_sync_bodies import connection_id, enabled_extensions
from homeserver.http.client.sliding_sync_unstable import UnstableBody
from homeserver.http.client.sync import PRESENCE, TIME_TO_ANSWER_MS
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.protocol.errors import InvalidParam
from homeserver.services.sliding_sync.engine import SlidingSync
from homeserver.services.sliding_sync.request import SlidingRequest
from homeserver.services.sync.request import MAX_TIMEOUT_MS


@dataclass(frozen=True, slots=True)
class SlidingSyncEndpoints:
    """One engine, two codecs."""

    sync: SlidingSync

    @endpoint(
        "POST",
        "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync",
        guests=True,
        body=UnstableBody,
        waits=True,
        limit="sync",
        time_limit_ms=MAX_TIMEOUT_MS + TIME_TO_ANSWER_MS,
    )
    async def sync_unstable(self, request: Request[UnstableBody]) -> Response:
        """The shape that Element X speaks: `pos` and `timeout` in the query."""
        query, body = request.query, request.body
        asked = SlidingRequest(
            requester=request.requester,
            conn_id=connection_id(body.conn_id),
            pos=query.string("pos") or None,
            rules=unstable.rules_of(body, request.requester.user_id),
            extensions=enabled_extensions(body.extensions),
            timeout_ms=query.integer("timeout", 0, minimum=0, maximum=MAX_TIMEOUT_MS),
            set_presence=query.one_of("set_presence", PRESENCE, "online"),
            wants_counts=True,
        )
        return Raw(orjson.dumps(unstable.encode(await self.sync(asked))))

    @endpoint(
        "POST",
        "/_matrix/client/v4/sync",
        guests=True,
        body=AcceptedBody,
        waits=True,
        limit="sync",
        time_limit_ms=MAX_TIMEOUT_MS + TIME_TO_ANSWER_MS,
    )
    async def sync_accepted(self, request: Request[AcceptedBody]) -> Response:
        """The accepted shape: everything in the body, so that browsers need not ask beforehand."""
        body = request.body
        asked = SlidingRequest(
            requester=request.requester,
            conn_id=connection_id(body.conn_id),
            pos=body.pos or None,
            rules=accepted.rules_of(body),
            extensions=enabled_extensions(body.extensions),
            timeout_ms=_timeout(body.timeout),
            set_presence=_presence(body.set_presence),
            takes_stubs=True,
        )
        return Raw(orjson.dumps(accepted.encode(await self.sync(asked))))


def _timeout(timeout_ms: int | None) -> int:
    if timeout_ms is not None and timeout_ms < 0:
        raise InvalidParam("timeout is a number of milliseconds from 0 on")
    return min(timeout_ms or 0, MAX_TIMEOUT_MS)


def _presence(presence: str | None) -> str:
    """ "An unknown value will result in a 400 error response with code `M_INVALID_PARAM`"."""
    if presence is not None and presence not in PRESENCE:
        raise InvalidParam(f"set_presence is one of {', '.join(PRESENCE)}")
    return presence or "online"
