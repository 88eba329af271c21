"""What push rules look at: the facts of one event and its room, and of one reader.

An `EventFacts` is made once per event and shared by everybody's rules; whatever is derived from the event (property
values, the lower-cased body, its words, the outcome of a condition) is worked out at most once, when first needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from homeserver.protocol.push_rules.globs import words_of

ABSENT: Final = object()
# m.room.power_levels: `notifications.room` defaults to 50.
DEFAULT_NOTIFICATION_LEVEL: Final = 50


@dataclass(frozen=True, slots=True)
class RoomFacts:
    """The room at the event.

    `member_count`: joined members. `sender_power_level`: the sender's level (creators of a version 12 room:
    `float("inf")`). `notification_levels`: the `notifications` object of m.room.power_levels, unchecked.
    """

    member_count: int
    sender_power_level: float = 0
    notification_levels: Mapping[str, Any] = field(default_factory=dict)

    def may_notify(self, kind: str) -> bool:
        """Whether the sender's level suffices for notifications of this kind (`room`)."""
        required = self.notification_levels.get(kind, DEFAULT_NOTIFICATION_LEVEL)
        return self.sender_power_level >= _level(required)


@dataclass(frozen=True, slots=True)
class ReaderFacts:
    """One reader of the event. `display_name`: in this room; None where there is none."""

    user_id: str
    display_name: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadFacts:
    """Who of an event's readers said what about the thread it belongs to (MSC4306).

    `unsubscribed`: of those who subscribe to threads at all. To everybody else, whose client does not know of it, a thread is
    no quieter than the room.
    """

    subscribed: frozenset[str] = frozenset()
    unsubscribed: frozenset[str] = frozenset()


NO_THREAD: Final = ThreadFacts()


class EventFacts:
    """One event, in any format that has its top-level keys (PDU or client format)."""

    __slots__ = (
        "_lowered",
        "_values",
        "_words",
        "event",
        "event_type",
        "outcomes",
        "replaced",
        "room",
        "room_id",
        "sender",
        "thread",
    )

    def __init__(
        self,
        event: Mapping[str, Any],
        room: RoomFacts,
        *,
        room_id: str | None = None,
        replaced: Mapping[str, Any] | None = None,
        thread: ThreadFacts = NO_THREAD,
    ) -> None:
        """`room_id` is asked for apart because the create event of a version 12 room does not carry it. `replaced`: the
        content that a state event replaces.
        """
        self.event = event
        self.replaced = replaced
        self.thread = thread
        self.room = room
        self.event_type: str = event["type"]
        self.sender: str = event["sender"]
        self.room_id: str = room_id if room_id is not None else event["room_id"]
        # Outcomes of conditions that many rulesets have in common, by condition.
        self.outcomes: dict[Hashable, bool] = {}
        self._values: dict[tuple[str, ...], Any] = {("room_id",): self.room_id}
        self._lowered: dict[tuple[str, ...], str | None] = {}
        self._words: frozenset[str] | None = None

    def value(self, path: tuple[str, ...]) -> Any:
        """The value at a path, or `ABSENT`."""
        try:
            return self._values[path]
        except KeyError:
            value = self._values[path] = _look_up(self.event, path)
            return value

    def lowered(self, path: tuple[str, ...]) -> str | None:
        """The lower-cased string at a path; None where there is no string."""
        try:
            return self._lowered[path]
        except KeyError:
            value = self.value(path)
            lowered = self._lowered[path] = value.lower() if isinstance(value, str) else None
            return lowered

    @property
    def body(self) -> str | None:
        """`content.body`, lower-cased."""
        return self.lowered(BODY)

    @property
    def body_words(self) -> frozenset[str]:
        """The words of `content.body`."""
        if self._words is None:
            self._words = words_of(self.body or "")
        return self._words


BODY: Final = ("content", "body")


def _look_up(event: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = event
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return ABSENT
        value = value[name]
    return value


def _level(value: Any) -> float:
    """Old rooms have power levels that are strings; anything else that is no integer counts as the default."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) < 20:
        try:
            return int(value)
        except ValueError:
            pass
    return DEFAULT_NOTIFICATION_LEVEL
