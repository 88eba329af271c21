"""Reading contents of events, in which anybody may have written anything."""

from __future__ import annotations


def text_of(content: object, key: str) -> str | None:
    """A text of a content; None where there is none, or an empty one."""
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, str) and value else None
