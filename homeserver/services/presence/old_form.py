"""`m.presence` events as GET /events and /initialSync have them: from before events of presence had a sender."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def in_old_form(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same events with `user_id` in their content, where clients of then look for it."""
    return [{**event, "content": {**event["content"], "user_id": event["sender"]}} for event in events]
