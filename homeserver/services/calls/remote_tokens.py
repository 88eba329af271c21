"""Tokens of other servers' SFUs: who listens to a member of another server connects to that server's SFU (MSC4195)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from homeserver.protocol.errors import BadGateway


@dataclass(frozen=True, slots=True)
class RemoteTokenRequest:
    """What a user of ours asks of another server. `url` is the SFU's."""

    user_id: str
    url: str
    room_id: str
    slot_id: str
    member_id: str

    @property
    def body(self) -> dict[str, Any]:
        """Of the request between servers."""
        return {
            "user_id": self.user_id,
            "url": self.url,
            "room_id": self.room_id,
            "slot_id": self.slot_id,
            "member_id": self.member_id,
        }


class RemoteCallTokens(Protocol):
    """Asks another server: `POST /_matrix/federation/v1/rtc/livekit/get_token`. Implemented by federation/."""

    async def token(self, server_name: str, request: RemoteTokenRequest) -> str:
        """The JWT. Raises Forbidden, InvalidParam or BadGateway."""
        ...


class NoRemoteCallTokens:
    """Where federation is switched off."""

    __slots__ = ()

    async def token(self, server_name: str, request: RemoteTokenRequest) -> str:
        raise BadGateway("This server does not speak to others")
