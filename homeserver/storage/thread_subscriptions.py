"""Table `thread_subscriptions`: which threads users want to hear of (MSC4306)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

GET = """
SELECT subscribed, automatic, unsubscribed_at FROM thread_subscriptions WHERE user_id = $1 AND room_nid = $2 AND root_id = $3
"""

# $6: the place of what subscribes automatically, NULL where the user does it himself, which takes precedence. $7: the most
# threads that one may have said anything about.
SUBSCRIBE = """
INSERT INTO thread_subscriptions AS s (user_id, room_nid, root_id, subscribed, automatic, position)
SELECT $1, $2, $3, true, $4, $5
WHERE (SELECT count(*) FROM thread_subscriptions WHERE user_id = $1) < $7
   OR EXISTS (SELECT FROM thread_subscriptions WHERE user_id = $1 AND room_nid = $2 AND root_id = $3)
ON CONFLICT (user_id, room_nid, root_id) DO UPDATE
SET subscribed = true, automatic = excluded.automatic, unsubscribed_at = NULL, position = excluded.position
WHERE CASE WHEN excluded.automatic THEN NOT s.subscribed AND s.unsubscribed_at < $6::bigint
      ELSE s.automatic OR NOT s.subscribed END
RETURNING true
"""

UNSUBSCRIBE = """
UPDATE thread_subscriptions SET subscribed = false, automatic = false, unsubscribed_at = $4, position = $5
WHERE user_id = $1 AND room_nid = $2 AND root_id = $3 AND subscribed
RETURNING true
"""

# Of the rooms that the user is in. $2 < position <= $3.
CHANGED = """
SELECT r.room_id, s.root_id, s.subscribed, s.automatic, s.position
FROM thread_subscriptions s
JOIN memberships m ON m.user_id = s.user_id AND m.room_nid = s.room_nid AND m.membership = 'join'
JOIN rooms r ON r.room_nid = s.room_nid
WHERE s.user_id = $1 AND s.position > $2 AND s.position <= $3 AND (s.subscribed OR $4)
ORDER BY s.position DESC LIMIT $5
"""

LAST = "SELECT user_id, max(position) FROM thread_subscriptions GROUP BY user_id"

SUBSCRIBERS = "SELECT user_id FROM thread_subscriptions WHERE room_nid = $1 AND root_id = $2 AND subscribed"

FORGET = "DELETE FROM thread_subscriptions WHERE user_id = $1"


class Subscription(NamedTuple):
    """What a user said last. `unsubscribed_at`: a position of events."""

    subscribed: bool
    automatic: bool
    unsubscribed_at: int | None


class ChangedSubscription(NamedTuple):
    """The same as clients hear of it. `position`: in the stream of account data."""

    room_id: str
    root_id: str
    subscribed: bool
    automatic: bool
    position: int


class ThreadSubscriptionRows:
    """Statements over thread_subscriptions."""

    async def get(self, q: Queries, user_id: str, room_nid: int, root_id: str) -> Subscription | None:
        """None for threads of which the user never said anything."""
        row = await q.fetchrow(GET, user_id, room_nid, root_id)
        return None if row is None else Subscription(*row)

    async def subscribe(
        self, q: Queries, user_id: str, room_nid: int, root_id: str, *, cause: int | None, position: int, maximum: int
    ) -> bool:
        """Whether anything changed. `cause`: the place of what subscribes automatically."""
        arguments = (user_id, room_nid, root_id, cause is not None, position, cause, maximum)
        return await q.fetchval(SUBSCRIBE, *arguments) is not None

    async def unsubscribe(
        self, q: Queries, user_id: str, room_nid: int, root_id: str, *, newest_event: int, position: int
    ) -> bool:
        """Whether he was subscribed."""
        return await q.fetchval(UNSUBSCRIBE, user_id, room_nid, root_id, newest_event, position) is not None

    async def changed(
        self, q: Queries, user_id: str, *, since: int, to: int, with_ended: bool, limit: int
    ) -> list[ChangedSubscription]:
        """The newest first, of rooms that he is in. `with_ended`: also threads from which he unsubscribed."""
        rows = await q.fetch(CHANGED, user_id, since, to, with_ended, limit)
        return [ChangedSubscription(*row) for row in rows]

    async def last(self, q: Queries) -> dict[str, int]:
        """Where everybody who ever subscribed did so last, by user."""
        return {row[0]: row[1] for row in await q.fetch(LAST)}

    async def subscribers(self, q: Queries, room_nid: int, root_id: str) -> frozenset[str]:
        """Everybody who is subscribed to a thread."""
        return frozenset(row[0] for row in await q.fetch(SUBSCRIBERS, room_nid, root_id))

    async def forget(self, q: Queries, user_id: str) -> None:
        """Everything of a user who is gone."""
        await q.execute(FORGET, user_id)
