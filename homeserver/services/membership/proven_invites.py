"""An invitation by address that somebody claims with the signature of an identity server (`third_party_signed` of a join)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from homeserver.protocol.errors import BadJson
from homeserver.services.requester import Requester

Claim = Callable[[str, str, dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ProvenInvites:
    """One verb. `claims` is filled by who can exchange them (federation/doors/third_party.py); nobody without federation."""

    claims: list[Claim] = field(default_factory=list)

    async def __call__(self, requester: Requester, room_id: str, signed: Any) -> None:
        """Turn what was signed into an invitation of the requester, where he needs one. Raises BadJson, InvalidParam,
        Forbidden, NotFound.
        """
        if not isinstance(signed, dict):
            raise BadJson("'third_party_signed' must be an object")
        for claim in self.claims:
            await claim(requester.user_id, room_id, signed)
