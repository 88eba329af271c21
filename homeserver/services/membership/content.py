"""The content of m.room.member events that this server makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from homeserver.protocol.builder import EventDraft
from homeserver.services.rooms.live_room import LiveRoom

MAX_REASON_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class MemberProfile:
    """What a member event says of its user."""

    displayname: str | None = None
    avatar_url: str | None = None


class ProfileLookup(Protocol):
    """Names and avatars of local users."""

    async def member_profile(self, user_id: str) -> MemberProfile:
        """The profile; empty where there is none."""
        ...


def member_draft(
    sender: str,
    target: str,
    membership: str,
    profile: MemberProfile | None = None,
    reason: str | None = None,
    **extra: Any,
) -> EventDraft:
    """A membership event; keys without a value are left out."""
    content: dict[str, Any] = {"membership": membership}
    if profile is not None:
        if profile.displayname is not None:
            content["displayname"] = profile.displayname
        if profile.avatar_url is not None:
            content["avatar_url"] = profile.avatar_url
    if reason is not None:
        content["reason"] = reason
    content.update({key: value for key, value in extra.items() if value is not None})
    return EventDraft(type="m.room.member", sender=sender, content=content, state_key=target)


def membership_of(room: LiveRoom, user_id: str) -> str:
    """The membership as the next event finds it (uncommitted events count); "leave" for strangers."""
    member = room.fetch_auth_event("m.room.member", user_id)
    return (member.membership if member is not None else None) or "leave"
