"""Does what was ordered: room by room, each in one commit together with the word that it is done.

A kill between two commits costs nothing: what is marked as done is in the room, and what is not is not.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import MatrixError, Unavailable
from homeserver.protocol.roles.rooms import BY_ROLES, MEMBER
from homeserver.protocol.roles.same import over, same
from homeserver.services.long_tasks import step
from homeserver.services.membership.content import MemberProfile, member_draft
from homeserver.services.requester import on_behalf_of
from homeserver.services.roles.space_roles import content_at
from homeserver.services.rooms.appender import Plan

if TYPE_CHECKING:
    from homeserver.services.membership.invitable import Invitable
    from homeserver.services.membership.invite import InviteUser
    from homeserver.services.membership.profiles import MemberProfiles
    from homeserver.services.rooms.appender import Appender
    from homeserver.services.rooms.live_room import LiveRoom
    from homeserver.storage.database import Database, Queries
    from homeserver.storage.long_tasks import LongTask
    from homeserver.storage.roles import ChangeRow, RoleRows

log = logging.getLogger(__name__)

KIND: Final = "apply_roles"
DONE: Final = "done"
MEANWHILE: Final = "Somebody has changed it meanwhile"
BANNED: Final = "He is banned by hand"
NO_WAY_BACK: Final = "Nobody can be made to knock"
AT_ONCE: Final = 100
"""Changes of one room in one commit."""

_COMES: Final = ("invite", "join")


@dataclass(slots=True)
class _Work:
    """Changes of one room on their way."""

    application_id: str
    space_id: str
    steward: str
    rows: Sequence[ChangeRow]
    profiles: Mapping[str, MemberProfile]
    outcomes: dict[int, str]

    def drafts(self, room: LiveRoom) -> list[EventDraft]:
        """The events; `outcomes` says afterwards what becomes of each change."""
        self.outcomes = {}
        drafts: list[EventDraft] = []
        for row in self.rows:
            found = self._of(row, content_at(room, row.event_type, row.state_key))
            self.outcomes[row.seq] = found if isinstance(found, str) else DONE
            drafts += [] if isinstance(found, str) else found
        return drafts

    def _of(self, row: ChangeRow, current: dict[str, Any]) -> list[EventDraft] | str:
        """The events of a change, none where it is so already, or why there are none."""
        if same(row.event_type, current, row.after):
            return []
        if row.event_type == MEMBER:
            return self._member(row, current)
        if not same(row.event_type, current, row.before):
            return MEANWHILE
        return [EventDraft(row.event_type, self.steward, over(row.event_type, current, row.after), row.state_key)]

    def _member(self, row: ChangeRow, current: dict[str, Any]) -> list[EventDraft] | str:
        target, wanted, now = row.state_key, row.after["membership"], current.get("membership", "leave")
        lifted = [] if now != "ban" else [member_draft(self.steward, target, "leave")]
        if now == "ban" and not current.get(BY_ROLES):
            return BANNED
        if wanted in _COMES:
            return [*lifted, member_draft(self.steward, target, "invite", self.profiles.get(target))]
        if wanted == "ban":
            return [member_draft(self.steward, target, "ban", extra={BY_ROLES: True})]
        return [member_draft(self.steward, target, "leave")] if wanted == "leave" else NO_WAY_BACK


@dataclass(frozen=True, slots=True)
class ApplyRoles:
    """A handler of long tasks."""

    database: Database
    rows: RoleRows
    appender: Appender
    invitable: Invitable
    profiles: MemberProfiles
    invite: InviteUser

    async def step(self, task: LongTask) -> step.Step:
        """Some changes of one room."""
        application_id, steward = task.wish["application"], task.wish["steward"]
        rows = await self.rows.next(self.database, application_id, AT_ONCE)
        if not rows:
            return step.DONE
        elsewhere = [row for row in rows if self._invites_elsewhere(row)]
        here = [row for row in rows if row not in elsewhere]
        work = _Work(application_id, task.target, steward, here, {}, {})
        if here:
            await self._together_or_alone(work)
        for row in elsewhere:
            await self._invite_elsewhere(work, row)
        return step.AGAIN

    async def finished(self, task: LongTask) -> None:
        """Nothing waits for it."""

    async def _together_or_alone(self, work: _Work) -> None:
        """Where the room does not take all of it, it is tried one by one: one that cannot be done keeps no other."""
        try:
            await self._commit(work)
        except Unavailable:
            raise
        except MatrixError as error:
            if len(work.rows) == 1:
                await self._fail(work, work.rows[0], error)
                return
            for row in work.rows:
                alone = _Work(work.application_id, work.space_id, work.steward, [row], {}, {})
                await self._together_or_alone(alone)

    async def _commit(self, work: _Work) -> None:
        comes = [row.state_key for row in work.rows if _comes(row)]
        if comes:
            await self.invitable.check(on_behalf_of(work.steward), comes)
            work.profiles = await self.profiles.member_profiles(comes)

        async def note(q: Queries) -> None:
            await self.rows.settle(q, work.application_id, work.outcomes)
            done = [row for row in work.rows if work.outcomes[row.seq] == DONE and row.event_type != MEMBER]
            if done:
                await self.rows.remember(q, work.space_id, done)

        def plan(room: LiveRoom) -> Plan:
            return Plan(work.drafts(room), also=note)

        if not await self.appender.commit(work.rows[0].room_id, plan):
            async with self.database.transaction() as tx:
                await note(tx)

    def _invites_elsewhere(self, row: ChangeRow) -> bool:
        return _comes(row) and self.invitable.is_elsewhere(row.state_key)

    async def _invite_elsewhere(self, work: _Work, row: ChangeRow) -> None:
        """Their server has to sign the invitation, so each goes its own way."""
        try:
            await self.invite(on_behalf_of(work.steward), row.room_id, row.state_key)
            await self.rows.settle(self.database, work.application_id, {row.seq: DONE})
        except Unavailable:
            raise
        except MatrixError as error:
            await self._fail(work, row, error)

    async def _fail(self, work: _Work, row: ChangeRow, error: MatrixError) -> None:
        log.info("roles of %s: %s of %s in %s: %s", work.space_id, row.event_type, row.state_key, row.room_id, error)
        await self.rows.settle(self.database, work.application_id, {row.seq: error.message[:500]})


def _comes(row: ChangeRow) -> bool:
    return row.event_type == MEMBER and row.after.get("membership") in _COMES
