"""What is told of each selected room: decided for one room after the other, from memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from homeserver.protocol.visibility import FIRST_POSITION
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.sliding_sync.connections import Selection, SentRoom
from homeserver.services.sliding_sync.required_state import RoomConfig
from homeserver.services.sliding_sync.room_facts import Facts
from homeserver.services.sync.changes import RoomChanges
from homeserver.services.sync.state_delta import StateKey, StateOfWindow
from homeserver.services.sync.window import Window
from homeserver.services.visibility import Perspective
from homeserver.storage.memberships import Membership

OUTSIDE = ("invite", "knock")


class Kind(Enum):
    """How much of a room the reader may be told."""

    JOINED = "joined"
    OUTSIDE = "outside"
    """Invited, or knocking: stripped state."""
    LEFT = "left"
    """Up to his departure."""
    DECLINED = "declined"
    """He never was in: his own last membership event."""
    GONE = "gone"
    """Resolution left him without a membership: nothing but that."""


@dataclass(slots=True, eq=False)
class Part:
    """One room's part of an answer while it is put together."""

    room_id: str
    kind: Kind
    config: RoomConfig
    entry: Membership | None = None
    sent: SentRoom | None = None
    """What the client knows of the room; None: nothing."""
    initial: bool = True
    expanded: bool = False
    """The timeline is longer than what the client has had, and begins before it."""
    dm_changed: bool = False
    counts_changed: bool = False
    window: Window | None = None

    state: StateOfWindow | None = None
    told: set[StateKey] = field(default_factory=set)
    """Keys of `state` that belong to the required state."""
    changes: dict[StateKey, TimelineEvent] = field(default_factory=dict)
    """State that changed since the client heard of the room, wanted or not."""
    deleted: set[StateKey] = field(default_factory=set)
    members: list[str] = field(default_factory=list)
    """Lazily loaded members that are told."""

    @property
    def since(self) -> int | None:
        """The client knows the state as of here; None: he is to get all of it."""
        return None if self.initial or self.sent is None else self.sent.up_to

    @property
    def required_added(self) -> bool:
        """Whether state is wanted that was not before."""
        return self.sent is not None and wants_more_state(self.config, self.sent)

    def begin_again(self, cache: RoomCache) -> None:
        """The client is to replace what it knows."""
        assert self.window is not None
        self.initial, self.expanded = True, False
        self.changes, self.deleted = {}, set()
        self.window = window_from_start(self.window, self.window.membership, cache, self.config)


def wants_more_state(config: RoomConfig, sent: SentRoom) -> bool:
    """Whether state is wanted that was not when the client heard of the room."""
    return config is not sent.config and not config.required <= sent.config.required


@dataclass(frozen=True, slots=True)
class Deciding:
    """What is known when parts are decided."""

    rooms: Mapping[str, Membership]
    facts: Mapping[str, Facts]
    sent: Mapping[str, SentRoom]
    changes: RoomChanges
    before: Selection
    now: int
    cache: RoomCache

    def part(self, room_id: str, config: RoomConfig, *, is_dm: bool, counts_changed: bool) -> Part | None:
        """What is to be told of a selected room; None for nothing."""
        entry, sent = self.rooms.get(room_id), self.sent.get(room_id)
        if entry is None:
            return Part(room_id, Kind.GONE, config, None, sent)
        if entry.membership == "join":
            return self._joined(entry, config, sent, is_dm=is_dm, counts_changed=counts_changed)
        if sent is not None and sent.membership_nid == entry.event_nid:
            return None
        kind = Kind.OUTSIDE if entry.membership in OUTSIDE else Kind.LEFT
        return Part(room_id, kind, config, entry, sent, initial=kind is Kind.OUTSIDE or not _was_joined(sent))

    def _joined(
        self, entry: Membership, config: RoomConfig, sent: SentRoom | None, *, is_dm: bool, counts_changed: bool
    ) -> Part | None:
        if sent is None or not self._stayed(entry, sent):
            part = Part(entry.room_id, Kind.JOINED, config, entry, sent)
            part.window = self._window(part, after=FIRST_POSITION, since=None)
            return part
        expanded, dm_changed = config.timeline_limit > sent.config.timeline_limit, is_dm != sent.is_dm
        # Of all rooms of the reader, at each wake-up: nothing is made before there is something to tell.
        if not (expanded or dm_changed or counts_changed or self._has_news(entry, config, sent)):
            return None
        part = Part(entry.room_id, Kind.JOINED, config, entry, sent, initial=False, expanded=expanded)
        part.dm_changed, part.counts_changed = dm_changed, counts_changed
        if expanded:
            part.window = self._window(part, after=FIRST_POSITION, since=None)
        else:
            part.window = self._window(part, after=sent.up_to, since=sent.up_to)
        return part

    def _has_news(self, entry: Membership, config: RoomConfig, sent: SentRoom) -> bool:
        facts = self.facts.get(entry.room_id)
        return facts is None or facts.latest > sent.up_to or wants_more_state(config, sent)

    def _stayed(self, entry: Membership, sent: SentRoom) -> bool:
        """Whether the reader has surely been in the room since the client heard of it: a new name is a membership, too."""
        if sent.membership != "join":
            return False
        if sent.membership_nid == entry.event_nid:
            return True
        own = self.changes.own.get(entry.room_id)
        return own is not None and entry.room_id in self.before.relevant and not own.left_between

    def _window(self, part: Part, *, after: int, since: int | None) -> Window:
        assert part.entry is not None
        live = self.cache.peek(part.room_id)
        return Window(part.entry, live, after, self.now, since=since, limit=part.config.timeline_limit)


def _was_joined(sent: SentRoom | None) -> bool:
    return sent is not None and sent.membership == "join"


def window_from_start(window: Window, entry: Membership, cache: RoomCache, config: RoomConfig) -> Window:
    """The same place in the room, told as if nothing had been told before."""
    return Window(
        entry,
        cache.peek(entry.room_id),
        FIRST_POSITION,
        window.up_to,
        limit=config.timeline_limit,
        perspective=window.perspective,
    )


def departure_window(part: Part, perspective: Perspective, cache: RoomCache) -> Window | None:
    """What a reader may see of a room he has left; None where he never was in."""
    entry, ended = part.entry, perspective.left_at
    if entry is None or ended is None:
        return None
    since = part.since
    if since is not None and since >= ended:
        part.initial = True
        since = None
    after = FIRST_POSITION if since is None else since
    return Window(
        entry,
        cache.peek(entry.room_id),
        after,
        ended,
        since=since,
        limit=part.config.timeline_limit,
        perspective=perspective,
    )


def own_event_window(entry: Membership, event: TimelineEvent) -> Window:
    """A declined invitation, or one that was taken back."""
    window = Window(entry, None, event.position - 1, event.position, since=event.position - 1)
    window.events, window.start = [event], event.position - 1
    return window
