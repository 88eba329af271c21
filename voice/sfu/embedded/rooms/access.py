"""Who may join: LiveKit access tokens (JWT, HS256).

https://docs.livekit.io/home/get-started/authentication/: `iss` names the key, `sub` the identity, `video` the grants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from voice.sfu.embedded.rooms.permission import Permission, of_claims

_IDENTITY_LIMIT = 512
_ROOM_LIMIT = 256
_TOKEN_LIMIT = 16_384


class AccessDenied(Exception):  # noqa: N818 - it is a verdict, and reads like one
    """The token does not let its bearer in. The text goes to the client, as LiveKit's does."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a verified token says. Times in seconds since the epoch."""

    key: str
    room: str
    identity: str
    name: str
    metadata: str
    attributes: Mapping[str, str]
    permission: Permission
    may_create_room: bool
    issued_s: float
    expires_s: float


@dataclass(frozen=True, slots=True)
class Gate:
    """Verifies tokens. Nothing of a token is believed before its signature is."""

    keys: Mapping[str, str] = field(repr=False)
    longest_life_s: float

    def verify(self, token: str, now_s: float) -> Access:
        """Raises AccessDenied."""
        claims = self._signed_claims(token)
        issued_s, expires_s = self._valid_times(claims, now_s)
        video = claims.get("video")
        if not isinstance(video, dict) or video.get("roomJoin") is not True:
            raise AccessDenied("permissions denied")
        return Access(
            key=claims["iss"],
            room=_text(video, "room", _ROOM_LIMIT),
            identity=_text(claims, "sub", _IDENTITY_LIMIT),
            name=str(claims.get("name") or ""),
            metadata=str(claims.get("metadata") or ""),
            attributes=_attributes(claims.get("attributes")),
            permission=of_claims(video),
            may_create_room=video.get("roomCreate") is True,
            issued_s=issued_s,
            expires_s=expires_s,
        )

    def _signed_claims(self, token: str) -> dict[str, Any]:
        if not token or len(token) > _TOKEN_LIMIT:
            raise AccessDenied("invalid authorization token")
        try:
            unverified = jwt.decode(token, options={"verify_signature": False})
            secret = self.keys.get(str(unverified.get("iss")))
            if secret is None:
                raise AccessDenied("invalid API key")
            # Times are checked against the clock of the worker, below.
            options: Any = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
            return dict(jwt.decode(token, secret, algorithms=["HS256"], options=options))
        except (jwt.InvalidTokenError, ValueError) as error:
            raise AccessDenied("invalid authorization token") from error

    def _valid_times(self, claims: Mapping[str, Any], now_s: float) -> tuple[float, float]:
        not_before, expires = _time(claims, "nbf"), _time(claims, "exp")
        if not not_before <= now_s < expires or expires - not_before > self.longest_life_s:
            raise AccessDenied("invalid authorization token: it is not valid now")
        return (_time(claims, "iat") if "iat" in claims else not_before), expires


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise AccessDenied(f"invalid authorization token: {name} is missing")
    return float(value)


def _text(claims: Mapping[str, Any], name: str, limit: int) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise AccessDenied(f"permissions denied: {name} is missing")
    return value


def _attributes(claim: object) -> dict[str, str]:
    if not isinstance(claim, dict):
        return {}
    return {str(key): str(value) for key, value in claim.items()}
