"""What a membership event changed: a new avatar is a membership event too, and changes nothing here."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.services.rooms.timeline_event import TimelineEvent
from homeserver.services.rooms.unsigned import came_in


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """Whether the member joined or left by this event; neither where he was and stays a member."""

    joined: bool = False
    left: bool = False


def membership_change(event: TimelineEvent) -> MembershipChange | None:
    """None for everything that is no membership event."""
    if event.type != "m.room.member" or not event.takes_force:
        return None
    if event.membership != "join":
        return MembershipChange(left=True)
    return MembershipChange(joined=came_in(event))
