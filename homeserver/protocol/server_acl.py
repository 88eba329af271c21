"""Which servers a room lets in: `m.room.server_acl`. Source: client-server API, "Server Access Control Lists"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.protocol.errors import BadJson
from homeserver.protocol.identifiers import is_server_name, parse_server_name
from homeserver.protocol.push_rules.globs import Matcher, compile_glob, has_wildcards

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


@dataclass(frozen=True, slots=True)
class _Patterns:
    """Entries of a list: most are plain names, which need no matching."""

    names: frozenset[str]
    globs: tuple[Matcher, ...]

    @staticmethod
    def of(entries: object) -> _Patterns:
        texts = [each for each in entries if isinstance(each, str)] if isinstance(entries, list) else []
        plain = frozenset(each.lower() for each in texts if not has_wildcards(each))
        # Patterns are made by strangers: the matcher of push rules takes no more time for clever ones.
        return _Patterns(plain, tuple(compile_glob(each) for each in texts if has_wildcards(each)))

    def match(self, host: str) -> bool:
        return host in self.names or any(matches(host) for matches in self.globs)


@dataclass(frozen=True, slots=True)
class ServerAcl:
    """A list that has been read once."""

    allow_ip_literals: bool
    deny: _Patterns
    allow: _Patterns

    @staticmethod
    def of(content: Mapping[str, Any]) -> ServerAcl:
        """From the content of `m.room.server_acl`, whatever it is."""
        ip_literals = content.get("allow_ip_literals", True) is not False
        return ServerAcl(ip_literals, _Patterns.of(content.get("deny")), _Patterns.of(content.get("allow")))

    def allows(self, server_name: str) -> bool:
        """ "If allow_ip_literals is false and the server name is an IP literal, deny. If it matches an entry in deny, deny.
        If it matches an entry in allow, allow. Otherwise deny." The port does not count.
        """
        host = _host(server_name).lower()
        if not self.allow_ip_literals and _is_ip_literal(server_name):
            return False
        return not self.deny.match(host) and self.allow.match(host)


def server_is_allowed(server_name: str, content: Mapping[str, Any] | None) -> bool:
    """Whether a server may take part in a room with this `m.room.server_acl` content (None: there is no such event)."""
    return content is None or ServerAcl.of(content).allows(server_name)


def _host(server_name: str) -> str:
    """Without the port; the brackets of an IPv6 literal stay, as they do in the lists."""
    return re.sub(r":[0-9]+\Z", "", server_name)


def _is_ip_literal(server_name: str) -> bool:
    return is_server_name(server_name) and parse_server_name(server_name).is_ip_literal
