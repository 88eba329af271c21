"""Profiles of other servers' users, asked of their servers and remembered for a while.

Source: server-server API, "Querying for information": `GET /query/profile`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.federation.bounded import Bounded
from homeserver.federation.client import Call, Limits, request_uri
from homeserver.federation.errors import RemoteRefused
from homeserver.federation.single_flight import SingleFlight
from homeserver.protocol.errors import Forbidden, NotFound
from homeserver.protocol.identifiers import server_name_of
from homeserver.services.profiles.fields import MAX_PROFILE_BYTES

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient
    from homeserver.services.clock import Clock

QUERY: Final = "/_matrix/federation/v1/query/profile"
LIMITS: Final = Limits(timeout_ms=10_000, max_bytes=128 * 1024)
MAX_REMEMBERED: Final = 5_000
MAX_REMEMBERED_BYTES: Final = 4_096
"""Of one profile; a larger one is asked for each time."""
FOUND_MS: Final = 5 * 60_000
FAILED_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class _Remembered:
    until_ms: int
    profile: bytes | None
    """JSON; None: the server said that there is no such user."""


def _memory() -> Bounded[str, _Remembered]:
    return Bounded(MAX_REMEMBERED)


@dataclass(slots=True)
class AskForProfile:
    """`services.profiles.remote.RemoteProfiles`."""

    client: FederationClient
    clock: Clock
    _asking: SingleFlight[bytes | None] = field(default_factory=SingleFlight)
    _memory: Bounded[str, _Remembered] = field(default_factory=_memory)

    async def get(self, user_id: str) -> dict[str, Any]:
        """All fields. Raises NotFound, Forbidden, and as `FederationClient.call` where nobody answers."""
        remembered = self._memory.get(user_id)
        if remembered is not None and self.clock.now_ms() < remembered.until_ms:
            profile = remembered.profile
        else:
            profile = await self._asking.run(user_id, lambda: self._ask(user_id))
        if profile is None:
            raise NotFound("There is no such user")
        found: dict[str, Any] = orjson.loads(profile)
        return found

    async def _ask(self, user_id: str) -> bytes | None:
        # A probe: anybody may have us ask any server.
        call = Call("GET", request_uri(QUERY, query={"user_id": user_id}), probe=True, limits=LIMITS)
        try:
            answer = await self.client.call(server_name_of(user_id), call)
        except RemoteRefused as error:
            if error.remote.status == 403:
                raise Forbidden("The user's server does not tell") from error
            if error.remote.status != 404:
                raise
            return self._remember(user_id, None, FAILED_MS)
        return self._remember(user_id, _usable(answer), FOUND_MS)

    def _remember(self, user_id: str, profile: bytes | None, for_ms: int) -> bytes | None:
        if profile is None or len(profile) <= MAX_REMEMBERED_BYTES:
            self._memory.put(user_id, _Remembered(self.clock.now_ms() + for_ms, profile))
        return profile

    def memory_usage(self) -> Mapping[str, int]:
        """Profiles remembered."""
        return {"profiles": len(self._memory)}

    async def stop(self) -> None:
        """Give up what is under way."""
        await self._asking.stop()


def _usable(answer: Mapping[str, Any]) -> bytes:
    """Name and avatar only where they are texts; of the rest, what fits into a profile."""
    known = {key: answer[key] for key in ("displayname", "avatar_url") if isinstance(answer.get(key), str)}
    others = {key: value for key, value in answer.items() if key not in ("displayname", "avatar_url")}
    for whole in ({**others, **known}, known):
        try:
            profile = orjson.dumps(whole)
        except orjson.JSONEncodeError:
            continue
        if len(profile) < MAX_PROFILE_BYTES:
            return profile
    return b"{}"
