"""Which state an event is authorised by: "Auth events selection" of the server-server API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeserver.protocol.events import StateKey
from homeserver.protocol.room_versions import RoomVersion

CREATE: StateKey = ("m.room.create", "")
POWER_LEVELS: StateKey = ("m.room.power_levels", "")
JOIN_RULES: StateKey = ("m.room.join_rules", "")

_RULED_BY_JOIN_RULES = frozenset(("join", "invite", "knock"))


def auth_types_for_event(
    event_type: str, sender: str, state_key: str | None, content: Mapping[str, Any], version: RoomVersion
) -> list[StateKey]:
    """The keys of the state whose events, where they exist, are the `auth_events` of such an event; each key once."""
    if event_type == "m.room.create":
        return []
    # "Depending on the room version, the m.room.create event": since v12 the room id implies it.
    keys = [CREATE] if version.create_event_is_auth_event else []
    keys.append(POWER_LEVELS)
    keys.append(("m.room.member", sender))
    if event_type == "m.room.member" and state_key is not None:
        keys += (key for key in _for_membership(state_key, content, version) if key not in keys)
    return keys


def _for_membership(target: str, content: Mapping[str, Any], version: RoomVersion) -> list[StateKey]:
    membership = content.get("membership")
    keys = [("m.room.member", target)]
    # A membership that is no string (v1 events may hold anything) is unhashable at worst: compare, do not look up.
    if not isinstance(membership, str):
        return keys
    if membership in _RULED_BY_JOIN_RULES:
        keys.append(JOIN_RULES)
    if membership == "invite" and (token := third_party_token(content)) is not None:
        keys.append(("m.room.third_party_invite", token))
    if membership == "join" and version.restricted_joins:
        authoriser = content.get("join_authorised_via_users_server")
        if isinstance(authoriser, str):
            keys.append(("m.room.member", authoriser))
    return keys


def third_party_token(content: Mapping[str, Any]) -> str | None:
    """`content.third_party_invite.signed.token`, where all of that is there and the token is a string."""
    invite = content.get("third_party_invite")
    signed = invite.get("signed") if isinstance(invite, dict) else None
    token = signed.get("token") if isinstance(signed, dict) else None
    return token if isinstance(token, str) else None
