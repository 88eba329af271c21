"""From the content of a registration file to an `Appservice`. Application service API, "Registration".

Keys that are not known are let through: files carry those of bridges and of other servers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from homeserver.protocol import errors, identifiers
from homeserver.services.appservices.appservice import Appservice, Namespace
from homeserver.services.appservices.patterns import UnsafePattern, compile_pattern
from homeserver.services.sessions.tokens import MAX_TOKEN_CHARACTERS, hash_token

MAX_ID_CHARACTERS: Final = 255
MAX_NAMESPACES: Final = 100
MAX_PROTOCOLS: Final = 100
KINDS: Final = ("users", "aliases", "rooms")
EPHEMERAL_KEYS: Final = ("receive_ephemeral", "push_ephemeral", "de.sorunome.msc2409.push_ephemeral")
"""The name of the specification (v1.13), and those that came before it and that bridges still write."""
ENCRYPTION_KEYS: Final = ("org.matrix.msc3202",)


class InvalidRegistration(Exception):  # noqa: N818
    """A sentence for the administrator, without the name of the file."""


def parse_registration(document: object, server_name: str) -> Appservice:
    """Raises InvalidRegistration."""
    if not isinstance(document, Mapping):
        raise InvalidRegistration("it must be a mapping with id, url, as_token, hs_token and so on")
    missing = [key for key in ("id", "url", "as_token", "hs_token", "sender_localpart") if key not in document]
    if missing:
        raise InvalidRegistration(f"{', '.join(missing)} must be given")
    namespaces = _mapping(document, "namespaces")
    users, aliases, rooms = (tuple(_namespaces(namespaces, kind)) for kind in KINDS)
    return Appservice(
        id=_text(document, "id", MAX_ID_CHARACTERS),
        url=_url(document["url"]),
        token_hash=hash_token(_text(document, "as_token", MAX_TOKEN_CHARACTERS)),
        hs_token=_text(document, "hs_token", MAX_TOKEN_CHARACTERS),
        sender=_sender(_text(document, "sender_localpart", MAX_ID_CHARACTERS), server_name),
        users=users,
        aliases=aliases,
        rooms=rooms,
        rate_limited=_flag(document, ("rate_limited",), True),
        protocols=_protocols(document.get("protocols")),
        receive_ephemeral=_flag(document, EPHEMERAL_KEYS, False),
        encrypts=_flag(document, ENCRYPTION_KEYS, False),
    )


def check_unique(appservices: Sequence[Appservice]) -> None:
    """ "each `as_token` and `id` MUST be unique per application service". Raises InvalidRegistration."""
    ids: set[str] = set()
    tokens: dict[bytes, str] = {}
    for each in appservices:
        if each.id in ids:
            raise InvalidRegistration(f"two application services have the id {each.id}; each needs one of its own")
        other = tokens.setdefault(each.token_hash, each.id)
        if other != each.id:
            raise InvalidRegistration(f"{other} and {each.id} have the same as_token; each needs one of its own")
        ids.add(each.id)


def _text(document: Mapping[str, Any], key: str, maximum: int) -> str:
    value = document[key]
    if not isinstance(value, str) or not value or len(value) > maximum or not value.isprintable():
        raise InvalidRegistration(f"{key} must be a text of 1 to {maximum} printable characters")
    return value


def _flag(document: Mapping[str, Any], keys: Sequence[str], default: bool) -> bool:
    given = [document[key] for key in keys if document.get(key) is not None]
    if not all(isinstance(value, bool) for value in given):
        raise InvalidRegistration(f"{keys[0]} must be true or false")
    return any(given) if given else default


def _url(url: object) -> str | None:
    # "Optionally set to null if no traffic is required"; an empty text is what some bridges write for it.
    if url is None or url == "":
        return None
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidRegistration("url must be null, or begin with http:// or https:// and name a host")
    assert isinstance(url, str)
    return url.rstrip("/")


def _sender(localpart: str, server_name: str) -> str:
    user_id = f"@{localpart}:{server_name}"
    try:
        identifiers.parse_user_id(user_id)
    except errors.MatrixError:
        raise InvalidRegistration(f"sender_localpart {localpart} cannot be the name of a user") from None
    return user_id


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key) or {}
    if not isinstance(value, Mapping):
        raise InvalidRegistration(f"{key} must be a mapping")
    return value


def _namespaces(namespaces: Mapping[str, Any], kind: str) -> Iterator[Namespace]:
    given = namespaces.get(kind) or []
    if not isinstance(given, list) or len(given) > MAX_NAMESPACES:
        raise InvalidRegistration(f"namespaces.{kind} must be a list of at most {MAX_NAMESPACES}")
    for number, each in enumerate(given, 1):
        place = f"namespaces.{kind}, entry {number}"
        regex = each.get("regex") if isinstance(each, Mapping) else None
        if not isinstance(regex, str):
            raise InvalidRegistration(f"{place} must have a regex")
        exclusive = each.get("exclusive", False)
        if not isinstance(exclusive, bool):
            raise InvalidRegistration(f"{place}: exclusive must be true or false")
        try:
            yield Namespace(compile_pattern(regex), exclusive)
        except UnsafePattern as error:
            raise InvalidRegistration(f"{place}: {regex[:100]} cannot be used: {error}") from None


def _protocols(protocols: object) -> tuple[str, ...]:
    given = protocols or []
    valid = isinstance(given, list) and len(given) <= MAX_PROTOCOLS and all(isinstance(each, str) for each in given)
    if not valid:
        raise InvalidRegistration(f"protocols must be a list of at most {MAX_PROTOCOLS} names")
    assert isinstance(given, list)
    return tuple(dict.fromkeys(given))
