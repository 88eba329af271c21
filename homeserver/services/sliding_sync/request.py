"""What one sliding sync asks for, whichever shape it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeserver.services.requester import Requester
from homeserver.services.sliding_sync.required_state import RoomConfig

MAX_TIMELINE_LIMIT = 100
"""More are not sent in one answer: "The server may cap this number"."""

WEIGHT_BYTES = 300
"""The unit in which what connections hold in memory is counted: a room that was sent."""
WORD_BYTES = 80
"""What a short text takes, and its place in a set."""

Range = tuple[int, int]
"""First and last index, both within."""


@dataclass(frozen=True, slots=True)
class RoomFilter:
    """Which rooms a list is about. None: no matter."""

    is_dm: bool | None = None
    is_encrypted: bool | None = None
    is_invited: bool | None = None
    spaces: frozenset[str] | None = None
    room_types: frozenset[str | None] | None = None
    not_room_types: frozenset[str | None] | None = None
    tags: frozenset[str] | None = None
    not_tags: frozenset[str] | None = None
    name_like: str | None = None
    """A part of the room's name, in any case."""

    @property
    def texts(self) -> list[str]:
        """All that it holds."""
        values = (self.spaces, self.room_types, self.not_room_types, self.tags, self.not_tags)
        return [each for some in values for each in some or () if each is not None] + [self.name_like or ""]

    @property
    def asks_for_tags(self) -> bool:
        """Whether it is about tags."""
        return self.tags is not None or self.not_tags is not None

    @property
    def asks_what_rooms_are(self) -> bool:
        """Whether it is about the state of the rooms."""
        return (
            self.is_encrypted is not None
            or self.room_types is not None
            or self.not_room_types is not None
            or self.name_like is not None
        )


@dataclass(frozen=True, slots=True)
class ListConfig:
    """One list. `ranges` None: all of it."""

    config: RoomConfig
    ranges: tuple[Range, ...] | None = None
    filter: RoomFilter | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides which rooms are sent, and how much of each. Equal rules select the same."""

    lists: Mapping[str, ListConfig] = field(default_factory=dict)
    subscriptions: Mapping[str, RoomConfig] = field(default_factory=dict)
    weight: int = field(init=False, repr=False, compare=False)
    """What they take in memory, in units of WEIGHT_BYTES."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", _weight(self))


def _weight(rules: Rules) -> int:
    configs = [*(each.config for each in rules.lists.values()), *rules.subscriptions.values()]
    required = {id(each): each for config in configs for each in config.required}.values()
    patterns = [pattern for each in required for pattern in (*each.include, *each.exclude)]
    texts = [text for pattern in patterns for text in pattern if text is not None]
    for each in rules.lists.values():
        if each.filter is not None:
            texts += each.filter.texts
    return len(configs) + len(patterns) + sum(WORD_BYTES + len(text) for text in texts) // WEIGHT_BYTES


EVERYTHING = ("*",)


@dataclass(frozen=True, slots=True)
class RoomExtension:
    """An extension that tells of the rooms of some lists and subscriptions; "*": of all of them."""

    lists: tuple[str, ...] = EVERYTHING
    rooms: tuple[str, ...] = EVERYTHING


@dataclass(frozen=True, slots=True)
class PagedExtension:
    """An extension whose place the client keeps itself. `since` None: from the beginning."""

    since: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Extensions:
    """Those that are enabled."""

    to_device: PagedExtension | None = None
    e2ee: bool = False
    account_data: RoomExtension | None = None
    receipts: RoomExtension | None = None
    typing: RoomExtension | None = None
    voice: RoomExtension | None = None
    sticky: PagedExtension | None = None
    others: Mapping[str, Any] = field(default_factory=dict)
    """Of other services, by name: each reads its own configuration."""

    @property
    def weight(self) -> int:
        """As `Rules.weight`; a name has no more than 255 characters."""
        by_room = (self.account_data, self.receipts, self.typing, self.voice)
        return sum(len(each.lists) + len(each.rooms) for each in by_room if each is not None)


@dataclass(frozen=True, slots=True)
class SlidingRequest:
    """One request on one connection of one device. `pos` None: a new connection."""

    requester: Requester
    conn_id: str
    pos: str | None
    rules: Rules
    extensions: Extensions
    timeout_ms: int = 0
    set_presence: str = "online"
    takes_stubs: bool = False
    """Whether the client can be told that an entry of the state is gone ("StateStub"); else it gets the room anew."""
    wants_counts: bool = False
    """Whether unread counts are part of the shape."""

    @property
    def user_id(self) -> str:
        return self.requester.user_id

    @property
    def may_wait(self) -> bool:
        """ "Ignored when no `pos` is set"."""
        return self.pos is not None and self.timeout_ms > 0
