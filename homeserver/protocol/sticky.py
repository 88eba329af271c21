"""Sticky events (MSC4354): message events that everybody in the room gets as long as they stick. Pure.

The key is part of the event, hashed and signed, and not protected from redaction: "A redacted sticky event is the same
as a normal event."
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

STICKY_KEY: Final = "msc4354_sticky"
"""Of the event, and of a room in /sync; `sticky` once the proposal is accepted."""
TTL_KEY: Final = "msc4354_sticky_duration_ttl_ms"
"""In `unsigned`: how long it still sticks. To clients this is authoritative, whatever their clocks say."""
MAX_STICKY_MS: Final = 60 * 60 * 1000


def sticky_duration(event: Mapping[str, Any]) -> int | None:
    """For how many milliseconds an event (PDU or client format) sticks, at most an hour; None: it does not.

    "The presence of the `sticky` object alone is insufficient": what is no number from 0 on is no duration.
    """
    sticky = event.get(STICKY_KEY)
    duration = sticky.get("duration_ms") if isinstance(sticky, dict) else None
    if not isinstance(duration, int) or isinstance(duration, bool) or duration < 0:
        return None
    return min(duration, MAX_STICKY_MS)


def sticks_until(duration_ms: int, origin_server_ts: int, received_ms: int) -> int:
    """The end, in ms since the epoch: "min(received_ts, origin_server_ts)" is the start, so that nobody starts in the
    future.
    """
    return min(received_ms, origin_server_ts) + duration_ms
