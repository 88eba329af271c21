"""GET /mutual_rooms: the rooms that somebody shares with somebody else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.identifiers import is_compliant_user_id

if TYPE_CHECKING:
    from homeserver.services.awake import AwakeUsers

MAX_ROOMS: Final = 100
"""Of one page."""
# Whom it is about, and the room that the page begins behind: nothing is kept for it, so it is good for ever.
_TOKEN: Final = re.compile(r"m([0-9a-f]{16})(!.{1,254})", re.ASCII)


@dataclass(frozen=True, slots=True)
class MutualPage:
    """Rooms in order of their ids; a token where there are more. `total`: of all pages."""

    rooms: Sequence[str]
    total: int
    next_batch: str | None


@dataclass(frozen=True, slots=True)
class MutualRooms:
    """One verb."""

    awake: AwakeUsers

    async def __call__(self, user_id: str, other_id: str, token: str | None) -> MutualPage:
        """A page of the rooms that both have joined.

        Raises InvalidParam for oneself, for what is no user id, and for a token that is not of these two.
        """
        if other_id == user_id:
            raise InvalidParam("Every room that you are in is one of yours")
        if not is_compliant_user_id(other_id):
            raise InvalidParam("'user_id' is not a user id")
        pair = blake2b(f"{user_id} {other_id}".encode(), digest_size=8).hexdigest()
        behind = _behind(token, pair)
        shared = sorted(await self.awake.joined_room_ids(user_id) & await self.awake.rooms_of([other_id]))
        rest = [room_id for room_id in shared if room_id > behind]
        page = rest[:MAX_ROOMS]
        return MutualPage(page, len(shared), f"m{pair}{page[-1]}" if len(rest) > MAX_ROOMS else None)


def _behind(token: str | None, pair: str) -> str:
    if token is None:
        return ""
    match = _TOKEN.fullmatch(token)
    if match is None or match[1] != pair:
        raise InvalidParam("'from' is not a token of these rooms")
    return match[2]
