"""What clients may say about themselves."""

from __future__ import annotations

from collections.abc import Mapping

from voice.sfu.embedded.rooms.limits import RoomLimits

_OURS = "org.voicechat."
DEAFENED = "org.voicechat.deafened"


def settable(attributes: Mapping[str, str]) -> dict[str, str]:
    """Without those only a token may set, such as who is heard first."""
    return {key: text for key, text in attributes.items() if not key.startswith(_OURS) or key == DEAFENED}


def merged(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """An empty text removes an attribute, as LiveKit has it."""
    both = {**old, **new}
    return {key: text for key, text in both.items() if text}


def fits(attributes: Mapping[str, str], limits: RoomLimits) -> bool:
    size = sum(len(key.encode()) + len(text.encode()) for key, text in attributes.items())
    return len(attributes) <= limits.attribute_count and size <= limits.attributes
