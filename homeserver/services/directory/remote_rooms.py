"""Published rooms of other servers."""

from __future__ import annotations

from typing import Any, Protocol

from homeserver.protocol.errors import NotFound
from homeserver.services.directory.search import DirectoryQuery


class RemotePublicRooms(Protocol):
    """Implemented by federation/users/remote_directory.py."""

    async def search(self, server_name: str, query: DirectoryQuery) -> dict[str, Any]:
        """A page, as the answer has it. Raises InvalidParam, ConnectionFailed, ConnectionTimeout, BadGateway."""
        ...


class NoRemotePublicRooms:
    """Where federation is switched off."""

    __slots__ = ()

    async def search(self, server_name: str, query: DirectoryQuery) -> dict[str, Any]:
        raise NotFound("This server does not federate: it knows no other server's directory")
