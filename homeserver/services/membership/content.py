"""The content of m.room.member events that this server makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import BadJson
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.refusals import not_in_room
from homeserver.services.text_limits import check_text

MAX_REASON_CHARACTERS = 2000
# What the server decides, whatever a client writes into PUT /state/m.room.member.
_NOT_CLIENTS = frozenset({"membership", "join_authorised_via_users_server", "third_party_invite"})
_NOTHING: Mapping[str, Any] = {}


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
    extra: Mapping[str, Any] = _NOTHING,
) -> EventDraft:
    """A membership event; `extra` goes over what the profile says. Raises InvalidParam for a reason that is too long."""
    content: dict[str, Any] = {"membership": membership}
    if profile is not None:
        if profile.displayname is not None:
            content["displayname"] = profile.displayname
        if profile.avatar_url is not None:
            content["avatar_url"] = profile.avatar_url
    if reason is not None:
        content["reason"] = check_text(reason, "reason", MAX_REASON_CHARACTERS)
    content.update(extra)
    return EventDraft(type="m.room.member", sender=sender, content=content, state_key=target)


def clients_part(content: Mapping[str, Any]) -> dict[str, Any]:
    """Of the content of a PUT /state/m.room.member, what the client may decide. Raises BadJson."""
    for key in ("displayname", "avatar_url", "reason"):
        if not isinstance(content.get(key, ""), str | None):
            raise BadJson(f"'{key}' must be a string")
    return {key: value for key, value in content.items() if key not in _NOT_CLIENTS and value is not None}


def membership_of(room: LiveRoom, user_id: str) -> str:
    """The membership as the next event finds it (uncommitted events count); "leave" for strangers."""
    member = room.fetch_auth_event("m.room.member", user_id)
    return (member.membership if member is not None else None) or "leave"


def check_joined(room: LiveRoom, user_id: str) -> None:
    """Raises Forbidden for those who are not in the room, before they learn anything about it."""
    if membership_of(room, user_id) != "join":
        raise not_in_room(room.room_id)
