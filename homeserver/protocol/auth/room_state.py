"""The room state as an auth rule sees it: a handful of questions, answered through the caller's `fetch`."""

from __future__ import annotations

from collections.abc import Callable

from homeserver.protocol.auth.power_levels import PowerLevels, power_levels_in_room
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import RoomVersion

FetchState = Callable[[str, str], Event | None]
"""`fetch(event_type, state_key)`: that event of the room state, None where there is none. Must be quick: no I/O."""


class RoomState:
    """State of one room at one point. Power levels are parsed when first needed, unless the caller has them parsed."""

    __slots__ = ("_power_levels", "create", "fetch", "version")

    def __init__(
        self, version: RoomVersion, create: Event, fetch: FetchState, power_levels: PowerLevels | None = None
    ) -> None:
        self.version = version
        self.create = create
        self.fetch = fetch
        self._power_levels = power_levels

    @property
    def power_levels(self) -> PowerLevels:
        """The levels in force."""
        if self._power_levels is None:
            event = self.fetch("m.room.power_levels", "")
            self._power_levels = power_levels_in_room(self.create, event, self.version)
        return self._power_levels

    def membership(self, user_id: str) -> str:
        """The user's membership; "leave" for one who never was in the room."""
        event = self.fetch("m.room.member", user_id)
        if event is None:
            return "leave"
        membership = event.content.get("membership")
        return membership if isinstance(membership, str) else "leave"

    def join_rule(self) -> str:
        """The room's join rule; "invite" in a room without one."""
        event = self.fetch("m.room.join_rules", "")
        rule = "invite" if event is None else event.content.get("join_rule")
        return rule if isinstance(rule, str) else "invite"
