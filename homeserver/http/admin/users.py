"""Accounts, at the addresses and in the form that Synapse's tools know (its documentation: "User Admin API")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.admin.paging import flag, paging_of
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.query import Query
from homeserver.http.request import Request
from homeserver.http.responses import Json, Response
from homeserver.services.administration.account_wish import AccountWish
from homeserver.services.administration.accounts import AccountAdministration
from homeserver.services.administration.user_list import UserList
from homeserver.storage.administration import ORDERS, ShownUser, UserFilter
from homeserver.storage.external_ids import ExternalId
from homeserver.storage.users import Threepid

V1 = "/_synapse/admin/v1"
V2 = "/_synapse/admin/v2"
V3 = "/_synapse/admin/v3"


class ThreepidBody(msgspec.Struct):
    medium: str
    address: str


class ExternalIdBody(msgspec.Struct):
    auth_provider: str
    external_id: str


class UserBody(msgspec.Struct):
    password: str | None = None
    logout_devices: bool = True
    displayname: str | None = None
    avatar_url: str | None = None
    threepids: list[ThreepidBody] | None = None
    external_ids: list[ExternalIdBody] | None = None
    admin: bool | None = None
    deactivated: bool | None = None
    locked: bool | None = None
    user_type: str | msgspec.UnsetType | None = msgspec.UNSET


class DeactivateBody(msgspec.Struct):
    erase: bool = False


class SuspendBody(msgspec.Struct):
    suspend: bool


class PasswordBody(msgspec.Struct):
    new_password: str
    logout_devices: bool = True


class RoleBody(msgspec.Struct):
    admin: bool


@dataclass(frozen=True, slots=True)
class UserEndpoints:
    """All for administrators."""

    accounts: AccountAdministration
    list: UserList

    @endpoint("GET", f"{V2}/users", auth=Auth.ADMIN)
    async def list_users(self, request: Request[None]) -> Response:
        """`deactivated=true` shows those too."""
        deactivated = None if request.query.boolean("deactivated") else False
        return await self._page(request.query, deactivated)

    @endpoint("GET", f"{V3}/users", auth=Auth.ADMIN)
    async def list_users_v3(self, request: Request[None]) -> Response:
        """`deactivated=true` shows those only; without it all are shown."""
        return await self._page(request.query, flag(request.query, "deactivated"))

    async def _page(self, query: Query, deactivated: bool | None) -> Response:
        place, order = paging_of(query), query.one_of("order_by", [*ORDERS, "shadow_banned"], "name")
        # Nobody is shadow-banned here: an order by that is the second one alone, which is by name.
        order = "name" if order == "shadow_banned" else order
        page = await self.list.page(
            _filter_of(query, deactivated),
            order,
            descending=place.descending,
            limit=place.limit,
            offset=place.offset,
        )
        answer: dict[str, Any] = {"users": [_listed(user) for user in page.users], "total": page.total}
        return answer if page.next_offset is None else answer | {"next_token": str(page.next_offset)}

    @endpoint("GET", f"{V2}/users/{{user_id}}", auth=Auth.ADMIN)
    async def get(self, request: Request[None]) -> Response:
        return await self._details(request.path["user_id"])

    @endpoint("PUT", f"{V2}/users/{{user_id}}", auth=Auth.ADMIN, body=UserBody, limit="administration")
    async def put(self, request: Request[UserBody]) -> Response:
        """201 where the account is new."""
        user_id = request.path["user_id"]
        made = await self.accounts.put(request.requester, user_id, _wish_of(request.body))
        return Json(201 if made else 200, await self._details(user_id))

    async def _details(self, user_id: str) -> dict[str, Any]:
        user = await self.accounts.get(user_id)
        threepids = await self.accounts.threepids(user.user_id)
        return _detailed(user, threepids, await self.accounts.identities(user.user_id))

    @endpoint(
        "POST", f"{V1}/deactivate/{{user_id}}", auth=Auth.ADMIN, body=DeactivateBody, limit="administration"
    )  # fmt: skip
    async def deactivate(self, request: Request[DeactivateBody]) -> Response:
        await self.accounts.deactivate(request.requester, request.path["user_id"], erase=request.body.erase)
        # Of identity servers, as POST /account/deactivate says it.
        return {"id_server_unbind_result": "success"}

    @endpoint(
        "POST", f"{V1}/reset_password/{{user_id}}", auth=Auth.ADMIN, body=PasswordBody, limit="administration"
    )  # fmt: skip
    async def reset_password(self, request: Request[PasswordBody]) -> Response:
        body = request.body
        await self.accounts.reset_password(
            request.requester, request.path["user_id"], body.new_password, logout_devices=body.logout_devices
        )
        return {}

    @endpoint("PUT", f"{V1}/suspend/{{user_id}}", auth=Auth.ADMIN, body=SuspendBody, limit="administration")
    async def suspend(self, request: Request[SuspendBody]) -> Response:
        """Locking is a part of `put`."""
        user_id, suspended = request.path["user_id"], request.body.suspend
        await self.accounts.moderation.set_suspended(request.requester, user_id, suspended)
        return {f"user_{user_id}_suspended": suspended}

    @endpoint("GET", f"{V1}/users/{{user_id}}/admin", auth=Auth.ADMIN)
    async def role(self, request: Request[None]) -> Response:
        return {"admin": (await self.accounts.get(request.path["user_id"])).is_admin}

    @endpoint("PUT", f"{V1}/users/{{user_id}}/admin", auth=Auth.ADMIN, body=RoleBody, limit="administration")
    async def set_role(self, request: Request[RoleBody]) -> Response:
        await self.accounts.set_admin(request.requester, request.path["user_id"], request.body.admin)
        return {}

    @endpoint("GET", f"{V1}/username_available", auth=Auth.ADMIN)
    async def username_available(self, request: Request[None]) -> Response:
        """Also where registration is closed; reserved names are available to administrators."""
        new = self.accounts.new_accounts
        await new.check_available(new.usernames.user_id(request.query.required("username")))
        return {"available": True}

    @endpoint("GET", f"{V1}/threepid/{{medium}}/users/{{address}}", auth=Auth.ADMIN)
    async def by_threepid(self, request: Request[None]) -> Response:
        path = request.path
        return {"user_id": await self.accounts.owner_of_threepid(path["medium"], path["address"])}

    @endpoint("GET", f"{V1}/auth_providers/{{provider}}/users/{{external_id}}", auth=Auth.ADMIN)
    async def by_identity(self, request: Request[None]) -> Response:
        path = request.path
        return {"user_id": await self.accounts.owner_of_identity(path["provider"], path["external_id"])}


def _filter_of(query: Query, deactivated: bool | None) -> UserFilter:
    name = query.string("name")
    return UserFilter(
        user_id=query.string("user_id") if name is None else None,
        name=name,
        is_guest=None if query.boolean("guests", True) else False,
        is_admin=flag(query, "admins"),
        deactivated=deactivated,
        locked=None if query.boolean("locked") else False,
        other_types=query.strings("not_user_type") or None,
    )


def _wish_of(body: UserBody) -> AccountWish:
    threepids = body.threepids
    identities = body.external_ids
    return AccountWish(
        password=body.password,
        logout_devices=body.logout_devices,
        displayname=body.displayname,
        avatar_url=body.avatar_url,
        threepids=None if threepids is None else [(each.medium, each.address) for each in threepids],
        external_ids=None if identities is None else [(each.auth_provider, each.external_id) for each in identities],
        is_admin=body.admin,
        deactivated=body.deactivated,
        locked=body.locked,
        sets_type=not isinstance(body.user_type, msgspec.UnsetType),
        user_type=None if isinstance(body.user_type, msgspec.UnsetType) else body.user_type,
    )


def _listed(user: ShownUser) -> dict[str, Any]:
    return {
        "name": user.user_id,
        "user_type": user.user_type,
        "is_guest": user.is_guest,
        "admin": user.is_admin,
        "deactivated": user.deactivated,
        "erased": user.erased,
        "shadow_banned": False,
        "displayname": user.displayname,
        "avatar_url": user.avatar_url,
        "creation_ts": user.created_ms,
        "last_seen_ts": user.last_seen_ms,
        "locked": user.locked,
    }


def _detailed(user: ShownUser, threepids: list[Threepid], identities: list[ExternalId]) -> dict[str, Any]:
    return {
        **_listed(user),
        # In seconds here, and in milliseconds in the list: tools count on both.
        "creation_ts": user.created_ms // 1000,
        "suspended": user.suspended,
        "appservice_id": user.appservice_id,
        "threepids": [
            {
                "medium": each.medium,
                "address": each.address,
                "added_at": each.added_ms,
                "validated_at": each.validated_ms,
            }
            for each in threepids
        ],
        "external_ids": [{"auth_provider": each.provider, "external_id": each.external_id} for each in identities],
        "consent_server_notice_sent": None,
        "consent_version": None,
        "consent_ts": None,
    }
