"""Who is in which room, put together from reports that come late, twice, or not at all, and from looks at the rooms."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from voice.sfu.backend import (
    Changed,
    Joined,
    LeaveReason,
    Left,
    ParticipantState,
    RoomsLost,
    SfuEvent,
    SfuListener,
)

log = logging.getLogger(__name__)

MAX_DEPARTED: Final = 20_000

Sids = Mapping[str, str]
"""Identity -> session."""


@dataclass(slots=True)
class People:
    """Everything is told to the listeners once. A session (sid) that has ended does not come back."""

    listeners: list[SfuListener] = field(default_factory=list)
    _rooms: dict[str, dict[str, ParticipantState]] = field(default_factory=dict)
    _departed: dict[str, None] = field(default_factory=dict)
    """Sessions that ended for good, the oldest first: a late report of their beginning is not believed."""
    _reasons: dict[tuple[str, str], LeaveReason] = field(default_factory=dict)
    """Of those whom we are sending away now: LiveKit only knows that they were."""

    # --- asked ---

    def rooms(self) -> Sequence[str]:
        """Those with somebody in them."""
        return list(self._rooms)

    def count(self, room: str) -> int:
        return len(self._rooms.get(room, {}))

    def has(self, room: str, identity: str) -> bool:
        return identity in self._rooms.get(room, {})

    def sids(self, room: str) -> Sids:
        """As it is now; a look that begins now can judge these and no others."""
        return {identity: state.sid for identity, state in self._rooms.get(room, {}).items()}

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        people = sum(len(each) for each in self._rooms.values())
        return {"rooms": len(self._rooms), "participants": people, "departed": len(self._departed)}

    # --- told ---

    def seen(self, room: str, state: ParticipantState) -> None:
        """He is there, and like this."""
        if state.sid in self._departed:
            return
        people = self._rooms.setdefault(room, {})
        known = people.get(state.identity)
        people[state.identity] = state
        if known is None:
            self._tell(Joined(room, state))
        elif known.sid != state.sid:
            self._end(known.sid)
            self._tell(Left(room, known.identity, known.sid, LeaveReason.DUPLICATE))
            self._tell(Joined(room, state))
        elif known != state:
            self._tell(Changed(room, state))

    def left(self, room: str, identity: str, sid: str, reason: LeaveReason) -> None:
        """This session is over; he may have another one already."""
        if reason is not LeaveReason.BACKEND_LOST:  # which he may survive
            self._end(sid)
        known = self._rooms.get(room, {}).get(identity)
        if known is not None and known.sid == sid:
            self._take(room, identity)
            if reason is LeaveReason.REMOVED:
                reason = self._reasons.get((room, identity), reason)
            self._tell(Left(room, identity, sid, reason))

    def emptied(self, room: str, reason: LeaveReason) -> None:
        """The room is over."""
        for identity, sid in self.sids(room).items():
            self.left(room, identity, sid, reason)

    def compare(self, room: str, before: Sids, there: Iterable[ParticipantState]) -> None:
        """A look at the room, that began when `before` were there."""
        seen = list(there)
        names = {each.identity for each in seen}
        for identity, sid in before.items():
            known = self._rooms.get(room, {}).get(identity)
            if identity not in names and known is not None and known.sid == sid:
                # Not ended for good: had he only not been listed, he would be seen again.
                self._take(room, identity)
                self._tell(Left(room, identity, sid, LeaveReason.VANISHED))
        for state in seen:
            self.seen(room, state)

    def lost(self, rooms: Iterable[str]) -> None:
        """The cluster went away with everybody in these rooms."""
        lost = [room for room in rooms if self._rooms.pop(room, None) is not None]
        if lost:
            self._tell(RoomsLost(lost))

    def expect(self, room: str, identity: str, reason: LeaveReason) -> None:
        """He is being sent away for this reason, until `removed`."""
        self._reasons[room, identity] = reason

    def removed(self, room: str, identity: str, *, done: bool) -> None:
        """`done`: he was there and is out, whether that was reported already or not."""
        reason = self._reasons.pop((room, identity), LeaveReason.REMOVED)
        known = self._rooms.get(room, {}).get(identity)
        if done and known is not None:
            self.left(room, identity, known.sid, reason)

    def _take(self, room: str, identity: str) -> None:
        people = self._rooms[room]
        del people[identity]
        if not people:
            del self._rooms[room]

    def _end(self, sid: str) -> None:
        self._departed[sid] = None
        if len(self._departed) > MAX_DEPARTED:
            del self._departed[next(iter(self._departed))]

    def _tell(self, event: SfuEvent) -> None:
        for listener in self.listeners:
            try:
                listener(event)
            except Exception:
                log.exception("a listener failed at an event of LiveKit")
