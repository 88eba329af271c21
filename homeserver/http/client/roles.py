"""Roles of spaces. Ours: nothing of it is in the Matrix specification. docs/operating/roles.md"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.roles.define import DefineRoles
from homeserver.services.roles.ordering import OrderRoles
from homeserver.services.roles.planning import PlanRoles

ROLES: Final = "/_voicechat/client/v1/spaces/{space_id}/roles"


class RolesBody(msgspec.Struct):
    roles: list[dict[str, Any]]
    everyone: dict[str, Any] = {}


class OverrideBody(msgspec.Struct):
    roles: dict[str, dict[str, Any]]


class MemberBody(msgspec.Struct):
    roles: list[str]


class PlanBody(msgspec.Struct):
    overwrite: list[str] = []


class ApplyBody(msgspec.Struct):
    plan: str
    overwrite: list[str] = []


@dataclass(frozen=True, slots=True)
class RoleEndpoints:
    """What roles are."""

    define: DefineRoles
    plan: PlanRoles

    @endpoint("GET", ROLES)
    async def show(self, request: Request[None]) -> Response:
        return await self.plan.show(request.requester, request.path["space_id"])

    @endpoint("PUT", ROLES, suspended=False, body=RolesBody, limit="roles")
    async def set_roles(self, request: Request[RolesBody]) -> Response:
        said = {"roles": request.body.roles, "everyone": request.body.everyone}
        await self.define.set_roles(request.requester, request.path["space_id"], said)
        return {}

    @endpoint("PUT", ROLES + "/overrides/{room_id}", suspended=False, body=OverrideBody, limit="role_plan")
    async def set_override(self, request: Request[OverrideBody]) -> Response:
        path, said = request.path, {"roles": request.body.roles}
        await self.define.set_override(request.requester, path["space_id"], path["room_id"], said)
        return {}

    @endpoint("PUT", ROLES + "/members/{user_id}", suspended=False, body=MemberBody, limit="roles")
    async def assign(self, request: Request[MemberBody]) -> Response:
        path, said = request.path, {"roles": request.body.roles}
        await self.define.assign(request.requester, path["space_id"], path["user_id"], said)
        return {}


@dataclass(frozen=True, slots=True)
class RoleApplicationEndpoints:
    """What they do to rooms."""

    plan: PlanRoles
    order: OrderRoles

    @endpoint("GET", ROLES + "/plan", limit="role_plan")
    async def show_plan(self, request: Request[None]) -> Response:
        return await self._plan(request, [])

    @endpoint("POST", ROLES + "/plan", body=PlanBody, limit="role_plan")
    async def show_plan_over(self, request: Request[PlanBody]) -> Response:
        return await self._plan(request, request.body.overwrite)

    async def _plan(self, request: Request[Any], overwrite: list[str]) -> Response:
        planned = await self.plan(request.requester, request.path["space_id"], overwrite)
        return {**planned.plan.as_json(), "steward": planned.steward}

    @endpoint("POST", ROLES + "/apply", suspended=False, body=ApplyBody, limit="role_plan")
    async def apply(self, request: Request[ApplyBody]) -> Response:
        body = request.body
        application_id = await self.order.apply(
            request.requester, request.path["space_id"], body.plan, body.overwrite
        )  # fmt: skip
        return {"application": application_id}

    @endpoint("GET", ROLES + "/applications")
    async def applications(self, request: Request[None]) -> Response:
        return {"applications": await self.order.applications(request.requester, request.path["space_id"])}

    @endpoint("GET", ROLES + "/applications/{application_id}")
    async def application(self, request: Request[None]) -> Response:
        path = request.path
        return await self.order.application(request.requester, path["space_id"], path["application_id"])

    @endpoint("POST", ROLES + "/applications/{application_id}/undo", suspended=False, body=dict, limit="role_plan")
    async def undo(self, request: Request[dict[str, Any]]) -> Response:
        path = request.path
        application_id = await self.order.undo(request.requester, path["space_id"], path["application_id"])
        return {"application": application_id}
