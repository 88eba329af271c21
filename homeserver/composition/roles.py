"""Roles of spaces, and what they make of rooms."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.rooms import RoomServices
from homeserver.http.client.roles import RoleApplicationEndpoints, RoleEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.long_tasks.long_tasks import LongTasks
from homeserver.services.roles import apply
from homeserver.services.roles.apply import ApplyRoles
from homeserver.services.roles.define import DefineRoles
from homeserver.services.roles.ordering import OrderRoles
from homeserver.services.roles.planning import PlanRoles
from homeserver.services.roles.survey import SurveySpace
from homeserver.storage.roles import RoleRows


@dataclass(frozen=True, slots=True)
class RoleServices:
    """For group mapping: who holds what is changed by `define`, rooms by a `plan` and an `order` of it."""

    define: DefineRoles
    plan: PlanRoles
    order: OrderRoles
    endpoints: list[Endpoint] = field(default_factory=list)


def build_roles(base: Foundation, kernel: Kernel, rooms: RoomServices, tasks: LongTasks) -> RoleServices:
    """Registers what does the work with the long tasks, before they are loaded."""
    rows, members = RoleRows(), rooms.memberships
    survey = SurveySpace(base.database, rows, base.cache)
    define = DefineRoles(kernel.appender, base.cache, survey, base.audit)
    plan = PlanRoles(base.cache, survey)
    order = OrderRoles(base.database, rows, base.cache, plan, tasks, base.audit, base.clock)
    tasks.handlers[apply.KIND] = ApplyRoles(
        base.database, rows, kernel.appender, members.invitable, members.profiles, members.invite
    )  # fmt: skip
    endpoints = endpoints_of(RoleEndpoints(define, plan), RoleApplicationEndpoints(plan, order))
    return RoleServices(define, plan, order, list(endpoints))
