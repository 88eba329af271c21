"""Where stored events are in the history of their room."""

from __future__ import annotations

from homeserver.services.rooms.timeline_event import OUTLIER
from homeserver.storage.event_graph import StoredNode


def place_of(node: StoredNode) -> int:
    """Its position. Soft-failed and rejected events have none: theirs is the state at their number (decision 0017)."""
    return node.event_nid if node.position is None else node.position


def is_outlier(node: StoredNode) -> bool:
    """Whether it is kept as state or auth event only: nobody knows where it belongs, or the state before it."""
    return node.position is None and bool(node.flags & OUTLIER)
