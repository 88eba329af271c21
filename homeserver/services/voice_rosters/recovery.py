"""After a restart: who was in a call before, and has not come back.

His room shows him in the call still, and readers may have been told so in a sync.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from homeserver.services.voice_rosters.call_memberships import without_device
from homeserver.services.voice_rosters.seat import Identity, Member, member_of
from homeserver.storage.call_memberships import CallMembershipRows, StandingMembership

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.voice_rosters.reaper import Reaper
    from homeserver.services.voice_rosters.rosters import Rosters
    from homeserver.services.voice_rosters.spaces import SpaceChannels
    from homeserver.services.voice_rosters.stream import RosterStream
    from homeserver.storage.database import Queries

COME_BACK_MS: Final = 30_000
"""Clients find a server again within seconds; some wait longer between attempts."""
MAX_ROOMS_AT_ONCE: Final = 500

log = logging.getLogger(__name__)


class KnownIdentities(Protocol):
    """Everybody who had a token within the last hours."""

    def everybody(self) -> Sequence[Identity]: ...


@dataclass(slots=True)
class Recovery:
    """Runs once in the life of a process."""

    queries: Queries
    rows: CallMembershipRows
    identities: KnownIdentities
    rosters: Rosters
    stream: RosterStream
    spaces: SpaceChannels
    reaper: Reaper
    clock: Clock
    server_name: str
    _waiting: asyncio.Task[None] | None = field(default=None)

    async def start(self) -> None:
        """Before the first request, after identities and the stream."""
        known = self.identities.everybody()
        for room_id in {each.room_id for each in known}:
            # Whoever was told of people there learns that they are gone.
            self.stream.changed(room_id)
            self.spaces.people_changed(room_id)
        members = {member_of(each) for each in known if each.user_id.endswith(f":{self.server_name}")}
        if members:
            self._waiting = asyncio.create_task(self._look(members, self.clock.now_ms()), name="look-after-calls")

    async def stop(self) -> None:
        """The next process begins anew."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)

    async def _look(self, members: Collection[Member], began_ms: int) -> None:
        await self.clock.sleep(ms=COME_BACK_MS)
        missing = [member for member in members if not self.rosters.is_seated(member)]
        try:
            for member in await self._shown(missing):
                self.reaper.look_after(member, began_ms)
        except Exception:
            log.exception("who was in calls before the restart may be shown in them for hours")

    async def _shown(self, members: Sequence[Member]) -> Sequence[Member]:
        """Those of them whom a room shows in a call. Whoever has sticky events is asked for one by one."""
        rooms = sorted({member.room_id for member in members if member.member_id is None})
        standing: list[StandingMembership] = []
        for pack in _packs(rooms):
            standing += await self.rows.standing(self.queries, pack)
        by_user: dict[tuple[str, str], list[StandingMembership]] = {}
        for each in standing:
            by_user.setdefault((each.room_id, each.sender), []).append(each)
        return [member for member in members if member.member_id is not None or _is_shown(member, by_user)]


def _is_shown(member: Member, standing: Mapping[tuple[str, str], Sequence[StandingMembership]]) -> bool:
    own = standing.get((member.room_id, member.user_id), ())
    return any(without_device(each.content, member.device_id) is not None for each in own)


def _packs(rooms: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(rooms), MAX_ROOMS_AT_ONCE):
        yield rooms[first : first + MAX_ROOMS_AT_ONCE]
