"""Aliases as text: which may be made, which are ours."""

from __future__ import annotations

import re

from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.identifiers import parse_room_alias

_NOT_IN_NEW_ALIAS = re.compile(r"[\s:#\x00-\x1f]")


def new_alias(localpart: str, server_name: str) -> str:
    """The alias of a local part that somebody wishes. Raises InvalidParam for one that is empty, too long or odd."""
    if not localpart or _NOT_IN_NEW_ALIAS.search(localpart):
        raise InvalidParam("The name of an alias may not be empty nor have spaces, ':' or '#'")
    return str(parse_room_alias(f"#{localpart}:{server_name}"))
