"""Whether two contents are the same to roles: what they do not rule does not count."""

from __future__ import annotations

from homeserver.protocol.roles.power_levels import ruled
from homeserver.protocol.roles.rooms import HISTORY, MEMBER, POWER_LEVELS, TAGS, Content
from homeserver.protocol.roles.tags import ruled_tags


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


def _membership(content: Content) -> object:
    """Who was invited and has come is where he was wanted."""
    membership = content.get("membership", "leave")
    return "join" if membership == "invite" else membership
