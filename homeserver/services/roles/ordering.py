"""Orders: apply what was seen, or go back. They are done one after the other, and go on after a restart."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import Conflict, InvalidParam, NotFound, UserSuspended
from homeserver.protocol.roles.authority import check_manages, check_owner
from homeserver.protocol.roles.rooms import Change
from homeserver.services.roles.apply import DONE, KIND
from homeserver.services.roles.space_roles import space_roles
from homeserver.storage.roles import Application, ChangeRow

if TYPE_CHECKING:
    from homeserver.services.audit.audit_log import AuditLog
    from homeserver.services.clock import Clock
    from homeserver.services.long_tasks.long_tasks import LongTasks
    from homeserver.services.requester import Requester
    from homeserver.services.roles.planning import PlanRoles
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.storage.database import Database
    from homeserver.storage.roles import RoleRows

KEPT: Final = 20
"""Applications of a space that can be looked at and undone."""
MAX_TOLD: Final = 100
MAX_OVERWRITTEN: Final = 500


@dataclass(frozen=True, slots=True)
class OrderRoles:
    """Takes orders. `ordering`: spaces whose order is being written down."""

    database: Database
    rows: RoleRows
    cache: RoomCache
    plan: PlanRoles
    tasks: LongTasks
    audit: AuditLog
    clock: Clock
    ordering: set[str] = field(default_factory=set)

    async def apply(self, requester: Requester, space_id: str, digest: str, overwrite: Collection[str]) -> str:
        """Do what the plan of this digest says; returns the id of the application.

        `overwrite`: rooms whose changes by hand are given up. Raises Conflict where something has changed since the plan was
        shown, or an application is going on; Forbidden, NotFound, InvalidParam, LimitExceeded.
        """
        if len(overwrite) > MAX_OVERWRITTEN:
            raise InvalidParam(f"At most {MAX_OVERWRITTEN} rooms can be overwritten at once")
        planned = await self.plan(requester, space_id, overwrite)
        if planned.plan.digest() != digest:
            raise Conflict("Something has changed since this plan was made: look at the new one")
        return await self._order(requester, space_id, planned.steward, planned.with_wishes())

    async def undo(self, requester: Requester, space_id: str, application_id: str) -> str:
        """Put back what an application has changed, where it still is as that has left it; the roles too.

        For owners. Raises Forbidden, NotFound, Conflict, LimitExceeded.
        """
        space = space_roles(await self.cache.get(space_id))
        check_owner(space.actor(requester.user_id))
        undone = await self._get(space_id, application_id)
        done = [each for each in await self.rows.changes(self.database, application_id) if each.outcome == DONE]
        changes = [_change(each).undone() for each in reversed(done)]
        steward = undone.steward if space.is_owner(undone.steward) else requester.user_id
        return await self._order(requester, space_id, steward, changes, undoes=application_id)

    async def applications(self, requester: Requester, space_id: str) -> list[dict[str, Any]]:
        """Those that are kept, the newest first. Raises Forbidden, NotFound."""
        check_manages(space_roles(await self.cache.get(space_id)).actor(requester.user_id))
        return [_said(each) for each in await self.rows.of_space(self.database, space_id)]

    async def application(self, requester: Requester, space_id: str, application_id: str) -> dict[str, Any]:
        """How far it is, and what did not go. Raises Forbidden, NotFound."""
        check_manages(space_roles(await self.cache.get(space_id)).actor(requester.user_id))
        found = await self._get(space_id, application_id)
        changes = await self.rows.changes(self.database, application_id)
        left = sum(each.outcome is None for each in changes)
        going = any(each.target == space_id for each in self.tasks.unfinished(KIND))
        failed = [each for each in changes if each.outcome not in (None, DONE)]
        return {
            **_said(found),
            "status": "complete" if not left else "active" if going else "failed",
            "changes": len(changes),
            "left": left,
            "failed": [_failure(each) for each in failed[:MAX_TOLD]],
        }

    async def _get(self, space_id: str, application_id: str) -> Application:
        found = await self.rows.get(self.database, application_id)
        if found is None or found.space_id != space_id:
            raise NotFound("There is no such application of roles")
        return found

    async def _order(
        self, requester: Requester, space_id: str, steward: str, changes: Sequence[Change], undoes: str | None = None
    ) -> str:
        if requester.is_suspended:
            raise UserSuspended
        if space_id in self.ordering or any(each.target == space_id for each in self.tasks.unfinished(KIND)):
            raise Conflict("Roles of this space are being applied already")
        self.ordering.add(space_id)
        try:
            application = Application(
                secrets.token_urlsafe(16), space_id, requester.user_id, steward, self.clock.now_ms(), undoes
            )
            await self._write_down(requester, application, changes)
        finally:
            self.ordering.discard(space_id)
        return application.application_id

    async def _write_down(self, requester: Requester, application: Application, changes: Sequence[Change]) -> None:
        rows = [
            ChangeRow(seq, each.room_id, each.event_type, each.state_key, dict(each.before), dict(each.after))
            for seq, each in enumerate(changes, start=1)
        ]
        action = "roles.apply" if application.undoes is None else "roles.undo"
        details = {"application": application.application_id, "changes": len(rows), "steward": application.steward}
        wish = {"application": application.application_id, "steward": application.steward}
        async with self.database.transaction() as tx:
            await self.rows.add(tx, application, rows, KEPT)
            await self.audit.record(tx, requester, action, application.space_id, details)
            task = await self.tasks.order(tx, requester, KIND, application.space_id, wish)
        self.tasks.start(task)


def _change(row: ChangeRow) -> Change:
    return Change(row.room_id, row.event_type, row.state_key, row.before, row.after)


def _said(application: Application) -> dict[str, Any]:
    return {
        "application": application.application_id,
        "ordered_by": application.ordered_by,
        "steward": application.steward,
        "ordered_ts": application.ordered_ms,
        "undoes": application.undoes,
    }


def _failure(row: ChangeRow) -> dict[str, Any]:
    return {"room_id": row.room_id, "type": row.event_type, "state_key": row.state_key, "why": row.outcome}
