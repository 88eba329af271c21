"""Keys of users of other servers: not reached yet, and said so in `failures`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from homeserver.protocol.errors import Unavailable
from homeserver.protocol.identifiers import parse_user_id


def split_by_server(user_ids: Iterable[str], server_name: str) -> tuple[list[str], set[str]]:
    """Our own users, and the other servers whose users were asked for. Raises InvalidParam for what is no user id."""
    local, servers = [], set()
    for user_id in user_ids:
        server = parse_user_id(user_id).server_name
        if server == server_name:
            local.append(user_id)
        else:
            servers.add(server)
    return local, servers


def failures(servers: Iterable[str]) -> dict[str, dict[str, Any]]:
    """ "If any remote homeservers could not be reached, they are recorded here." """
    return {server: {"status": 503, **Unavailable("This server does not federate").body} for server in sorted(servers)}
