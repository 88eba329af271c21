"""Table `voice_mutes`: who was muted by a moderator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ALL = "SELECT room_id, user_id, what, muted_by, since_ms FROM voice_mutes"

PUT = """
INSERT INTO voice_mutes (room_id, user_id, what, muted_by, since_ms) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (room_id, user_id, what) DO UPDATE SET muted_by = $4, since_ms = $5
"""

LIFT = "DELETE FROM voice_mutes WHERE room_id = $1 AND user_id = $2 AND what = $3"


@dataclass(frozen=True, slots=True)
class VoiceMute:
    """One row. `what`: microphone, camera or screen."""

    room_id: str
    user_id: str
    what: str
    muted_by: str
    since_ms: int


class VoiceMuteRows:
    """Queries over those who were muted."""

    async def all(self, q: Queries) -> list[VoiceMute]:
        """All there are; asked once, at the start."""
        return [VoiceMute(*row) for row in await q.fetch(ALL)]

    async def put(self, q: Queries, mute: VoiceMute) -> None:
        """He is muted; who was so already is so by somebody else now."""
        await q.execute(PUT, mute.room_id, mute.user_id, mute.what, mute.muted_by, mute.since_ms)

    async def lift(self, q: Queries, room_id: str, user_id: str, what: str) -> None:
        """He may open it again."""
        await q.execute(LIFT, room_id, user_id, what)
