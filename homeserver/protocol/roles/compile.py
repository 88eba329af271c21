"""The compiler: roles and rooms in, a plan out. Pure: the same in is the same out, and an applied plan leaves none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from homeserver.protocol.roles import doors
from homeserver.protocol.roles.effective import overrides_for
from homeserver.protocol.roles.levels import Ladder, ladder
from homeserver.protocol.roles.memberships import memberships
from homeserver.protocol.roles.permissions import Permission
from homeserver.protocol.roles.plan import HandEdit, Loss, Plan
from homeserver.protocol.roles.power_levels import compiled
from homeserver.protocol.roles.role_state import Overrides, RoleSet
from homeserver.protocol.roles.rooms import (
    HISTORY,
    JOIN_RULES,
    POWER_LEVELS,
    TAGS,
    Change,
    Content,
    RoomNow,
    Space,
)
from homeserver.protocol.roles.same import same
from homeserver.protocol.roles.tags import tags


def compile_space(
    roles: RoleSet, space: Space, unruled: Mapping[str, str], overwrite: Collection[str] = ()
) -> Plan:  # fmt: skip
    """The plan for all rooms. `overwrite`: rooms whose hand-made changes an owner has given up."""
    holders = holders_in(roles, space)
    return together([compile_room(roles, space, room, holders, overwrite) for room in space.rooms], unruled)


def holders_in(roles: RoleSet, space: Space) -> dict[str, frozenset[str]]:
    """What those hold who are in the space and hold anything."""
    return {user_id: held for user_id in roles.members if user_id in space.people and (held := roles.roles_of(user_id))}


def compile_room(
    roles: RoleSet,
    space: Space,
    room: RoomNow,
    holders: Mapping[str, frozenset[str]],
    overwrite: Collection[str] = (),
) -> Plan:
    """The plan for one room: nothing is changed where hands were."""
    overrides = overrides_for(roles, room.room_id, room.above)
    steps = ladder(roles, overrides)
    wanted = _wanted(room, space.space_id, steps, holders)
    conflicts = [] if room.room_id in overwrite else _hand_edits(space, room, wanted)
    changes: list[Change] = []
    if not conflicts:
        opened = doors.is_open(roles, overrides)
        changes = [*_changes(room, wanted), *memberships(space, room, roles, overrides, opened=opened)]
    return Plan(tuple(changes), tuple(conflicts), tuple(_losses(room, steps)))


def together(plans: Sequence[Plan], unruled: Mapping[str, str]) -> Plan:
    """One plan of those of all rooms."""
    return Plan(
        tuple(change for plan in plans for change in plan.changes),
        tuple(conflict for plan in plans for conflict in plan.conflicts),
        tuple(loss for plan in plans for loss in plan.losses),
        unruled,
    )


def _wanted(
    room: RoomNow, space_id: str, steps: Ladder, holders: Mapping[str, frozenset[str]]
) -> dict[str, Content]:  # fmt: skip
    wanted: dict[str, Content] = {POWER_LEVELS: compiled(room, steps, holders), TAGS: tags(room, steps)}
    if not room.is_root:
        opened = doors.is_open(steps.roles, steps.overrides)
        wanted[JOIN_RULES] = doors.join_rules(room, space_id, opened=opened)
        wanted[HISTORY] = doors.history(room, steps.roles, steps.overrides)
    return wanted


def _changes(room: RoomNow, wanted: Mapping[str, Content]) -> list[Change]:
    return [
        Change(room.room_id, event_type, "", room.content(event_type), after)
        for event_type, after in wanted.items()
        if not same(event_type, room.content(event_type), after)
    ]


def _hand_edits(space: Space, room: RoomNow, wanted: Mapping[str, Content]) -> list[HandEdit]:
    """What is neither as roles left it nor as they want it."""
    applied = space.applied.get(room.room_id, {})
    return [
        HandEdit(room.room_id, event_type, applied[(event_type, "")], room.content(event_type))
        for event_type, after in wanted.items()
        if (event_type, "") in applied
        and not same(event_type, room.content(event_type), applied[(event_type, "")])
        and not same(event_type, room.content(event_type), after)
    ]


def _losses(room: RoomNow, steps: Ladder) -> list[Loss]:
    found = [Loss(room.room_id, each.role_id, each.permission.value) for each in steps.inexact()]
    if room.is_root:
        return found
    found += [Loss(room.room_id, role_id, Permission.READ_HISTORY.value) for role_id in _without_history(steps)]
    if doors.is_open(steps.roles, steps.overrides) and not doors.can_open(room):
        found.append(Loss(room.room_id, steps.roles.everyone.role_id, Permission.SEE.value))
    return found


def _without_history(steps: Ladder) -> list[str]:
    overrides: Overrides = steps.overrides
    if doors.all_read(steps.roles, overrides):
        return []
    return [role_id for role_id, may in doors.seeing(steps.roles, overrides).items() if Permission.READ_HISTORY in may]
