"""Stripped state as other servers send it: whole events or only four keys of each, with anything else around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.identifiers import is_user_id

MAX_STRIPPED: Final = 100
"""Events; the specification names seven types, and members besides."""

MAX_STRIPPED_BYTES: Final = 256 * 1024


def read_stripped(events: Any) -> list[dict[str, Any]]:
    """Those that a client may be shown, in the form in which it is. "Clients must not trust them", and nobody checks them."""
    if not isinstance(events, list):
        return []
    return [_strip(event) for event in events[:MAX_STRIPPED] if _is_stripped(event)]


def encode_stripped(events: Sequence[dict[str, Any]]) -> list[bytes]:
    """The first of them, up to MAX_STRIPPED_BYTES."""
    encoded: list[bytes] = []
    left = MAX_STRIPPED_BYTES
    for event in events:
        text = encode_canonical(event, strict=False)
        left -= len(text)
        if left < 0:
            break
        encoded.append(text)
    return encoded


def _strip(event: dict[str, Any]) -> dict[str, Any]:
    return {key: event[key] for key in ("content", "sender", "state_key", "type")}


def _is_stripped(event: Any) -> bool:
    return (
        isinstance(event, dict)
        and isinstance(event.get("content"), dict)
        and isinstance(event.get("type"), str)
        and isinstance(event.get("state_key"), str)
        and is_user_id(event.get("sender"))
    )
