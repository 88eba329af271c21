"""Which users this server can let into rooms."""

from __future__ import annotations

from homeserver.protocol.errors import Forbidden
from homeserver.protocol.identifiers import UserId, parse_user_id


def check_local(user_id: str, server_name: str) -> UserId:
    """Raises InvalidParam for what is no user id, Forbidden for users of other servers, which we cannot reach."""
    user = parse_user_id(user_id)
    if user.server_name != server_name:
        raise Forbidden(f"This server does not federate: {user_id} cannot be invited")
    return user
