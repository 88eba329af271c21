"""Which left rooms an answer tells of. What happened after the reader left is not his to see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from homeserver.protocol.filters import RoomFilter
from homeserver.protocol.visibility import EVERYTHING, FIRST_POSITION
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.sync.changes import OwnChange, RoomChanges
from homeserver.services.sync.window import Window
from homeserver.services.visibility import Perspective, Visibility
from homeserver.storage.memberships import Membership

LEFT = ("leave", "ban")


@dataclass(slots=True)
class LeftRooms:
    """`windows` are of rooms the reader was in; of the others he sees nothing but his own last membership event."""

    windows: list[Window]
    never_in: list[Window]


def newly_left(
    rooms: Mapping[str, Membership], wanted: RoomFilter, cache: RoomCache, changes: RoomChanges
) -> LeftRooms:  # fmt: skip
    """Rooms left since the last sync, also by a kick, a ban, or declining an invite."""
    left = LeftRooms([], [])
    for room_id, own in changes.own.items():
        entry = rooms[room_id]
        if entry.membership not in LEFT or not wanted.includes(room_id):
            continue
        ended = own.departure()
        if ended is None:
            left.never_in.append(_only_own(entry, own.events[-1]))
        else:
            left.windows.append(_until_departure(entry, cache, changes, own, ended))
    return left


def _until_departure(
    entry: Membership, cache: RoomCache, changes: RoomChanges, own: OwnChange, ended: TimelineEvent
) -> Window:
    was_in = own.before == "join"
    window = Window(
        entry,
        cache.peek(entry.room_id),
        changes.since if was_in else FIRST_POSITION,
        ended.position,
        since=changes.since if was_in else None,
        newly_joined=not was_in,
    )
    if was_in and all(membership != "join" for _, membership in own.memberships):
        window.perspective = Perspective(EVERYTHING, ((FIRST_POSITION, "join"), *own.memberships))
    return window


def _only_own(entry: Membership, event: TimelineEvent) -> Window:
    """A declined invite, or a ban of somebody who was not there."""
    window = Window(entry, None, event.position - 1, event.position, since=event.position - 1)
    window.events, window.start = [event], event.position - 1
    return window


async def archived(
    user_id: str,
    rooms: Iterable[Membership],
    wanted: RoomFilter,
    cache: RoomCache,
    visibility: Visibility,
    to: int,
    since: int | None,
) -> list[Window]:
    """`include_leave`: rooms the reader was in once and has not forgotten, up to his departure; one statement."""
    left = [
        entry for entry in rooms if entry.membership in LEFT and not entry.forgotten and wanted.includes(entry.room_id)
    ]
    if not left:
        return []
    perspectives = await visibility.read_perspectives(user_id, left)
    return _archived_windows(left, perspectives, cache, to, since)


def _archived_windows(
    left: Sequence[Membership],
    perspectives: Mapping[str, Perspective],
    cache: RoomCache,
    to: int,
    since: int | None,
) -> list[Window]:
    windows = []
    for entry in left:
        perspective = perspectives[entry.room_id]
        ended = perspective.left_at
        if ended is not None and ended <= to:
            after = FIRST_POSITION if since is None else min(since, ended)
            windows.append(Window(entry, cache.peek(entry.room_id), after, ended, perspective=perspective))
    return windows
