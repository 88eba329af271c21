"""A directory as the administrator describes it, and what is read from one of its entries. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from homeserver.services.text_limits import is_storable

MAX_NAME_CHARACTERS: Final = 255
USER: Final = "{user}"
DN: Final = "{dn}"
# Active Directory has it as 16 bytes, everybody else's `entryUUID` is text.
BINARY_IDS: Final = frozenset({"objectguid"})

_RDN_VALUE = re.compile(r"[^=]+=((?:\\.|[^,\\+])*)")
_ESCAPED = re.compile(r"\\([0-9a-fA-F]{2}|.)")


@dataclass(frozen=True, slots=True)
class Transport:
    """How the directory is reached. `url`: ldap:// or ldaps://."""

    url: str
    start_tls: bool = True
    verify_tls: bool = True
    ca_file: Path | None = None
    timeout_s: float = 5.0
    """For each connection, and for each answer."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where people and groups are. Filters are RFC 4515; `{user}` and `{dn}` are replaced, escaped."""

    transport: Transport
    base_dn: str
    bind_dn: str | None = None
    """Who looks people up; None: anybody may."""
    bind_password: str | None = field(default=None, repr=False)
    user_filter: str = "(uid={user})"
    id_attribute: str = "entryUUID"
    """Never changes and is never given to somebody else."""
    attributes: Sequence[str] = ()
    """What else is read."""
    group_base_dn: str | None = None
    """None: groups are read from `member_of` alone."""
    group_filter: str = "(member={dn})"
    group_attribute: str = "cn"
    member_of: str | None = "memberOf"


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody whose password was right."""

    dn: str
    external_id: str
    claims: Mapping[str, Any]
    """Attributes by name, the first value of each. `groups`: names of groups."""


def user_search(directory: Directory, name: str) -> str:
    """The filter that finds whoever calls himself so."""
    return directory.user_filter.replace(USER, escaped(name))


def id_search(directory: Directory, external_id: str) -> str:
    """The filter that finds him again, whatever he is called by now."""
    if directory.id_attribute.lower() in BINARY_IDS:
        value = "".join("\\" + external_id[at : at + 2] for at in range(0, len(external_id), 2))
        return f"({directory.id_attribute}={value})"
    return f"({directory.id_attribute}={escaped(external_id)})"


def group_search(directory: Directory, dn: str, name: str) -> str:
    """The filter that finds his groups."""
    return directory.group_filter.replace(DN, escaped(dn)).replace(USER, escaped(name))


def escaped(text: str) -> str:
    """A value inside of a filter (RFC 4515 section 3), whatever it contains."""
    special = {"*": "\\2a", "(": "\\28", ")": "\\29", "\\": "\\5c", "\0": "\\00", "{": "\\7b", "}": "\\7d"}
    return "".join(special.get(character, character) for character in text)


def is_name(name: str) -> bool:
    """Whether anybody in a directory can be called so."""
    return bool(name) and name.isprintable() and is_storable(name, MAX_NAME_CHARACTERS)


def id_of(directory: Directory, raw: Mapping[str, Sequence[bytes]]) -> str | None:
    """The entry's id, bytes as hexadecimal digits; None where it has none that can be used."""
    values = _values(raw, directory.id_attribute)
    if not values:
        return None
    if directory.id_attribute.lower() in BINARY_IDS:
        return values[0].hex()
    return next(iter(_texts(values[:1])), None)


def claims_of(directory: Directory, raw: Mapping[str, Sequence[bytes]], groups: Sequence[str]) -> dict[str, Any]:
    """What is read off an entry. The directory is the administrator's: addresses in it count as proved."""
    claims: dict[str, Any] = {}
    for name in directory.attributes:
        if texts := texts_of(raw, name):
            claims[name] = texts[0]
    member_of = [] if directory.member_of is None else texts_of(raw, directory.member_of)
    claims["groups"] = list(dict.fromkeys([*groups, *filter(None, map(first_name, member_of))]))
    claims["email_verified"] = True
    return claims


def first_name(dn: str) -> str | None:
    """The value of the first part of a distinguished name (RFC 4514): "staff" of "cn=staff,ou=groups,dc=example"."""
    found = _RDN_VALUE.match(dn)
    if found is None:
        return None
    plain = bytearray()
    at = 0
    for each in _ESCAPED.finditer(found[1]):
        plain += found[1][at : each.start()].encode()
        plain += bytes.fromhex(each[1]) if len(each[1]) == 2 else each[1].encode()
        at = each.end()
    plain += found[1][at:].encode()
    return plain.decode("utf-8", "replace").strip() or None


def texts_of(raw: Mapping[str, Sequence[bytes]], name: str) -> list[str]:
    """All values of an attribute that are text."""
    return _texts(_values(raw, name))


def _values(raw: Mapping[str, Sequence[bytes]], name: str) -> Sequence[bytes]:
    """Attribute names are the same in capitals."""
    wanted = name.lower()
    return next((values for found, values in raw.items() if found.lower() == wanted), ())


def _texts(values: Sequence[bytes]) -> list[str]:
    texts = []
    for value in values:
        try:
            texts.append(value.decode())
        except UnicodeDecodeError:
            continue
    return texts
