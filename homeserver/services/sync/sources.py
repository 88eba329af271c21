"""What sync asks of the streams. Every stream answers the same two questions: everything, and what changed in (since, to].

All answers are JSON-ready: dicts, or bytes that are JSON already. Where the changes are recent and their readers awake,
`changed` asks the database nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from homeserver.services.sight import Sight
from homeserver.storage.positions import StreamPosition


class ReceiptSource(Protocol):
    """Contents of `m.receipt` by room id; other people's private receipts are left out."""

    @property
    def stream(self) -> StreamPosition: ...

    async def everything(self, user_id: str, room_ids: Collection[str]) -> Mapping[str, Mapping[str, Any]]: ...

    async def changed(
        self, user_id: str, room_ids: Collection[str], since: int, to: int
    ) -> Mapping[str, Mapping[str, Any]]: ...


class TypingSource(Protocol):
    """Who is typing; in memory only, so nothing is awaited."""

    @property
    def stream(self) -> StreamPosition: ...

    def users(self, room_id: str) -> Sequence[str]: ...

    def changed_rooms(self, since: int, to: int) -> Collection[str]:
        """Rooms in which somebody began or stopped typing in (since, to]."""
        ...


class VoiceSource(Protocol):
    """Who is in which voice channel; in memory only, so nothing is awaited. Contents are JSON already."""

    @property
    def position(self) -> StreamPosition: ...

    def roster(self, room_id: str) -> bytes | None:
        """Who is in this room's call; None where nobody is."""
        ...

    def concerns(self, room_ids: Collection[str], since: int, to: int) -> bool:
        """Whether anything changed in (since, to] of which members of these rooms may be told."""
        ...

    def changed_rosters(self, room_ids: Collection[str], since: int, to: int) -> Mapping[str, bytes]:
        """Rosters of these rooms that changed in (since, to], those that nobody is left in included."""
        ...

    def channels(self, space_id: str, sight: Sight) -> bytes | None:
        """Who is in the voice channels of a space that somebody may see; None for none."""
        ...

    def changed_channels(self, sight: Sight, since: int, to: int) -> Mapping[str, bytes]:
        """The same for those of the joined spaces where somebody came or went in (since, to]."""
        ...


@dataclass(frozen=True, slots=True)
class AccountDataEvents:
    """Account data as events, `{"type":..,"content":..}` in JSON."""

    everywhere: Sequence[bytes] = ()
    by_room: Mapping[str, Sequence[bytes]] = field(default_factory=dict)


class AccountDataSource(Protocol):
    """Global and room account data: `m.push_rules`, `m.fully_read` and `m.tag` included."""

    @property
    def stream(self) -> StreamPosition: ...

    async def everything(self, user_id: str) -> AccountDataEvents: ...

    async def of_rooms(self, user_id: str, room_ids: Collection[str]) -> Mapping[str, Sequence[bytes]]:
        """By room, all that is set for it; one statement."""
        ...

    async def changed(self, user_id: str, since: int, to: int) -> AccountDataEvents: ...

    async def ignored_users(self, user_id: str) -> Collection[str]:
        """From `m.ignored_user_list`; from memory where the user is awake."""
        ...

    async def hidden_inviters(self, user_id: str, inviters: Collection[str]) -> Collection[str]:
        """Those of the inviters of whose invitations the user sees nothing; at most one statement."""
        ...


class PresenceSource(Protocol):
    """`m.presence` events as dicts, of the user and of those who share a room with him."""

    @property
    def stream(self) -> StreamPosition: ...

    async def everything(self, user_id: str) -> Sequence[Mapping[str, Any]]: ...

    async def changed(self, user_id: str, since: int, to: int) -> Sequence[Mapping[str, Any]]: ...

    async def of_users(self, user_ids: Collection[str]) -> Sequence[Mapping[str, Any]]:
        """Of users who newly share a room with the reader; of many, only those who are not simply offline."""
        ...

    async def changed_among(self, user_ids: Collection[str], since: int, to: int) -> Sequence[Mapping[str, Any]]:
        """Of these users, whether the reader shares a room with them or not."""
        ...

    async def seen(self, user_id: str, device_id: str, set_presence: str) -> None:
        """A sync with `set_presence` (online, unavailable, offline) came in."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """Unread notifications, and how many of them are highlights."""

    notifications: int = 0
    highlights: int = 0


@dataclass(frozen=True, slots=True)
class UnreadCounts:
    """Of the main timeline, of each thread (by root event id), and of all of them together."""

    main: Counts = Counts()
    threads: Mapping[str, Counts] = field(default_factory=dict)
    total: Counts = Counts()


class UnreadSource(Protocol):
    """Counts by room id. `stream` advances when a receipt changes counts without a new event."""

    async def counts(self, user_id: str, room_ids: Collection[str]) -> Mapping[str, UnreadCounts]: ...


@dataclass(frozen=True, slots=True)
class Letters:
    """To-device messages (events in JSON), oldest first, and the position up to which these are all."""

    events: Sequence[bytes]
    up_to: int


class ToDeviceSource(Protocol):
    """Messages stay until a later sync shows, by its token, that they arrived."""

    @property
    def stream(self) -> StreamPosition: ...

    async def pending(self, user_id: str, device_id: str, since: int, to: int, limit: int = 100) -> Letters: ...

    async def acknowledge(self, user_id: str, device_id: str, up_to: int) -> None:
        """The device's token says it has read up to here; deletes, in batches, what it read."""
        ...


class DeviceListSource(Protocol):
    """Users whose keys changed and whom this user may hear of."""

    @property
    def stream(self) -> StreamPosition: ...

    async def changed(self, user_id: str, since: int, to: int | None = None) -> set[str]: ...


@dataclass(frozen=True, slots=True)
class KeyCounts:
    """`device_one_time_keys_count` (always with `signed_curve25519`) and `device_unused_fallback_key_types`."""

    one_time_keys: Mapping[str, int]
    unused_fallback_types: Sequence[str]


class KeyCountSource(Protocol):
    """From memory for awake devices; changes wake the device's sync."""

    async def counts(self, user_id: str, device_id: str) -> KeyCounts: ...
