"""Addresses of one's account. Client-server API, "Adding Account Administrative Contact Information"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.accounts.account import Accounts
from homeserver.services.identity_servers.bindings import Bindings, BindRequest
from homeserver.services.threepids.addresses import Addresses
from homeserver.services.ui_auth.ui_auth import UiAuth
from homeserver.storage.users import Threepid

THREEPID = "/_matrix/client/v3/account/3pid"
# What clients of before r0.6 ask (MSC2290).
OLD_THREEPID = "/_matrix/client/unstable/account/3pid"


class Credentials(msgspec.Struct):
    sid: str
    client_secret: str


class OldAddBody(msgspec.Struct):
    three_pid_creds: Credentials


class AddressBody(msgspec.Struct):
    medium: str
    address: str
    id_server: str | None = None


class BindBody(msgspec.Struct):
    sid: str
    client_secret: str
    id_server: str
    id_access_token: str


class AddBody(msgspec.Struct):
    sid: str
    client_secret: str
    auth: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ThreepidEndpoints:
    """Addresses that this server has proved itself, and what identity servers are told of addresses."""

    accounts: Accounts
    addresses: Addresses
    bindings: Bindings
    ui_auth: UiAuth

    @endpoint("GET", THREEPID)
    async def threepids(self, request: Request[None]) -> Response:
        found = await self.accounts.threepids(request.requester.user_id)
        return {"threepids": [_threepid(threepid) for threepid in found]}

    @endpoint("POST", THREEPID, body=OldAddBody, limit="password")
    async def add_without_password(self, request: Request[OldAddBody]) -> Response:
        credentials = request.body.three_pid_creds
        await self.addresses.add(request.requester, credentials.sid, credentials.client_secret)
        return {}

    @endpoint("POST", THREEPID + "/add", OLD_THREEPID + "/add", body=AddBody, limit="password")
    async def add(self, request: Request[AddBody]) -> Response:
        body, requester = request.body, request.requester
        await self.addresses.check_addable(body.sid, body.client_secret)
        await self.ui_auth.check(body.auth, requester, "POST /account/3pid/add", ip=request.remote_address)
        await self.addresses.add(requester, body.sid, body.client_secret)
        return {}

    @endpoint(
        "POST",
        THREEPID + "/delete",
        OLD_THREEPID + "/delete",
        suspended=False,
        body=AddressBody,
        limit="identity_server",
    )
    async def delete(self, request: Request[AddressBody]) -> Response:
        body, user_id = request.body, request.requester.user_id
        is_unbound = await self.bindings.try_unbind(user_id, body.medium, body.address, body.id_server)
        await self.addresses.remove(user_id, body.medium, body.address)
        return unbind_result(is_unbound)

    @endpoint(
        "POST", THREEPID + "/bind", OLD_THREEPID + "/bind", suspended=False, body=BindBody, limit="identity_server"
    )  # fmt: skip
    async def bind(self, request: Request[BindBody]) -> Response:
        body = request.body
        await self.bindings.bind(
            request.requester, BindRequest(body.id_server, body.id_access_token, body.sid, body.client_secret)
        )
        return {}

    @endpoint(
        "POST",
        THREEPID + "/unbind",
        OLD_THREEPID + "/unbind",
        suspended=False,
        body=AddressBody,
        limit="identity_server",
    )
    async def unbind(self, request: Request[AddressBody]) -> Response:
        body, user_id = request.body, request.requester.user_id
        return unbind_result(await self.bindings.unbind(user_id, body.medium, body.address, body.id_server))


def unbind_result(is_unbound: bool) -> dict[str, Any]:
    """What every endpoint that unbinds answers."""
    return {"id_server_unbind_result": "success" if is_unbound else "no-support"}


def _threepid(threepid: Threepid) -> dict[str, Any]:
    return {
        "medium": threepid.medium,
        "address": threepid.address,
        "validated_at": threepid.validated_ms,
        "added_at": threepid.added_ms,
    }
