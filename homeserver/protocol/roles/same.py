"""Whether two contents are the same to roles: what they do not rule does not count, and is not written over."""

from __future__ import annotations

from typing import Any

from homeserver.protocol.roles.power_levels import rewritten, ruled
from homeserver.protocol.roles.rooms import HISTORY, MEMBER, POWER_LEVELS, TAGS, Content
from homeserver.protocol.roles.tags import rewritten_tags, ruled_tags


def same(event_type: str, one: Content, other: Content) -> bool:
    """Compare two contents of one type; a missing event is an empty content."""
    if event_type == POWER_LEVELS:
        return ruled(one) == ruled(other)
    if event_type == TAGS:
        return ruled_tags(one) == ruled_tags(other)
    if event_type == HISTORY:
        return bool(one.get("history_visibility", "shared") == other.get("history_visibility", "shared"))
    if event_type == MEMBER:
        return _membership(one) == _membership(other)
    return one == other


def over(event_type: str, current: Content, after: Content) -> dict[str, Any]:
    """The content to send where `current` stands."""
    if event_type == POWER_LEVELS:
        return rewritten(current, after)
    return rewritten_tags(current, after) if event_type == TAGS else dict(after)


def _membership(content: Content) -> object:
    """Who was invited and has come is where he was wanted."""
    membership = content.get("membership", "leave")
    return "join" if membership == "invite" else membership
