"""Which servers a room lets in: `m.room.server_acl`. Source: client-server API, "Server Access Control Lists"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from homeserver.protocol.errors import BadJson
from homeserver.protocol.identifiers import is_server_name, parse_server_name
from homeserver.protocol.push_rules.globs import compile_glob

MAX_ENTRIES = 10_000


def check_server_acl(content: Mapping[str, Any]) -> None:
    """Raises BadJson for a list that is none: servers would read it as empty, and nobody could take part any more.

    `allow_ip_literals` "defaults to `true` if missing or otherwise not a boolean", so it can be anything.
    """
    for key in ("allow", "deny"):
        entries = content.get(key, [])
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            raise BadJson(f"'{key}' must be a list of server names")
        if len(entries) > MAX_ENTRIES:
            raise BadJson(f"'{key}' has at most {MAX_ENTRIES} entries")


def server_is_allowed(server_name: str, content: Mapping[str, Any] | None) -> bool:
    """Whether a server may take part in a room with this `m.room.server_acl` content (None: there is no such event).

    "If allow_ip_literals is false and the server name is an IP literal, deny. If it matches an entry in deny, deny.
    If it matches an entry in allow, allow. Otherwise deny." The port does not count.
    """
    if content is None:
        return True
    host = _host(server_name)
    if content.get("allow_ip_literals", True) is False and _is_ip_literal(server_name):
        return False
    if _matches_any(host, content.get("deny")):
        return False
    return _matches_any(host, content.get("allow"))


def _host(server_name: str) -> str:
    """Without the port; the brackets of an IPv6 literal stay, as they do in the lists."""
    return re.sub(r":[0-9]+\Z", "", server_name)


def _is_ip_literal(server_name: str) -> bool:
    return is_server_name(server_name) and parse_server_name(server_name).is_ip_literal


def _matches_any(host: str, entries: object) -> bool:
    if not isinstance(entries, list):
        return False
    lowered = host.lower()
    # Patterns are made by strangers: the matcher of push rules takes no more time for clever ones.
    return any(isinstance(entry, str) and compile_glob(entry)(lowered) for entry in entries)
