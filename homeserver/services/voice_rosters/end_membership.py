"""Ends a device's call membership on its user's behalf, by the verbs its client would use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from homeserver.protocol.errors import NotFound
from homeserver.services.requester import Requester, on_behalf_of
from homeserver.services.voice_rosters.call_memberships import CALL_MEMBER, Ending, endings
from homeserver.services.voice_rosters.seat import Member

if TYPE_CHECKING:
    from homeserver.services.rooms.room_cache import RoomCache

SetRoomState = Callable[[Requester, str, str, str, dict[str, Any]], Awaitable[str]]
"""`SetState`: requester, room, type, state key, content."""


class StickyMemberships(Protocol):
    """Memberships announced by sticky events (MSC4354)."""

    async def end(self, member: Member, left_ms: int) -> int | None:
        """End those of before `left_ms`; the time of one that is newer, None where there is none.

        Raises what sending an event raises.
        """
        ...


@dataclass(frozen=True, slots=True)
class EndMembership:
    """One verb. Done twice, it does nothing the second time.

    Who publishes at an SFU that is none of `ours` is in the call though he left ours; his client ends that itself.
    """

    cache: RoomCache
    set_state: SetRoomState
    sticky: StickyMemberships
    ours: Collection[str]

    async def __call__(self, member: Member, left_ms: int, *, device_is_back: bool) -> int | None:
        """End what was announced until `left_ms`. A newer one is a new attempt to join: returns when it was made.

        State is by device, so nothing of it ends where the device is back; sticky events are by joining. Raises
        Forbidden where the room lets the user do nothing, Unavailable.
        """
        try:
            room = await self.cache.get(member.room_id)
        except NotFound:
            return None
        if member.user_id not in room.joined:
            return None  # who is not in the room is in no call of it, and may say nothing there
        newer = [] if member.member_id is None else [await self.sticky.end(member, left_ms)]
        if not device_is_back:
            standing = list(endings(room, member, self.ours, left_ms))
            await self._set(member, [each for each in standing if each.announced_ms <= left_ms])
            newer += [each.announced_ms for each in standing if each.announced_ms > left_ms]
        return max((each for each in newer if each is not None), default=None)

    async def _set(self, member: Member, standing: list[Ending]) -> None:
        for ending in standing:
            await self.set_state(
                on_behalf_of(member.user_id), member.room_id, CALL_MEMBER, ending.state_key, ending.content
            )
