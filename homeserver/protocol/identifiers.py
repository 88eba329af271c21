"""The grammar of Matrix identifiers: user ids, room ids, aliases, event ids, server names.

`parse_*` return the parts or raise `InvalidParam`; `is_*` answer yes or no. Checks are as tolerant as the appendix
"Identifier Grammar" demands for ids made elsewhere (historical user ids); `check_new_localpart` is the strict form for
accounts we make.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from homeserver.protocol.errors import InvalidParam, InvalidUsername

MAX_IDENTIFIER_BYTES = 255
MAX_SERVER_NAME_BYTES = 255

_SERVER_NAME = re.compile(
    r"(?P<host>\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[0-9A-Za-z.-]{1,255}))(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)
_LOOKS_LIKE_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}", re.ASCII)
_NEW_LOCALPART = re.compile(r"[a-z0-9._=/+-]+", re.ASCII)
_FORBIDDEN_IN_LOCALPART = re.compile("[\x00:\ud800-\udfff]")
_HASH_ID = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_NAMESPACED = re.compile(r"[a-z][a-z0-9._-]{0,254}", re.ASCII)
_OPAQUE = re.compile(r"[0-9A-Za-z._~-]{1,255}", re.ASCII)


class UserId(NamedTuple):
    """`@localpart:server_name`."""

    localpart: str
    server_name: str

    def __str__(self) -> str:
        return f"@{self.localpart}:{self.server_name}"


class RoomAlias(NamedTuple):
    """`#localpart:server_name`."""

    localpart: str
    server_name: str

    def __str__(self) -> str:
        return f"#{self.localpart}:{self.server_name}"


class RoomId(NamedTuple):
    """`!opaque_id:server_name`, or `!hash` with no server name since room version 12."""

    opaque_id: str
    server_name: str | None

    def __str__(self) -> str:
        return f"!{self.opaque_id}" if self.server_name is None else f"!{self.opaque_id}:{self.server_name}"


class ServerAddress(NamedTuple):
    """The parts of a server name; `host` of an IPv6 literal is without brackets."""

    host: str
    port: int | None
    is_ip_literal: bool


def utf8_length(text: str) -> int:
    """How many bytes the text has in UTF-8; a lone surrogate counts as three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


# --- Server names -------------------------------------------------------------------------------------------------


def parse_server_name(server_name: str) -> ServerAddress:
    """Split `host[:port]`; raises InvalidParam when it does not follow the grammar."""
    match = _SERVER_NAME.fullmatch(server_name)
    if match is None or len(server_name) > MAX_SERVER_NAME_BYTES:
        raise InvalidParam(f"{_shown(server_name)} is not a valid server name.")
    port = int(match["port"]) if match["port"] else None
    if port is not None and port > 65535:
        raise InvalidParam(f"{_shown(server_name)} has a port above 65535.")
    host = match["ipv6"] or match["name"]
    is_ip_literal = bool(match["ipv6"]) or _LOOKS_LIKE_IPV4.fullmatch(host) is not None
    if is_ip_literal and not _is_ip_address(host):
        raise InvalidParam(f"{_shown(server_name)} has an invalid IP address.")
    return ServerAddress(host, port, is_ip_literal)


def is_server_name(server_name: str) -> bool:
    """Whether the text is a valid server name."""
    try:
        parse_server_name(server_name)
    except InvalidParam:
        return False
    return True


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


# --- User ids -----------------------------------------------------------------------------------------------------


def parse_user_id(user_id: str) -> UserId:
    """Split `@localpart:server_name`, historical localparts included; raises InvalidParam."""
    return UserId(*_split(user_id, "@", "user id"))


def is_user_id(user_id: object) -> bool:
    """Whether the value is a user id that may appear in events (historical localparts included)."""
    return _is_split(user_id, "@")


def is_compliant_user_id(user_id: object) -> bool:
    """Whether the user id may be shown outside events: a localpart within U+0021 to U+007E ("Historical User IDs")."""
    if not isinstance(user_id, str) or not is_user_id(user_id):
        return False
    localpart = user_id[1:].partition(":")[0]
    return bool(localpart) and all("!" <= character <= "~" for character in localpart)


def check_new_localpart(localpart: str, server_name: str) -> str:
    """Check the localpart of an account about to be made and return its user id; raises InvalidUsername."""
    if not _NEW_LOCALPART.fullmatch(localpart):
        raise InvalidUsername("A user name may only have the characters a-z, 0-9, '.', '_', '=', '-', '/' and '+'.")
    user_id = f"@{localpart}:{server_name}"
    if utf8_length(user_id) > MAX_IDENTIFIER_BYTES:
        raise InvalidUsername(f"The user id would be longer than {MAX_IDENTIFIER_BYTES} bytes.")
    return user_id


def escape_localpart(text: str) -> str:
    """Map any text to an allowed localpart ("Mapping from other character sets", without the case escape)."""
    return "".join(
        chr(byte) if chr(byte) != "=" and _NEW_LOCALPART.fullmatch(chr(byte)) else f"={byte:02x}"
        for byte in text.encode("utf-8").lower()
    )


# --- Room ids, aliases, event ids ---------------------------------------------------------------------------------


def parse_room_id(room_id: str) -> RoomId:
    """Split a room id of any room version; raises InvalidParam."""
    if room_id.startswith("!") and _HASH_ID.fullmatch(room_id, 1):
        return RoomId(room_id[1:], None)
    return RoomId(*_split(room_id, "!", "room id"))


def is_room_id(room_id: object) -> bool:
    """Whether the value is a room id of any room version."""
    if not isinstance(room_id, str):
        return False
    return (room_id.startswith("!") and _HASH_ID.fullmatch(room_id, 1) is not None) or _is_split(room_id, "!")


def parse_room_alias(alias: str) -> RoomAlias:
    """Split `#localpart:server_name`; raises InvalidParam."""
    return RoomAlias(*_split(alias, "#", "room alias"))


def is_room_alias(alias: object) -> bool:
    """Whether the value is a room alias."""
    return _is_split(alias, "#")


def check_event_id(event_id: str) -> str:
    """Check an event id of any room version and return it; raises InvalidParam."""
    if not is_event_id(event_id):
        raise InvalidParam(f"{_shown(event_id)} is not a valid event id.")
    return event_id


def is_event_id(event_id: object) -> bool:
    """Whether the value may be an event id: `$` and something, at most 255 bytes, no NUL, no lone surrogate."""
    return (
        isinstance(event_id, str)
        and len(event_id) > 1
        and event_id[0] == "$"
        and utf8_length(event_id) <= MAX_IDENTIFIER_BYTES
        and "\x00" not in event_id
        and (event_id.isascii() or not re.search("[\ud800-\udfff]", event_id))
    )


def is_hash_id(identifier: str) -> bool:
    """Whether what follows the sigil is a URL-safe SHA-256: an event id since room version 4, a room id since 12."""
    return _HASH_ID.fullmatch(identifier, 1) is not None


def server_name_of(identifier: str) -> str:
    """What follows the first colon: the server of a user id, alias, or an id that has one; raises InvalidParam."""
    _, colon, server_name = identifier.partition(":")
    if not colon or not server_name:
        raise InvalidParam(f"{_shown(identifier)} has no server name.")
    return server_name


# --- Other grammars -----------------------------------------------------------------------------------------------


def is_namespaced_identifier(text: object) -> bool:
    """Whether the value follows the Common Namespaced Identifier Grammar."""
    return isinstance(text, str) and _NAMESPACED.fullmatch(text) is not None


def is_opaque_identifier(text: object) -> bool:
    """Whether the value follows the Opaque Identifier Grammar."""
    return isinstance(text, str) and _OPAQUE.fullmatch(text) is not None


def _split(identifier: str, sigil: str, kind: str) -> tuple[str, str]:
    if identifier[:1] != sigil:
        raise InvalidParam(f"{_shown(identifier)} is not a {kind}: it must begin with '{sigil}'.")
    if utf8_length(identifier) > MAX_IDENTIFIER_BYTES:
        raise InvalidParam(f"A {kind} has at most {MAX_IDENTIFIER_BYTES} bytes.")
    localpart, colon, server_name = identifier[1:].partition(":")
    if not colon:
        raise InvalidParam(f"{_shown(identifier)} is not a {kind}: it has no server name.")
    if _FORBIDDEN_IN_LOCALPART.search(localpart):
        raise InvalidParam(f"{_shown(identifier)} is not a {kind}: it contains a forbidden character.")
    parse_server_name(server_name)
    return localpart, server_name


def _is_split(identifier: object, sigil: str) -> bool:
    if not isinstance(identifier, str):
        return False
    try:
        _split(identifier, sigil, "")
    except InvalidParam:
        return False
    return True


def _shown(text: str) -> str:
    """The text as shown in a message: quoted, shortened, safe to encode."""
    return repr(text if len(text) <= 64 else text[:61] + "...").encode("ascii", "backslashreplace").decode("ascii")
