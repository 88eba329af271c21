"""How events relate to each other. Client-server API, "Forming relationships between events"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ANNOTATION: Final = "m.annotation"
REFERENCE: Final = "m.reference"
REPLACEMENT: Final = "m.replace"
THREAD: Final = "m.thread"

AGGREGATED: Final = frozenset((THREAD, REPLACEMENT, REFERENCE))
"""The kinds that servers aggregate: "`m.annotation` relationships are *not* aggregated by the server"."""

# Longer than any event id; what is longer relates to nothing that exists.
MAX_PARENT_BYTES: Final = 255
MAX_REL_TYPE_BYTES: Final = 255
MAX_AGGREGATION_KEY_BYTES: Final = 1024

Relation = tuple[str, str, str | None]
"""Parent event id, rel_type, aggregation key (of annotations only)."""


def relation_of(content: Mapping[str, Any]) -> Relation | None:
    """The relation an event declares, None where it declares none that is well formed.

    Replies without a thread (`m.in_reply_to` alone) are not relations in this sense: the spec aggregates none of them.
    """
    relates_to = content.get("m.relates_to")
    if not isinstance(relates_to, dict):
        return None
    parent = _name(relates_to.get("event_id"), MAX_PARENT_BYTES)
    rel_type = _name(relates_to.get("rel_type"), MAX_REL_TYPE_BYTES)
    if parent is None or rel_type is None:
        return None
    key = _name(relates_to.get("key"), MAX_AGGREGATION_KEY_BYTES) if rel_type == ANNOTATION else None
    if rel_type == ANNOTATION and key is None:
        return None
    return parent, rel_type, key


def _name(value: object, maximum: int) -> str | None:
    """The value if it is a text that can be stored (no NUL, no half of a surrogate pair) and is not too long."""
    if not isinstance(value, str) or not value or "\0" in value:
        return None
    try:
        return value if len(value.encode()) <= maximum else None
    except UnicodeEncodeError:
        return None
