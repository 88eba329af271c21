"""Filters as values. The default of each is the filter `{}`: it lets everything through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from homeserver.protocol.filters.choice import ANY, ANY_TYPE, Choice, TypeChoice
from homeserver.protocol.relations import relation_of

EventFormat = Literal["client", "federation"]


class Filterable(Protocol):
    """What a room event shows to a filter."""

    @property
    def type(self) -> str: ...
    @property
    def sender(self) -> str: ...
    @property
    def room_id(self) -> str: ...
    @property
    def content(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class EventFilter:
    """For events outside of rooms: presence, account data."""

    limit: int | None = None
    types: TypeChoice = ANY_TYPE
    senders: Choice = ANY

    def matches(self, event_type: str, sender: str | None = None) -> bool:
        """Whether an event is wanted; `sender` is None for events nobody sends (account data)."""
        return self.types.includes(event_type) and (sender is None or self.senders.includes(sender))


ANY_EVENT: Final = EventFilter()


@dataclass(frozen=True, slots=True)
class RoomEventFilter:
    """For events of rooms.

    `related_by_*` (None: not asked for) want only events to which an event of such a sender, or with such a `rel_type`,
    relates. That is a question to the storage, so `matches` leaves them out.
    """

    limit: int | None = None
    types: TypeChoice = ANY_TYPE
    senders: Choice = ANY
    rooms: Choice = ANY
    contains_url: bool | None = None
    lazy_load_members: bool = False
    include_redundant_members: bool = False
    unread_thread_notifications: bool = False
    related_by_senders: tuple[str, ...] | None = None
    related_by_rel_types: tuple[str, ...] | None = None
    rel_types: Choice = ANY
    """By the `rel_type` that events have themselves; one without relation is of no kind (MSC3874)."""

    def matches(
        self, event_type: str, sender: str | None = None, has_url: bool | None = None, room_id: str | None = None
    ) -> bool:
        """Whether an event is wanted. What is None is not looked at: `has_url` is needed only where `contains_url` is
        set.
        """
        return (
            self.types.includes(event_type)
            and (sender is None or self.senders.includes(sender))
            and (room_id is None or self.rooms.includes(room_id))
            and (self.contains_url is None or has_url is None or self.contains_url == has_url)
        )

    def matches_event(self, event: Filterable) -> bool:
        """Whether this event is wanted; looks into its content only where `contains_url` asks for it."""
        if self.is_open:
            return True
        if not self.rel_types.is_open and not self._wants_relation(event):
            return False
        has_url = None if self.contains_url is None else "url" in event.content
        return self.matches(event.type, event.sender, has_url, event.room_id)

    def _wants_relation(self, event: Filterable) -> bool:
        relation = relation_of(event.content)
        if relation is None:
            return self.rel_types.only is None
        return self.rel_types.includes(relation[1])

    def limit_within(self, default: int, maximum: int) -> int:
        """The number of events to return: "Servers should apply a default value, and impose a maximum value"."""
        return min(default if self.limit is None else self.limit, maximum)

    @property
    def is_open(self) -> bool:
        """Whether `matches` lets every event through."""
        return (
            self.types.is_open
            and self.senders.is_open
            and self.rooms.is_open
            and self.contains_url is None
            and self.rel_types.is_open
        )

    @property
    def asks_for_relations(self) -> bool:
        """Whether the storage must be asked which events other events relate to."""
        return self.related_by_senders is not None or self.related_by_rel_types is not None


ANY_ROOM_EVENT: Final = RoomEventFilter()


@dataclass(frozen=True, slots=True)
class RoomFilter:
    """`room` of a filter. `rooms` is looked at before the filters of the parts."""

    rooms: Choice = ANY
    include_leave: bool = False
    timeline: RoomEventFilter = ANY_ROOM_EVENT
    state: RoomEventFilter = ANY_ROOM_EVENT
    ephemeral: RoomEventFilter = ANY_ROOM_EVENT
    account_data: RoomEventFilter = ANY_ROOM_EVENT

    def includes(self, room_id: str) -> bool:
        """Whether anything of this room is wanted."""
        return self.rooms.includes(room_id)


ANY_ROOM: Final = RoomFilter()


@dataclass(frozen=True, slots=True)
class Filter:
    """A whole filter, as `/sync` takes it. `event_fields` are parsed paths; None: all fields."""

    room: RoomFilter = ANY_ROOM
    presence: EventFilter = ANY_EVENT
    account_data: EventFilter = ANY_EVENT
    event_fields: tuple[tuple[str, ...], ...] | None = None
    profile_fields: frozenset[str] = frozenset()
    """Of whose changes the reader wants to hear (MSC4429)."""
    event_format: EventFormat = "client"
