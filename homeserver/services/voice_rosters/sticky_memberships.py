"""Ends call memberships that clients announce by sticky events (MSC4143 with MSC4354).

In encrypted rooms clients may encrypt theirs: those we cannot see, and only a leave that the client handed over
(`services/calls/delegation.py`) ends them before they stop sticking.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.sticky import MAX_STICKY_MS
from homeserver.services.requester import Requester, on_behalf_of
from homeserver.services.voice_rosters.foci import is_elsewhere
from homeserver.services.voice_rosters.seat import Member
from homeserver.storage.call_memberships import CallMembershipRows, StickyMembership

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

KEYS: Final = ("msc4354_sticky_key", "sticky_key")
"""Under one of them: of the events with one value the last counts, and each time of joining has its own value."""

SendSticky = Callable[[Requester, str, str, dict[str, Any], str, int | None], Awaitable[str]]
"""`SendEvent`: requester, room, type, content, transaction id, for how long it sticks."""


@dataclass(frozen=True, slots=True)
class EndStickyMemberships:
    """Implements `StickyMemberships`."""

    queries: Queries
    rows: CallMembershipRows
    send: SendSticky
    clock: Clock
    ours: Collection[str]

    async def end(self, member: Member, left_ms: int) -> int | None:
        """End the one of this joining, if it was announced until `left_ms`; the time of a newer one."""
        events = await self.rows.sticky(self.queries, member.room_id, member.user_id, self.clock.now_ms())
        last = _last_of(events, member.member_id)
        if last is None or "application" not in last.content:
            return None  # MSC4143: what says no application is the end of a membership
        if is_elsewhere(last.content, (), self.ours, left_ms):
            return None
        if last.sent_ms > left_ms:
            return last.sent_ms
        key = next(key for key in KEYS if key in last.content)
        content: dict[str, Any] = {key: last.content[key]}
        requester = on_behalf_of(member.user_id)
        # As long as possible: what it ends may have been sent with the longest duration a moment ago.
        await self.send(requester, member.room_id, last.type, content, secrets.token_hex(16), MAX_STICKY_MS)
        return None


def _last_of(events: Sequence[StickyMembership], member_id: str | None) -> StickyMembership | None:
    own = (event for event in events if member_id is not None and member_id in _names(event.content))
    return next(own, None)


def _names(content: Mapping[str, Any]) -> Sequence[object]:
    return [content[key] for key in KEYS if key in content]
