"""Profiles of users of other servers."""

from __future__ import annotations

from typing import Any, Protocol

from homeserver.protocol.errors import NotFound


class RemoteProfiles(Protocol):
    """Implemented by federation/users/remote_profiles.py."""

    async def get(self, user_id: str) -> dict[str, Any]:
        """All fields. Raises NotFound, Forbidden, ConnectionFailed, ConnectionTimeout."""
        ...


class NoRemoteProfiles:
    """Where federation is switched off."""

    __slots__ = ()

    async def get(self, user_id: str) -> dict[str, Any]:
        raise NotFound("There is no such user: this server does not federate")
