"""Tables `appservices` and `appservice_transactions`: how far each application service is, and what is under way to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.events import COLUMNS

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

PROGRESS = "SELECT appservice_id, position, lists_position FROM appservices"

UNDER_WAY = "SELECT appservice_id, txn_id, body FROM appservice_transactions"

# $1 application services, $2 and $3 positions; nothing goes backwards.
PUT_PROGRESS = """
INSERT INTO appservices AS a (appservice_id, position, lists_position)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
ON CONFLICT (appservice_id) DO UPDATE
SET position = greatest(a.position, excluded.position),
    lists_position = greatest(a.lists_position, excluded.lists_position)
"""

# One statement: the next transaction takes the place of the one before, positions follow, messages to devices go with it.
# $1 application service, $2 transaction id, $3 body, $4 and $5 positions, $6 devices and $7 positions of messages.
PUT_TRANSACTION = """
WITH moved AS (
    INSERT INTO appservices AS a (appservice_id, position, lists_position) VALUES ($1, $4, $5)
    ON CONFLICT (appservice_id) DO UPDATE
    SET position = greatest(a.position, excluded.position),
        lists_position = greatest(a.lists_position, excluded.lists_position)
), handed_over AS (
    DELETE FROM to_device_messages m USING unnest($6::integer[], $7::bigint[]) AS t(device_nid, position)
    WHERE m.device_nid = t.device_nid AND m.position = t.position
)
INSERT INTO appservice_transactions AS t (appservice_id, txn_id, body) VALUES ($1, $2, $3)
ON CONFLICT (appservice_id) DO UPDATE SET txn_id = excluded.txn_id, body = excluded.body
"""

ACKNOWLEDGE = "DELETE FROM appservice_transactions WHERE appservice_id = $1 AND txn_id = $2"

# Events that came after $1, up to $2, in order. Most have their number for a position; what was an outlier first has a
# later one. What fills a hole of the past has an earlier one than its number, and is no news.
EVENTS_AFTER = f"""
SELECT * FROM (
    SELECT {COLUMNS}, r.room_id FROM events e JOIN rooms r USING (room_nid)
    WHERE e.event_nid > $1 AND e.event_nid <= $2 AND e.position = e.event_nid
    UNION ALL
    SELECT {COLUMNS}, r.room_id FROM events e JOIN rooms r USING (room_nid)
    WHERE e.position > $1 AND e.position <= $2 AND e.position <> e.event_nid AND e.position > e.event_nid
) found ORDER BY position LIMIT $3
"""

LISTS_CHANGED_AFTER = "SELECT DISTINCT user_id FROM device_list_changes WHERE position > $1 AND observer = ''"

ROOMS_OF_EACH = """
SELECT m.user_id, r.room_id FROM memberships m JOIN rooms r USING (room_nid)
WHERE m.user_id = ANY($1::text[]) AND m.membership = 'join'
"""

# $1 rooms, $2 `:` and our name.
LOCAL_MEMBERS = """
SELECT r.room_id, m.user_id FROM rooms r JOIN memberships m USING (room_nid)
WHERE r.room_id = ANY($1::text[]) AND m.membership = 'join' AND right(m.user_id, length($2)) = $2
"""

ALIASES = (
    "SELECT r.room_id, a.alias FROM rooms r JOIN room_aliases a USING (room_nid) WHERE r.room_id = ANY($1::text[])"
)

# Devices for which messages wait: asked once, after a start.
WAITING_DEVICES = """
SELECT d.user_id, d.device_id FROM devices d
WHERE EXISTS (SELECT FROM to_device_messages m WHERE m.device_nid = d.device_nid)
"""

# What waits for these devices, oldest first.
TO_DEVICE = """
SELECT d.user_id, d.device_id, m.device_nid, m.position, m.message
FROM unnest($1::text[], $2::text[]) AS w(user_id, device_id)
JOIN devices d ON d.user_id = w.user_id AND d.device_id = w.device_id
JOIN to_device_messages m ON m.device_nid = d.device_nid
ORDER BY m.position LIMIT $3
"""

# (user, device, algorithm, number of one-time keys, whether an unused fallback key) of these devices.
KEY_COUNTS = """
WITH wanted AS (
    SELECT d.device_nid, d.user_id, d.device_id
    FROM unnest($1::text[], $2::text[]) AS w(user_id, device_id)
    JOIN devices d ON d.user_id = w.user_id AND d.device_id = w.device_id
)
SELECT user_id, device_id, NULL AS algorithm, 0::bigint AS keys, false AS fallback FROM wanted
UNION ALL
SELECT user_id, device_id, algorithm, count(*), false FROM wanted JOIN one_time_keys USING (device_nid)
GROUP BY user_id, device_id, algorithm
UNION ALL
SELECT user_id, device_id, algorithm, 0, true FROM wanted JOIN fallback_keys USING (device_nid) WHERE NOT used
"""


@dataclass(slots=True)
class Progress:
    """Events and changes of device lists up to which an application service needs nothing more."""

    events: int
    lists: int


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """What is under way, as it was first sent."""

    txn_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message to a device of an application service."""

    user_id: str
    device_id: str
    device_nid: int
    position: int
    message: bytes


@dataclass(frozen=True, slots=True)
class KeyCount:
    """Of one device and algorithm; `algorithm` None says only that the device exists."""

    user_id: str
    device_id: str
    algorithm: str | None
    keys: int
    fallback: bool


class AppserviceRows:
    """Statements of the queues to application services."""

    async def progress(self, q: Queries) -> dict[str, Progress]:
        """How far each is, by id."""
        return {row[0]: Progress(row[1], row[2]) for row in await q.fetch(PROGRESS)}

    async def under_way(self, q: Queries) -> dict[str, StoredTransaction]:
        """What was under way when the server stopped, by id."""
        return {row[0]: StoredTransaction(row[1], row[2]) for row in await q.fetch(UNDER_WAY)}

    async def put_progress(self, q: Queries, progress: Mapping[str, Progress]) -> None:
        """Write down how far these are; one statement."""
        events = [each.events for each in progress.values()]
        await q.execute(PUT_PROGRESS, list(progress), events, [each.lists for each in progress.values()])

    async def put_transaction(
        self,
        q: Queries,
        appservice_id: str,
        transaction: StoredTransaction,
        progress: Progress,
        messages: Sequence[WaitingMessage],
    ) -> None:
        """Write a transaction down before it is sent; what is in it is not looked at again. One statement."""
        await q.execute(
            PUT_TRANSACTION,
            appservice_id,
            transaction.txn_id,
            transaction.body,
            progress.events,
            progress.lists,
            [each.device_nid for each in messages],
            [each.position for each in messages],
        )

    async def acknowledge(self, q: Queries, appservice_id: str, txn_id: str) -> None:
        """It has arrived."""
        await q.execute(ACKNOWLEDGE, appservice_id, txn_id)

    async def events_after(self, q: Queries, after: int, up_to: int, limit: int) -> list[Record]:
        """Records of EVENTS columns and the room id, of all rooms, in order."""
        return await q.fetch(EVENTS_AFTER, after, up_to, limit)

    async def lists_changed_after(self, q: Queries, position: int) -> list[str]:
        """Users whose device lists changed after this position of their stream."""
        return [row[0] for row in await q.fetch(LISTS_CHANGED_AFTER, position)]

    async def rooms_of_each(self, q: Queries, user_ids: Collection[str]) -> list[tuple[str, str]]:
        """(user id, room id) of the rooms that these users have joined."""
        return [(row[0], row[1]) for row in await q.fetch(ROOMS_OF_EACH, list(user_ids))]

    async def local_members(self, q: Queries, room_ids: Collection[str], suffix: str) -> list[tuple[str, str]]:
        """(room id, user id) of our users who have joined these rooms. `suffix`: how their ids end."""
        return [(row[0], row[1]) for row in await q.fetch(LOCAL_MEMBERS, list(room_ids), suffix)]

    async def aliases(self, q: Queries, room_ids: Collection[str]) -> list[tuple[str, str]]:
        """(room id, alias) of these rooms."""
        return [(row[0], row[1]) for row in await q.fetch(ALIASES, list(room_ids))]

    async def waiting_devices(self, q: Queries) -> list[tuple[str, str]]:
        """(user id, device id) of all devices for which messages wait."""
        return [(row[0], row[1]) for row in await q.fetch(WAITING_DEVICES)]

    async def to_device(self, q: Queries, devices: Sequence[tuple[str, str]], limit: int) -> list[WaitingMessage]:
        """What waits for these devices, oldest first."""
        users, ids = [user_id for user_id, _ in devices], [device_id for _, device_id in devices]
        return [WaitingMessage(*row) for row in await q.fetch(TO_DEVICE, users, ids, limit)]

    async def key_counts(self, q: Queries, devices: Sequence[tuple[str, str]]) -> list[KeyCount]:
        """One-time and fallback keys of these devices; of those that exist at least one row."""
        users, ids = [user_id for user_id, _ in devices], [device_id for _, device_id in devices]
        return [KeyCount(*row) for row in await q.fetch(KEY_COUNTS, users, ids)]
