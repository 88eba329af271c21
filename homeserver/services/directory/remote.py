"""Aliases of other servers, as services ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from homeserver.protocol.errors import NotFound


@dataclass(frozen=True, slots=True)
class FoundRoom:
    """Where an alias points. `servers`: through which the room may be joined, best first; none where it is ours."""

    room_id: str
    servers: Sequence[str] = ()


class RemoteAliases(Protocol):
    """Asks the server whose alias it is."""

    async def find(self, server_name: str, alias: str, *, newest: bool = False) -> FoundRoom:
        """`newest`: what it answered a while ago will not do.

        Raises NotFound, and errors of the connection where nobody answers.
        """
        ...


@dataclass(frozen=True, slots=True)
class NoRemoteAliases:
    """Federation is switched off."""

    async def find(self, server_name: str, alias: str, *, newest: bool = False) -> FoundRoom:
        raise NotFound(f"There is no room with the alias {alias}")
