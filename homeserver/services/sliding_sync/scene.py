"""What extensions are answered from, and of which rooms they tell."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from homeserver.services.sliding_sync.connections import Selection
from homeserver.services.sliding_sync.request import Extensions, RoomExtension, SlidingRequest
from homeserver.services.sync.changes import RoomChanges
from homeserver.services.sync.snapshot import Snapshot
from homeserver.services.sync.sources import AccountDataEvents, KeyCounts
from homeserver.services.tokens import StreamToken
from homeserver.storage.memberships import Membership


@dataclass(slots=True)
class Scene:
    """One look at everything."""

    request: SlidingRequest
    before: Extensions
    """Those that were enabled at the client's place."""
    since: StreamToken | None
    snapshot: Snapshot
    selection: Selection
    previous: Selection
    changes: RoomChanges
    account_data: AccountDataEvents
    told_counts: KeyCounts | None
    anew: Collection[str] = ()
    """Rooms whose timelines are told anew."""
    shown: Collection[int] = ()
    """Numbers of events in the timelines of the answer."""
    _rooms: dict[tuple[RoomExtension, RoomExtension | None], tuple[set[str], set[str]]] = field(default_factory=dict)

    @property
    def user_id(self) -> str:
        return self.request.user_id

    def rooms(self, wanted: RoomExtension, before: RoomExtension | None) -> tuple[set[str], set[str]]:
        """Joined rooms that an extension tells of: those that are new to it, and the others."""
        # Most clients want the same of all extensions.
        found = self._rooms.get((wanted, before))
        if found is None:
            found = self._rooms[wanted, before] = self._joined_rooms(wanted, before)
        return found

    def _joined_rooms(self, wanted: RoomExtension, before: RoomExtension | None) -> tuple[set[str], set[str]]:
        now = _rooms_of(wanted, self.selection)
        joined = {each for each in now if _is_joined(self.snapshot.rooms.get(each))}
        known = set[str]()
        if before is not None and self.since is not None:
            known = _rooms_of(before, self.previous) - set(self.anew)
        return joined - known, joined & known


def _rooms_of(wanted: RoomExtension, selection: Selection) -> set[str]:
    """ "lists" and "rooms" of an extension: those of the windows, and those that are subscribed to."""
    rooms = set[str]()
    names = selection.windows if "*" in wanted.lists else wanted.lists
    for name in names:
        rooms.update(selection.windows.get(name, ()))
    subscribed = selection.rules.subscriptions.keys() & selection.relevant.keys()
    return rooms | (subscribed if "*" in wanted.rooms else subscribed & set(wanted.rooms))


def _is_joined(entry: Membership | None) -> bool:
    return entry is not None and entry.membership == "join"
