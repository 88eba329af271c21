"""From what a provider says of somebody to what an account here has: chains of claims and templates. Pure.

A chain is tried from left to right; the first entry that has a value wins. An entry is the name of a claim
("preferred_username"), a path into an object ("realm_access.roles"), or a template ("{given_name} {family_name}",
"{email|local}"), which has a value where each of its claims has one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from homeserver.services.text_limits import is_storable

MAX_TEXT: Final = 1000
MAX_GROUP: Final = 255
# A token with more is cut: nobody has given out that many roles.
MAX_GROUPS: Final = 10_000
MAX_PATH: Final = 5
FILTERS: Final = ("local", "lower")

_FIELD = re.compile(r"\{([^{}|]+)(?:\|([a-z]+))?\}")


@dataclass(frozen=True, slots=True)
class AttributeMapping:
    """Which claims stand for what. The defaults are those of the product's checklist."""

    localpart: Sequence[str] = ("preferred_username", "nickname", "{email|local}")
    display_name: Sequence[str] = ("preferred_username", "name", "email")
    avatar: Sequence[str] = ("picture", "avatar_url")
    email: Sequence[str] = ("email",)
    groups: Sequence[str] = ("groups", "roles")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as the provider knows him. `external_id` never changes, everything else may."""

    external_id: str
    localpart: str | None = None
    display_name: str | None = None
    avatar: str | None = None
    email: str | None = None
    email_is_verified: bool = False
    groups: tuple[str, ...] | None = None
    """None: the provider says nothing about groups, which is something else than none."""


def person_of(external_id: str, claims: Mapping[str, Any], mapping: AttributeMapping) -> Person:
    """Everything that can be read off the claims."""
    return Person(
        external_id=external_id,
        localpart=first_text(claims, mapping.localpart),
        display_name=first_text(claims, mapping.display_name),
        avatar=first_text(claims, mapping.avatar),
        email=first_text(claims, mapping.email),
        # Some providers write it as a text.
        email_is_verified=claims.get("email_verified") in (True, "true"),
        groups=first_groups(claims, mapping.groups),
    )


def first_text(claims: Mapping[str, Any], chain: Sequence[str]) -> str | None:
    """The first entry of the chain that has a value."""
    for entry in chain:
        if value := _text_of(claims, entry):
            return value
    return None


def first_groups(claims: Mapping[str, Any], chain: Sequence[str]) -> tuple[str, ...] | None:
    """The first claim that is there, as names without repetition; an object's names are its keys.

    One text is one group. What is no text, empty, too long or cannot be stored is left out.
    """
    for entry in chain:
        value = claim(claims, entry)
        if value is not None:
            listed = [value] if isinstance(value, str) else list(value) if isinstance(value, list | dict) else []
            usable = (each for each in listed if isinstance(each, str) and each and is_storable(each, MAX_GROUP))
            return tuple(dict.fromkeys(usable))[:MAX_GROUPS]
    return None


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """What is at a path. A claim whose own name has dots is found by it (names that are URLs do)."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split(".", MAX_PATH):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def check_entry(entry: str) -> None:
    """Raises ValueError where an entry of a chain cannot be understood."""
    if "{" not in entry and "}" not in entry:
        if not entry.strip():
            raise ValueError("an entry is the name of a claim, or a template with names in braces")
        return
    if not _FIELD.search(entry) or "{" in _FIELD.sub("", entry) or "}" in _FIELD.sub("", entry):
        raise ValueError(f"{entry!r} is not a template: claims stand in braces, such as {{email}}")
    for _, name in _FIELD.findall(entry):
        if name and name not in FILTERS:
            raise ValueError(f"{name!r} in {entry!r} is none of {', '.join(FILTERS)}")


def _text_of(claims: Mapping[str, Any], entry: str) -> str | None:
    if "{" not in entry:
        return _plain(claim(claims, entry))
    values = {}
    for found in _FIELD.finditer(entry):
        value = _filtered(_plain(claim(claims, found[1])), found[2])
        if not value:
            return None
        values[found[0]] = value
    return _plain(_FIELD.sub(lambda found: values[found[0]], entry))


def _plain(value: Any) -> str | None:
    """Texts and numbers, without what cannot be stored or shown in a line."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text if text and text.isprintable() and is_storable(text, MAX_TEXT) else None


def _filtered(value: str | None, name: str | None) -> str | None:
    if value is None or name is None:
        return value
    return value.partition("@")[0] if name == "local" else value.lower()
