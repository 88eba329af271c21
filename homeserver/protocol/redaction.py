"""The redaction algorithm: what is left of an event when its content is taken away.

Source: room version texts, "Redactions". Also the basis of event signatures and reference hashes, so that a redacted
event keeps its id.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from homeserver.protocol.room_versions import RoomVersion

_EVENT_KEYS = frozenset(
    {
        "event_id",
        "type",
        "room_id",
        "sender",
        "state_key",
        "content",
        "hashes",
        "signatures",
        "depth",
        "prev_events",
        "auth_events",
        "origin_server_ts",
    }
)
_POWER_LEVEL_KEYS = frozenset(
    {"ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"}
)
_NOTHING: frozenset[str] = frozenset()


def redact(pdu: dict[str, Any], version: RoomVersion) -> dict[str, Any]:
    """The redacted form of a PDU: a new dict sharing the values that survive. Redacting twice changes nothing."""
    allowed = _event_keys(version)
    redacted = {key: value for key, value in pdu.items() if key in allowed}
    redacted["content"] = redact_content(pdu.get("type"), pdu.get("content"), version)
    return redacted


def redact_content(event_type: object, content: object, version: RoomVersion) -> dict[str, Any]:
    """What is left of the content of an event of that type."""
    if not isinstance(content, dict):
        return {}
    if event_type == "m.room.create" and version.redaction_keeps_whole_create:
        return content
    allowed = _content_keys(version).get(event_type, _NOTHING) if isinstance(event_type, str) else _NOTHING
    kept = {key: content[key] for key in allowed if key in content}
    if event_type == "m.room.member" and version.redaction_keeps_third_party_signed:
        third_party_invite = content.get("third_party_invite")
        if isinstance(third_party_invite, dict):
            # An object without `signed` stays as an empty object, as servers in use do: it is part of the event id.
            kept["third_party_invite"] = {key: value for key, value in third_party_invite.items() if key == "signed"}
    return kept


@cache
def _event_keys(version: RoomVersion) -> frozenset[str]:
    if version.redaction_keeps_origin_membership_prev_state:
        return _EVENT_KEYS | {"origin", "membership", "prev_state"}
    return _EVENT_KEYS


@cache
def _content_keys(version: RoomVersion) -> dict[str, frozenset[str]]:
    """The keys of the content that survive, by event type."""
    keys = {
        "m.room.member": {"membership"},
        "m.room.create": {"creator"},
        "m.room.join_rules": {"join_rule"},
        "m.room.power_levels": set(_POWER_LEVEL_KEYS),
        "m.room.history_visibility": {"history_visibility"},
        "m.room.aliases": {"aliases"} if version.redaction_keeps_aliases else set(),
        "m.room.redaction": {"redacts"} if version.redaction_keeps_redacts else set(),
    }
    if version.redaction_keeps_join_authorised_via:
        keys["m.room.member"].add("join_authorised_via_users_server")
    if version.redaction_keeps_join_rule_allow:
        keys["m.room.join_rules"].add("allow")
    if version.redaction_keeps_power_level_invite:
        keys["m.room.power_levels"].add("invite")
    return {event_type: frozenset(names) for event_type, names in keys.items()}
