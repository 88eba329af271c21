"""Policy servers (v1.18): who says which events a room recommends, and how his word is known.

Source: server-server API, "Policy Servers"; MSC4284.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver.protocol.errors import InvalidSignature
from homeserver.protocol.hashing import decode_base64
from homeserver.protocol.identifiers import is_server_name
from homeserver.protocol.room_versions import RoomVersion
from homeserver.protocol.signing import verify_event

EVENT_TYPE: Final = "m.room.policy"
KEY_ID: Final = "ed25519:policy_server"
"""Always this one, "though uses a public key from the room's `m.room.policy` state event"."""
VERIFY_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class PolicyServer:
    """A server that a room has chosen, and the key that the room knows it by."""

    name: str
    verify_key: bytes


def policy_server_of(content: Mapping[str, Any]) -> PolicyServer | None:
    """What the content of `m.room.policy` says; None where it is not valid: then there is none."""
    name, keys = content.get("via"), content.get("public_keys")
    key = keys.get("ed25519") if isinstance(keys, Mapping) else None
    if not isinstance(name, str) or not is_server_name(name) or not isinstance(key, str):
        return None
    try:
        verify_key = decode_base64(key)
    except ValueError:
        return None
    return PolicyServer(name, verify_key) if len(verify_key) == VERIFY_KEY_BYTES else None


def is_checked(event_type: str, state_key: str | None) -> bool:
    """Everything, except what names the policy server: so a room can always be rid of it."""
    return not (event_type == EVENT_TYPE and state_key == "")


def is_departure(event_type: str, state_key: str | None, sender: str, content: Mapping[str, Any]) -> bool:
    """Whether somebody goes of his own accord: no policy server keeps him."""
    return event_type == "m.room.member" and state_key == sender and content.get("membership") == "leave"


def is_recommended(pdu: dict[str, Any], version: RoomVersion, policy_server: PolicyServer) -> bool:
    """Whether the event carries a valid signature of the policy server."""
    try:
        verify_event(pdu, version, policy_server.name, KEY_ID, policy_server.verify_key)
    except InvalidSignature:
        return False
    return True


def with_recommendation(
    pdu: dict[str, Any], version: RoomVersion, policy_server: PolicyServer, answer: Mapping[str, Any]
) -> dict[str, Any]:
    """The event with the signature of the answer to `POST /sign`. Raises InvalidSignature where none there fits."""
    of_server = answer.get(policy_server.name)
    signature = of_server.get(KEY_ID) if isinstance(of_server, Mapping) else None
    signatures = pdu.get("signatures", {})
    # "existing signatures might not be returned by the policy server, but should be retained".
    both = {**signatures.get(policy_server.name, {}), KEY_ID: signature}
    signed = {**pdu, "signatures": {**signatures, policy_server.name: both}}
    verify_event(signed, version, policy_server.name, KEY_ID, policy_server.verify_key)
    return signed
