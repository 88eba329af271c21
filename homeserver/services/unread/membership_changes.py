"""What a membership event changed: a new avatar is a membership event too, and changes nothing here."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from homeserver.services.rooms.timeline_event import TimelineEvent


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """Whether the member joined or left by this event; neither where he was and stays a member."""

    joined: bool = False
    left: bool = False


def membership_change(event: TimelineEvent) -> MembershipChange | None:
    """None for everything that is no membership event."""
    if event.type != "m.room.member" or event.state_key is None:
        return None
    if event.membership != "join":
        return MembershipChange(left=True)
    return MembershipChange(joined=_membership_before(event) != "join")


def _membership_before(event: TimelineEvent) -> str | None:
    if event.unsigned is None:
        return None
    before = orjson.loads(b"{%s}" % event.unsigned).get("prev_content")
    membership = before.get("membership") if isinstance(before, dict) else None
    return membership if isinstance(membership, str) else None
