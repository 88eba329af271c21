"""Notices to users, at the addresses and in the form that Synapse's tools know."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.server_notices.notices import Notice, SendNotice

PATH = "/_synapse/admin/v1/send_server_notice"


class NoticeBody(msgspec.Struct):
    user_id: str
    content: dict[str, Any]
    type: str = "m.room.message"
    state_key: str | None = None


@dataclass(frozen=True, slots=True)
class ServerNoticeEndpoints:
    """One verb, with and without a transaction id."""

    send: SendNotice

    @endpoint("POST", PATH, auth=Auth.ADMIN, body=NoticeBody, limit="administration")
    async def post(self, request: Request[NoticeBody]) -> Response:
        return await self._send(request, secrets.token_urlsafe(16))

    @endpoint("PUT", f"{PATH}/{{txn_id}}", auth=Auth.ADMIN, body=NoticeBody, limit="administration")
    async def put(self, request: Request[NoticeBody]) -> Response:
        return await self._send(request, request.path["txn_id"])

    async def _send(self, request: Request[NoticeBody], txn_id: str) -> Response:
        body = request.body
        notice = Notice(body.user_id, body.content, body.type, body.state_key)
        return {"event_id": await self.send(request.requester, notice, txn_id)}
