"""The roles of a space, read from the room in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.protocol.errors import Forbidden, InvalidParam
from homeserver.protocol.roles.authority import Actor, actor
from homeserver.protocol.roles.levels import OWNER
from homeserver.protocol.roles.power_levels import protects_roles
from homeserver.protocol.roles.role_state import MEMBER_ROLES, OVERRIDE, ROLES, RoleSet, role_set
from homeserver.protocol.roles.rooms import POWER_LEVELS
from homeserver.services.visibility import NOT_IN_ROOM

if TYPE_CHECKING:
    from homeserver.services.rooms.live_room import LiveRoom


@dataclass(frozen=True, slots=True)
class SpaceRoles:
    """`steward`: the owner in whose name everything happens: whoever has set the roles. None where there are none."""

    room: LiveRoom
    roles: RoleSet
    steward: str | None

    def actor(self, user_id: str) -> Actor:
        """What somebody brings along. Raises Forbidden for those who are not in the space."""
        if user_id not in self.room.joined:
            raise Forbidden(NOT_IN_ROOM)
        return actor(self.roles, user_id, is_owner=self.is_owner(user_id))

    def is_owner(self, user_id: str) -> bool:
        """Whether roles are his, rather than he theirs."""
        return user_id in self.room.joined and self.room.power_levels().of_user(user_id) >= OWNER

    def acting_steward(self) -> str:
        """The steward. Raises Forbidden where there is none, or he is an owner no longer."""
        if self.steward is None:
            raise Forbidden("This space has no roles")
        if self.steward not in self.room.joined_local or not self.is_owner(self.steward):
            raise Forbidden(
                f"{self.steward}, who has set the roles, is no owner any more: another owner has to set them"
            )
        return self.steward


def space_roles(room: LiveRoom) -> SpaceRoles:
    """What the state says, uncommitted events included. Raises InvalidParam for a room that is no space.

    Where others than owners could have written the roles they say nothing; likewise what cannot be read.
    """
    create = room.fetch_auth_event("m.room.create", "")
    if create is None or create.content.get("type") != "m.space":
        raise InvalidParam("This room is no space")
    event = room.fetch_auth_event(ROLES, "")
    if event is None or not event.content or not protects_roles(content_at(room, POWER_LEVELS)):
        return SpaceRoles(room, RoleSet(), None)
    try:
        roles = role_set(event.content, contents_of(room, OVERRIDE), contents_of(room, MEMBER_ROLES))
    except InvalidParam:
        return SpaceRoles(room, RoleSet(), event.sender)
    return SpaceRoles(room, roles, event.sender)


def contents_of(room: LiveRoom, event_type: str) -> dict[str, dict[str, Any]]:
    """Contents of a type by state key, as the next event finds them."""
    found = {key: event.content for key, event in room.state.of_type(event_type).items()}
    for (pending_type, key), event in room.pending_state.items():
        if pending_type == event_type:
            found[key] = {} if event is None else dict(event.content)
    return found


def content_at(room: LiveRoom, event_type: str, state_key: str = "") -> dict[str, Any]:
    """One content, as the next event finds it; empty where there is none."""
    event = room.fetch_auth_event(event_type, state_key)
    return {} if event is None else dict(event.content)
