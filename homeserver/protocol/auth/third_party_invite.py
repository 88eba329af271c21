"""Inviting by e-mail address: rule 7 (`m.room.third_party_invite`) and rule 5.4.1 (turning it into an invite)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

from homeserver.protocol.auth.rejection import reject
from homeserver.protocol.auth.room_state import RoomState
from homeserver.protocol.auth.selection import third_party_token
from homeserver.protocol.errors import BadJson, InvalidSignature
from homeserver.protocol.events import Event
from homeserver.protocol.hashing import decode_base64
from homeserver.protocol.signing import signature_key_ids, verify_json

MAX_SIGNATURE_ATTEMPTS = 100
"""Pairs of signature and public key that are tried; real invites have one or two, an attacker's event thousands."""
PUBLIC_KEY_BYTES = 32


def check_third_party_invite(event: Event, state: RoomState) -> None:
    """Rule 7, complete: allow if and only if the sender may invite."""
    levels = state.power_levels
    if levels.of_user(event.sender) < levels.invite:
        reject("7.1", f"{event.sender} needs power level {levels.invite} to invite.")


def check_invite_by_third_party(event: Event, target: str, state: RoomState) -> None:
    """Rule 5.4.1, complete: the identity server has vouched that the third-party invite was meant for `target`."""
    if state.membership(target) == "ban":
        reject("5.4.1.1", f"{target} is banned from the room.")
    invite = event.content["third_party_invite"]
    if not isinstance(invite, dict) or not isinstance(invite.get("signed"), dict):
        reject("5.4.1.2", "The third-party invite is not signed.")
    signed: dict[str, Any] = invite["signed"]
    if not isinstance(signed.get("mxid"), str) or not isinstance(signed.get("token"), str):
        reject("5.4.1.3", "The signed part of the third-party invite has no user id or no token.")
    if signed["mxid"] != target:
        reject("5.4.1.4", f"The third-party invite was meant for {signed['mxid'][:255]}.")
    token = third_party_token(event.content)
    original = None if token is None else state.fetch("m.room.third_party_invite", token)
    if original is None:
        reject("5.4.1.5", "The room has no such third-party invite; it may have been withdrawn.")
    if original.sender != event.sender:
        reject("5.4.1.6", "Someone else sent the third-party invite.")
    if not _has_valid_signature(signed, original.content):
        reject("5.4.1.8", "No signature of the third-party invite is valid.")


def _has_valid_signature(signed: dict[str, Any], invite_content: Mapping[str, Any]) -> bool:
    """Rule 5.4.1.7: any signature, by any of the public keys."""
    return next(_signing_keys(signed, invite_content), None) is not None


def keys_that_signed(signed: dict[str, Any], invite_content: Mapping[str, Any]) -> set[bytes]:
    """Those public keys of an m.room.third_party_invite with which `signed` was signed."""
    return set(_signing_keys(signed, invite_content))


def _signing_keys(signed: dict[str, Any], invite_content: Mapping[str, Any]) -> Iterator[bytes]:
    pairs = product(_public_keys(invite_content), list(_signatures(signed)))
    for public_key, (server_name, key_id) in islice(pairs, MAX_SIGNATURE_ATTEMPTS):
        if _is_valid(signed, server_name, key_id, public_key):
            yield public_key


def _is_valid(signed: dict[str, Any], server_name: str, key_id: str, public_key: bytes) -> bool:
    try:
        verify_json(signed, server_name, key_id, public_key)
    except (InvalidSignature, BadJson):
        return False
    return True


def _public_keys(content: Mapping[str, Any]) -> list[bytes]:
    """Rules 5.4.1.7.1 and 5.4.1.7.2: the single key, then the list; those that are no Ed25519 keys left out."""
    listed = content.get("public_keys")
    texts = [content.get("public_key")]
    texts += [key.get("public_key") for key in listed if isinstance(key, dict)] if isinstance(listed, list) else []
    decoded = (decoded_key(text) for text in texts)
    return [key for key in decoded if key is not None]


def decoded_key(text: Any) -> bytes | None:
    """The Ed25519 key that an identity server has written; None for what is none."""
    try:
        key = decode_base64(text) if isinstance(text, str) else b""
    except ValueError:
        return None
    return key if len(key) == PUBLIC_KEY_BYTES else None


def _signatures(signed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(server name, key id) of every Ed25519 signature."""
    signatures = signed.get("signatures")
    for server_name in signatures if isinstance(signatures, dict) else ():
        for key_id in signature_key_ids(signed, server_name):
            yield server_name, key_id
