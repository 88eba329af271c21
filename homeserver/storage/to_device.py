"""Tables `to_device_messages`, `to_device_transactions`, `outbound_to_device`: messages from device to device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# $1 digest and $2 time of the request; $3 position; $4 users, $5 devices, $6 messages; $7 destinations, $8 EDU contents.
# One statement for the whole request: the transaction id, the messages of all recipients (a device named on its own
# gets that message instead of the one for '*'), and what leaves for other servers. Who is unknown drops out in the join.
SEND = """
WITH fresh AS (
    INSERT INTO to_device_transactions (digest, sent_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1
), recipients AS (
    SELECT DISTINCT ON (d.device_nid) d.device_nid, d.user_id, d.device_id, w.message, w.place
    FROM unnest($4::text[], $5::text[], $6::bytea[]) WITH ORDINALITY AS w(user_id, device_id, message, place)
    JOIN devices d ON d.user_id = w.user_id AND (d.device_id = w.device_id OR w.device_id = '*')
    WHERE EXISTS (SELECT FROM fresh)
    ORDER BY d.device_nid, w.device_id = '*'
), stored AS (
    INSERT INTO to_device_messages (device_nid, position, message) SELECT device_nid, $3, message FROM recipients
), sent_away AS (
    INSERT INTO outbound_to_device (destination, content, sent_ms)
    SELECT o.destination, o.content, $2 FROM unnest($7::text[], $8::bytea[]) AS o(destination, content)
    WHERE EXISTS (SELECT FROM fresh)
)
SELECT user_id, device_id, place FROM recipients
"""

WAITING = """
SELECT m.position, m.message
FROM to_device_messages m JOIN devices d USING (device_nid)
WHERE d.user_id = $1 AND d.device_id = $2 AND m.position > $3 AND m.position <= $4
ORDER BY m.position LIMIT $5
"""

ACKNOWLEDGE = """
DELETE FROM to_device_messages m USING devices d, unnest($1::text[], $2::text[], $3::bigint[]) AS a(user_id, device_id, upto)
WHERE d.user_id = a.user_id AND d.device_id = a.device_id AND m.device_nid = d.device_nid AND m.position <= a.upto
"""

# Written while their device was being deleted: the trigger of 0004_keys.sql could not see them yet.
FORGET_ORPHANS = """
DELETE FROM to_device_messages m WHERE NOT EXISTS (SELECT FROM devices d WHERE d.device_nid = m.device_nid)
"""

PRUNE_TRANSACTIONS = "DELETE FROM to_device_transactions WHERE sent_ms < $1"


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message. `device_id` may be `*`. `message`: the event's JSON as the receiver gets it."""

    user_id: str
    device_id: str
    message: bytes


@dataclass(frozen=True, slots=True)
class RemoteMessages:
    """Messages for the users of one other server. `content`: JSON content of an `m.direct_to_device` EDU."""

    destination: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that was stored for a device that exists."""

    user_id: str
    device_id: str
    message: bytes


class ToDeviceMessages:
    """Statements over the letterboxes."""

    async def send(
        self,
        q: Queries,
        digest: bytes,
        now_ms: int,
        position: int,
        messages: Sequence[OutgoingMessage],
        remote: Sequence[RemoteMessages],
    ) -> list[Delivery]:
        """Store one request's messages; nothing at all if its `digest` was seen before. One statement."""
        rows = await q.fetch(
            SEND,
            digest,
            now_ms,
            position,
            [message.user_id for message in messages],
            [message.device_id for message in messages],
            [message.message for message in messages],
            [batch.destination for batch in remote],
            [batch.content for batch in remote],
        )
        return [Delivery(row["user_id"], row["device_id"], messages[row["place"] - 1].message) for row in rows]

    async def waiting(
        self, q: Queries, user_id: str, device_id: str, since: int, to: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """Position and message of what waits for a device in `(since, to]`, oldest first, at most `limit`."""
        return [(row[0], row[1]) for row in await q.fetch(WAITING, user_id, device_id, since, to, limit)]

    async def acknowledge(self, q: Queries, read: Sequence[tuple[str, str, int]]) -> None:
        """Delete what devices have read: (user id, device id, highest position read)."""
        users, devices, positions = (list(column) for column in zip(*read, strict=True))
        await q.execute(ACKNOWLEDGE, users, devices, positions)

    async def prune_transactions(self, q: Queries, before_ms: int) -> None:
        """Forget transaction ids of requests made before `before_ms`."""
        await q.execute(PRUNE_TRANSACTIONS, before_ms)

    async def forget_orphans(self, q: Queries) -> None:
        """Housekeeping: delete messages for devices that are gone."""
        await q.execute(FORGET_ORPHANS)
