"""Which fields a profile may have, and which values they may take."""

from __future__ import annotations

import re
from typing import Any

import orjson

from homeserver.protocol import errors, identifiers
from homeserver.services.text_limits import check_text
from homeserver.storage.profiles import StoredProfile

DISPLAYNAME = "displayname"
AVATAR_URL = "avatar_url"

# "The supplied profile key exceeds the maximum allowed key length of 255 bytes."
MAX_KEY_BYTES = 255
# "The total profile MUST be under 64 KiB."
MAX_PROFILE_BYTES = 64 * 1024
MAX_DISPLAYNAME_CHARACTERS = 256
MAX_AVATAR_URL_CHARACTERS = 1000
MAX_TIME_ZONE_CHARACTERS = 64

# The pattern of the spec's `keyName`: the Common Namespaced Identifier Grammar with at least one dot.
_CUSTOM_KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_-]*)+", re.ASCII)


def check_key(key: str) -> None:
    """Raises KeyTooLarge, or InvalidParam where no field can have that name."""
    if identifiers.utf8_length(key) > MAX_KEY_BYTES:
        raise errors.KeyTooLarge
    if key not in (DISPLAYNAME, AVATAR_URL) and not _CUSTOM_KEY.fullmatch(key):
        raise errors.InvalidParam(
            "A profile field is 'displayname', 'avatar_url' or has a name like 'org.example.field'"
        )


def check_value(key: str, value: Any) -> None:
    """Raises BadJson or InvalidParam where the spec gives the field a type that this is not."""
    match key:
        case "displayname":
            check_text(_text(key, value), key, MAX_DISPLAYNAME_CHARACTERS)
        case "avatar_url":
            check_text(_text(key, value), key, MAX_AVATAR_URL_CHARACTERS)
        case "m.tz":
            check_text(_text(key, value), key, MAX_TIME_ZONE_CHARACTERS)


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise errors.BadJson(f"'{key}' must be a string")
    return value


def as_object(profile: StoredProfile) -> dict[str, Any]:
    """The whole profile; fields without a value are left out."""
    whole: dict[str, Any] = {} if profile.fields == b"{}" else orjson.loads(profile.fields)
    if profile.displayname is not None:
        whole[DISPLAYNAME] = profile.displayname
    if profile.avatar_url is not None:
        whole[AVATAR_URL] = profile.avatar_url
    return whole


def from_object(whole: dict[str, Any]) -> StoredProfile:
    """The row for a whole profile. Raises ProfileTooLarge.

    An empty name or avatar is how clients took it away before there was DELETE.
    """
    if len(orjson.dumps(whole)) >= MAX_PROFILE_BYTES:
        raise errors.ProfileTooLarge
    others = {key: value for key, value in whole.items() if key not in (DISPLAYNAME, AVATAR_URL)}
    return StoredProfile(
        displayname=whole.get(DISPLAYNAME) or None,
        avatar_url=whole.get(AVATAR_URL) or None,
        fields=orjson.dumps(others, option=orjson.OPT_SORT_KEYS),
    )
