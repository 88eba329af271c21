"""Table `voice_identities`: who is behind the participants of the SFU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ALL = """
SELECT sfu_room, identity, room_id, slot_id, user_id, device_id, member_id, delay_id, delay_ms, seen_ms
FROM voice_identities WHERE seen_ms >= $1 ORDER BY seen_ms DESC LIMIT $2
"""

PUT = """
INSERT INTO voice_identities (sfu_room, identity, room_id, slot_id, user_id, device_id, member_id, seen_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (sfu_room, identity) DO UPDATE
SET user_id = $5, device_id = $6, member_id = $7, seen_ms = $8
"""

DELEGATE = """
UPDATE voice_identities SET delay_id = $3, delay_ms = $4 WHERE sfu_room = $1 AND identity = $2
"""

# Here and below: parallel arrays of rooms and identities.
END_DELEGATIONS = """
UPDATE voice_identities v SET delay_id = NULL, delay_ms = NULL
FROM unnest($1::text[], $2::text[]) AS ended(sfu_room, identity)
WHERE v.sfu_room = ended.sfu_room AND v.identity = ended.identity
"""

SEEN = """
UPDATE voice_identities v SET seen_ms = $3
FROM unnest($1::text[], $2::text[]) AS there(sfu_room, identity)
WHERE v.sfu_room = there.sfu_room AND v.identity = there.identity
"""

FORGET_BEFORE = "DELETE FROM voice_identities WHERE seen_ms < $1"


@dataclass(frozen=True, slots=True)
class VoiceIdentity:
    """One participant of one SFU room, and who he is."""

    sfu_room: str
    identity: str
    room_id: str
    slot_id: str
    user_id: str
    device_id: str | None
    """As the client said; None where nobody asked."""
    member_id: str | None
    delay_id: str | None = None
    delay_ms: int | None = None
    seen_ms: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What the SFU calls him: room and identity."""
        return self.sfu_room, self.identity


class VoiceIdentityRows:
    """Queries over the participants of calls."""

    async def all_since(self, q: Queries, seen_ms: int, limit: int) -> list[VoiceIdentity]:
        """Those last seen at `seen_ms` or later, newest first."""
        return [VoiceIdentity(*row) for row in await q.fetch(ALL, seen_ms, limit)]

    async def put(self, q: Queries, of: VoiceIdentity) -> None:
        """A token was issued. What he delegated before stays."""
        await q.execute(
            PUT, of.sfu_room, of.identity, of.room_id, of.slot_id, of.user_id, of.device_id, of.member_id, of.seen_ms
        )

    async def delegate(self, q: Queries, key: tuple[str, str], delay_id: str, delay_ms: int) -> None:
        """Remember the delayed event that says that he left."""
        await q.execute(DELEGATE, *key, delay_id, delay_ms)

    async def end_delegations(self, q: Queries, keys: Sequence[tuple[str, str]]) -> None:
        """There are none any more."""
        await q.execute(END_DELEGATIONS, [key[0] for key in keys], [key[1] for key in keys])

    async def seen(self, q: Queries, keys: Sequence[tuple[str, str]], now_ms: int) -> None:
        """They are in the call now."""
        await q.execute(SEEN, [key[0] for key in keys], [key[1] for key in keys], now_ms)

    async def forget_before(self, q: Queries, seen_ms: int) -> None:
        """Housekeeping: who has not been seen since."""
        await q.execute(FORGET_BEFORE, seen_ms)
