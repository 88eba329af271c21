"""Which joined rooms an answer tells of, and how much of each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from homeserver.protocol.filters import RoomFilter
from homeserver.protocol.visibility import FIRST_POSITION
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.sync.changes import OwnChange, RoomChanges
from homeserver.services.sync.window import Window
from homeserver.storage.memberships import Membership


def initial_windows(rooms: Iterable[Membership], wanted: RoomFilter, cache: RoomCache, to: int) -> list[Window]:
    """Every joined room, from its beginning."""
    return [
        Window(entry, cache.peek(entry.room_id), FIRST_POSITION, to)
        for entry in rooms
        if entry.membership == "join" and wanted.includes(entry.room_id)
    ]


def incremental_windows(
    rooms: Mapping[str, Membership],
    wanted: RoomFilter,
    cache: RoomCache,
    changes: RoomChanges,
    also: Collection[str],
    *,
    full_state: bool,
) -> list[Window]:
    """Joined rooms in which something happened, those in ``also`` (receipts, typing, account data), or all of them."""
    told: Iterable[str] = rooms if full_state else (changes.rooms | set(also) | changes.own.keys())
    windows = []
    for room_id in told:
        entry = rooms.get(room_id)
        if entry is not None and entry.membership == "join" and wanted.includes(room_id):
            windows.append(_window(entry, cache, changes, changes.own.get(room_id), full_state=full_state))
    return windows


def _window(
    entry: Membership, cache: RoomCache, changes: RoomChanges, own: OwnChange | None, *, full_state: bool
) -> Window:
    newly_joined = own is not None and own.left_between
    return Window(
        entry,
        cache.peek(entry.room_id),
        FIRST_POSITION if newly_joined else changes.since,
        changes.to,
        since=None if newly_joined or full_state else changes.since,
        newly_joined=newly_joined,
    )
