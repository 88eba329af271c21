"""What SQL can tell of a filter. Pure. The rest (`contains_url` exactly) is looked at in Python."""

from __future__ import annotations

from homeserver.protocol.filters import RoomEventFilter
from homeserver.storage.room_history import Wanted

# A key of the content cannot be written otherwise: stored JSON escapes no letters.
URL_KEY = b'"url":'


def wanted_by(event_filter: RoomEventFilter) -> Wanted | None:
    """None where the filter lets every event of the room through."""
    if event_filter.is_open and not event_filter.asks_for_relations:
        return None
    only, excluded = event_filter.types.only, event_filter.types.excluded
    senders = event_filter.senders
    return Wanted(
        types=None if only is None else sorted(only.names),
        type_patterns=[] if only is None else [like(pattern) for pattern in only.wildcards],
        not_types=sorted(excluded.names),
        not_type_patterns=[like(pattern) for pattern in excluded.wildcards],
        senders=None if senders.only is None else sorted(senders.only),
        not_senders=sorted(senders.excluded),
        body_contains=URL_KEY if event_filter.contains_url else None,
        related=event_filter.asks_for_relations,
        related_by_senders=event_filter.related_by_senders,
        related_by_rel_types=event_filter.related_by_rel_types,
        rel_types=None if event_filter.rel_types.only is None else sorted(event_filter.rel_types.only),
        not_rel_types=sorted(event_filter.rel_types.excluded),
    )


def like(pattern: str) -> str:
    """A pattern with stars as one of SQL's LIKE."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
