"""Tokens that a provider has signed: who signed them, for whom, and whether they are still good.

Source: OpenID Connect Core 1.0, section 3.1.3.7; OpenID Connect Back-Channel Logout 1.0, section 2.6; RFC 8725.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from homeserver.protocol.errors import Forbidden

# 10,000 names of groups fit.
MAX_TOKEN: Final = 1024 * 1024
MAX_KEYS: Final = 100
MAX_SUBJECT: Final = 255
# Clocks differ.
LEEWAY_S: Final = 120
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"

_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_HASHES: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}
_KINDS: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class UnknownKey(Exception):  # noqa: N818
    """No known key can have signed this: the provider may have new ones."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token has to say. `algorithms`: those that the administrator allows."""

    issuer: str
    audience: str
    algorithms: Collection[str]
    now_s: float


def verified_claims(token: str, keys: Sequence[Mapping[str, Any]], expected: Expected) -> dict[str, Any]:
    """The claims of a token with the right signature, issuer, audience and time. Raises Forbidden, UnknownKey."""
    algorithm, kid = _header(token, expected.algorithms)
    claims = _signed_by_any(token, algorithm, _candidates(keys, algorithm, kid))
    _check_parties(claims, expected)
    _check_times(claims, expected.now_s)
    return claims


def id_token_claims(
    token: str, keys: Sequence[Mapping[str, Any]], expected: Expected, nonce: str, access_token: str
) -> dict[str, Any]:
    """The same for an ID token of this very sign-in. Raises Forbidden, UnknownKey."""
    claims = verified_claims(token, keys, expected)
    subject_of(claims)
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode("utf-8", "replace"), nonce.encode()):
        raise _refused("it belongs to another sign-in")
    at_hash = claims.get("at_hash")
    if at_hash is not None and at_hash != _half_hash(access_token, _header(token, expected.algorithms)[0]):
        raise _refused("it came with another access token")
    return claims


def logout_claims(token: str, keys: Sequence[Mapping[str, Any]], expected: Expected) -> dict[str, Any]:
    """The claims of a logout token. Raises Forbidden, UnknownKey."""
    claims = verified_claims(token, keys, expected)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise _refused("it is no logout token")
    # "A nonce Claim MUST NOT be present": else an ID token would do.
    if "nonce" in claims:
        raise _refused("it is an ID token")
    if not isinstance(claims.get("jti"), str) or not (claims.get("sub") or claims.get("sid")):
        raise _refused("it does not say who is signed out")
    if claims.get("sub") is not None:
        subject_of(claims)
    return claims


def subject_of(claims: Mapping[str, Any]) -> str:
    """ "It MUST NOT exceed 255 ASCII characters in length." Raises Forbidden."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise _refused("it does not say whom it is about")
    return subject


def _header(token: str, algorithms: Collection[str]) -> tuple[str, str | None]:
    if len(token) > MAX_TOKEN or not _JWT.fullmatch(token):
        raise _refused("it is none")
    header = _json_object(token.partition(".")[0])
    algorithm, kid = header.get("alg"), header.get("kid")
    # `none` and everything symmetric are not among those that can be allowed.
    if not isinstance(algorithm, str) or algorithm not in algorithms or algorithm[:2] not in _KINDS:
        raise _refused("it is signed in a way that is not allowed")
    # "crit" names what has to be understood, and nothing of that is.
    if "crit" in header or (kid is not None and not isinstance(kid, str)):
        raise _refused("its header cannot be understood")
    return algorithm, kid


def _json_object(part: str) -> dict[str, Any]:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _refused("it cannot be read")
    return found


def _candidates(keys: Sequence[Mapping[str, Any]], algorithm: str, kid: str | None) -> list[Mapping[str, Any]]:
    fitting = [
        key
        for key in keys[:MAX_KEYS]
        if key.get("kty") == _KINDS[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]
    if not fitting:
        raise UnknownKey
    return fitting


def _signed_by_any(token: str, algorithm: str, keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # Imported when somebody comes: most servers have no provider.
    from joserfc import jwk, jwt
    from joserfc.errors import JoseError
    from joserfc.jws import JWSRegistry

    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_payload_length = MAX_TOKEN
    for key in keys:
        try:
            return dict(jwt.decode(token, jwk.import_key(dict(key)), registry=registry).claims)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    raise _refused("its signature is wrong")


def _check_parties(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise _refused("another provider made it")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if expected.audience not in audiences:
        raise _refused("it is for somebody else")
    # "If the ID Token contains multiple audiences, the Client SHOULD verify that an azp Claim is present."
    party = claims.get("azp")
    if party != expected.audience and (party is not None or len(audiences) > 1):
        raise _refused("it was made for another client")


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    ends, made, begins = _time(claims, "exp"), _time(claims, "iat"), _time(claims, "nbf", now_s)
    if ends <= now_s - LEEWAY_S:
        raise _refused("it has expired")
    if max(made, begins) > now_s + LEEWAY_S:
        raise _refused("it is of another time")


def _time(claims: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused("it has no time")
    return value


def _half_hash(access_token: str, algorithm: str) -> str:
    """ "The left-most half of the hash of the octets of the ASCII representation of the access_token value." """
    make = _HASHES.get(algorithm[-3:], hashlib.sha512)
    digest = make(access_token.encode("utf-8", "replace")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def _refused(why: str) -> Forbidden:
    return Forbidden(f"The provider's token cannot be believed: {why}")
