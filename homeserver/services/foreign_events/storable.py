"""What PostgreSQL cannot hold, though a PDU may have it: found before anything is asked or written."""

from __future__ import annotations

from homeserver.protocol.events import Event

_BIGINT = 2**63


def why_not_storable(event: Event) -> str | None:
    """Why an event cannot be kept here; None where it can.

    Texts of PostgreSQL have no NUL, numbers of room versions before 6 have no limit.
    """
    texts = (event.event_id, event.type, event.state_key or "", event.sender, event.redacts or "")
    if any(map(_is_odd, texts)) or any(map(_is_odd, event.prev_event_ids)) or any(map(_is_odd, event.auth_event_ids)):
        return "It has a NUL where none can be stored"
    if " " in event.event_id:  # room versions 1 and 2; lists of extremities are written with spaces between
        return "Its id has a space"
    if not -_BIGINT <= event.origin_server_ts < _BIGINT:
        return "Its time is out of bounds"
    if event.event_id in event.auth_event_ids or event.event_id in event.prev_event_ids:
        return "It cites itself"
    return None


def askable(event_id: str) -> bool:
    """Whether an id of unknown origin may be put into a statement."""
    return not _is_odd(event_id)


def _is_odd(text: str) -> bool:
    return "\0" in text
