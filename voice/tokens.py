"""Names of rooms and people at an SFU, and the tokens that let them in: the same for ours and for LiveKit.

Both sides of a call derive the names on their own, so each byte of them is part of a protocol (MSC4195).
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Final

import jwt

from voice.sfu.backend import Grant

ROOM_SLOT: Final = "m.call#ROOM"
"""The call that belongs to a room as a whole, the only slot that clients open today."""
LIFETIME_S: Final = 3600
MAX_TOKEN_CHARACTERS: Final = 8192
PRIORITY_ATTRIBUTE: Final = "org.voicechat.priority"
"""Of the token; only whoever signs tokens may set it."""


def sfu_room(room_id: str, slot_id: str = ROOM_SLOT) -> str:
    """The SFU's name of a call. MSC4195 "LiveKit room name": its hash says nothing of the Matrix room."""
    return _hash_of(room_id, slot_id)


def plain_identity(user_id: str, device_id: str) -> str:
    """Who somebody is at the SFU in calls announced by state events (`/sfu/get`)."""
    return f"{user_id}:{device_id}"


def device_identity(user_id: str, device_id: str, member_id: str) -> str:
    """Who somebody is at the SFU in calls announced by sticky events (`/get_token` of the token service)."""
    return _hash_of(user_id, device_id, member_id)


def member_identity(user_id: str, member_id: str) -> str:
    """Who somebody is at the SFU by MSC4195 of September 2026, whose endpoints are the homeserver's own."""
    return _hash_of(user_id, member_id)


def _hash_of(*parts: str) -> str:
    """Unpadded base64 of the SHA-256 of a compact JSON array, as MSC4195 "Appendix: hash derivation" has it."""
    encoded = json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return base64.b64encode(hashlib.sha256(encoded).digest()).rstrip(b"=").decode()


def mint(api_key: str, api_secret: str, grant: Grant, now_s: float) -> str:
    """A JWT as LiveKit has it, good for one hour.

    `iat` has milliseconds: who was removed and let in again within one second has a token that is newer than his removal.
    """
    claims: dict[str, Any] = {
        "iss": api_key,
        "sub": grant.identity,
        "iat": round(now_s, 3),
        "nbf": int(now_s),
        "exp": int(now_s) + LIFETIME_S,
        "video": _video(grant),
    }
    if grant.name:
        claims["name"] = grant.name
    attributes = attributes_of(grant)
    if attributes:
        claims["attributes"] = attributes
    return jwt.encode(claims, api_secret, algorithm="HS256")


def room_of(token: str, api_secret: str) -> str | None:
    """The SFU room of a token with this secret's signature, whether it is valid now or not; None for any other token."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        return None
    times: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
    try:
        claims = jwt.decode(token, api_secret, algorithms=["HS256"], options=times)
    except (jwt.InvalidTokenError, ValueError, RecursionError):  # the last for a header of brackets only
        return None
    video = claims.get("video")
    room = video.get("room") if isinstance(video, dict) else None
    return room if isinstance(room, str) else None


def attributes_of(grant: Grant) -> dict[str, str]:
    """The participant's attributes, the one of a priority speaker among them."""
    attributes = {name: value for name, value in grant.attributes.items() if name != PRIORITY_ATTRIBUTE}
    if grant.priority_speaker:
        attributes[PRIORITY_ATTRIBUTE] = "1"
    return attributes


def _video(grant: Grant) -> dict[str, Any]:
    # A list of sources replaces canPublish at LiveKit, and an empty one is read as "no list".
    can_publish = grant.can_publish and bool(grant.sources)
    video: dict[str, Any] = {
        "room": grant.room,
        "roomJoin": True,
        "roomCreate": False,
        "canPublish": can_publish,
        "canSubscribe": grant.can_subscribe,
        "canPublishData": grant.can_publish_data,
        "canUpdateOwnMetadata": True,
    }
    if can_publish:
        video["canPublishSources"] = list(grant.sources)
    return video
