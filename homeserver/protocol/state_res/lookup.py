"""Events by id during one resolution, and what is derived of them, each derived once."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator

from homeserver.protocol.auth.power_levels import PowerLevels, power_levels_in_room
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import RoomVersion

FetchEvent = Callable[[str], Event | None]
"""`fetch_event(event_id)`: the event, None when it is not known. Must be quick: no I/O."""


class EventLookup:
    """The events of one room, as far as the caller of the resolution knows them."""

    __slots__ = ("_create_event", "_power_levels", "fetch", "rejected_event_ids", "version")

    def __init__(self, version: RoomVersion, fetch: FetchEvent, rejected_event_ids: Container[str]) -> None:
        self.version = version
        self.fetch = fetch
        self.rejected_event_ids = rejected_event_ids
        self._create_event: Event | None = None
        self._power_levels: dict[tuple[str, str | None], PowerLevels] = {}

    def require(self, event_id: str) -> Event:
        """An event of the state sets; the caller must know it, else LookupError."""
        event = self.fetch(event_id)
        if event is None:
            raise LookupError(f"state resolution needs the event {event_id}, which is not known")
        return event

    def auth_events(self, event: Event) -> Iterator[Event]:
        """The event's known auth events, in the order it lists them."""
        for event_id in event.auth_event_ids:
            auth_event = self.fetch(event_id)
            if auth_event is not None:
                yield auth_event

    def power_levels_event(self, event: Event) -> Event | None:
        """The `m.room.power_levels` event among the event's auth events."""
        for auth_event in self.auth_events(event):
            if auth_event.type == "m.room.power_levels" and auth_event.state_key == "":
                return auth_event
        return None

    def create_event(self, event: Event) -> Event | None:
        """The create event that the event is based on: since v12 by the room id, before among its auth events."""
        if self.version.room_id_is_create_event_id:
            if self._create_event is None:
                self._create_event = self.fetch("$" + event.room_id[1:])
            return self._create_event
        for auth_event in self.auth_events(event):
            if auth_event.type == "m.room.create" and auth_event.state_key == "":
                return auth_event
        return None

    def power_levels(self, create: Event, power_levels_event: Event | None) -> PowerLevels:
        """The levels these two events make; parsed once each."""
        key = (create.event_id, None if power_levels_event is None else power_levels_event.event_id)
        levels = self._power_levels.get(key)
        if levels is None:
            levels = self._power_levels[key] = power_levels_in_room(create, power_levels_event, self.version)
        return levels
