"""Redactions: rule 11 of room versions 1 and 2, and "Handling redactions" since room version 3."""

from __future__ import annotations

from homeserver.protocol.auth.power_levels import PowerLevels
from homeserver.protocol.auth.rejection import reject
from homeserver.protocol.auth.room_state import RoomState
from homeserver.protocol.events import Event


def check_redaction(event: Event, state: RoomState) -> None:
    """v1 rule 11, complete: a moderator, or the server whose event it is."""
    levels = state.power_levels
    if levels.of_user(event.sender) >= levels.redact:
        return  # v1 11.1
    redacted_domain = (event.redacts or "").partition(":")[2]
    if redacted_domain and redacted_domain == event.event_id.partition(":")[2]:
        return  # v1 11.2
    reject("v1 11.3", f"{event.sender} needs power level {levels.redact} to redact events of other servers.")


def redaction_applies(redaction: Event, target: Event, power_levels: PowerLevels) -> bool:
    """Whether an accepted redaction is to be carried out, when both events are there; else it waits, unseen by clients.

    `power_levels` are those of the room at the redaction. Source: "Handling redactions", since v3; in v1 and v2 the
    auth rules have decided.
    """
    if redaction.redacts != target.event_id or redaction.room_id != target.room_id:
        return False
    if redaction.room_version.special_redaction_auth:
        return True
    # 1. "The power level of the redaction event's sender is greater than or equal to the redact level."
    # 2. "The domain of the redaction event's sender matches that of the original event's sender."
    return (
        power_levels.of_user(redaction.sender) >= power_levels.redact or redaction.sender_server == target.sender_server
    )
