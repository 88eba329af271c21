"""Tables `pushers` and `push_progress`: where users want to be notified, and how far each has been."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

COLUMNS = """pusher_nid, user_id, app_id, pushkey, kind, device_id, app_display_name, device_display_name, profile_tag, lang,
data, enabled, set_ms, behind"""

ALL = f"SELECT {COLUMNS} FROM pushers"

# $13: whether others may have the same app and key. $14: how many one user has; those that were set longest ago go.
# $16: the device that asks, 0 for none. One that is logged out at this moment must leave nothing behind: the lock waits for
# that, or that for it.
SET = """
WITH device AS (
    SELECT FROM devices WHERE device_nid = $16 FOR KEY SHARE
),
allowed AS (
    SELECT WHERE $16 = 0 OR EXISTS (SELECT FROM device)
),
elsewhere AS (
    DELETE FROM pushers WHERE NOT $13 AND app_id = $2 AND pushkey = $3 AND user_id <> $1 AND EXISTS (SELECT FROM allowed)
    RETURNING pusher_nid
),
too_many AS (
    DELETE FROM pushers WHERE EXISTS (SELECT FROM allowed) AND pusher_nid IN (
        SELECT pusher_nid FROM pushers WHERE user_id = $1 AND (app_id, pushkey) <> ($2, $3)
        ORDER BY set_ms DESC, pusher_nid DESC OFFSET $14::integer - 1
    )
    RETURNING pusher_nid
),
stored AS (
    INSERT INTO pushers AS p (user_id, app_id, pushkey, kind, device_id, app_display_name, device_display_name, profile_tag,
                              lang, data, enabled, set_ms, behind)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $15 FROM allowed
    ON CONFLICT (user_id, app_id, pushkey) DO UPDATE
    SET kind = excluded.kind, device_id = excluded.device_id, app_display_name = excluded.app_display_name,
        device_display_name = excluded.device_display_name, profile_tag = excluded.profile_tag, lang = excluded.lang,
        data = excluded.data, enabled = excluded.enabled, set_ms = excluded.set_ms,
        behind = CASE WHEN p.kind = excluded.kind THEN p.behind ELSE excluded.behind END
    RETURNING pusher_nid, behind
)
SELECT (SELECT pusher_nid FROM stored), (SELECT behind FROM stored),
       ARRAY(SELECT pusher_nid FROM elsewhere UNION SELECT pusher_nid FROM too_many)
"""

DELETE = "DELETE FROM pushers WHERE pusher_nid = ANY($1::bigint[])"

BEHIND = """
UPDATE pushers p SET behind = b.behind FROM unnest($1::bigint[], $2::bigint[]) AS b(pusher_nid, behind)
WHERE p.pusher_nid = b.pusher_nid
"""

PROGRESS = "SELECT position FROM push_progress"

PUT_PROGRESS = """
INSERT INTO push_progress (position) VALUES ($1) ON CONFLICT (only_one) DO UPDATE SET position = excluded.position
"""


@dataclass(frozen=True, slots=True)
class Pusher:
    """What a client set. `data`: its object; `set_ms`: when; `behind`: see the table."""

    user_id: str
    app_id: str
    pushkey: str
    kind: str
    device_id: str | None
    app_display_name: str
    device_display_name: str
    profile_tag: str | None
    lang: str
    data: Mapping[str, Any]
    enabled: bool
    set_ms: int
    pusher_nid: int = 0
    """0 for one that is not stored yet."""
    behind: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What its user knows it by."""
        return self.app_id, self.pushkey


def _pusher(row: Record) -> Pusher:
    user_id, app_id, pushkey, kind, device_id, app_name, device_name, tag, lang = row[1:10]
    data: dict[str, Any] = orjson.loads(row[10])
    return Pusher(
        user_id,
        app_id,
        pushkey,
        kind,
        device_id,
        app_name,
        device_name,
        tag,
        lang,
        data,
        row[11],
        row[12],
        row[0],
        row[13],
    )


class PusherRows:
    """Statements over pushers."""

    async def all(self, q: Queries) -> list[Pusher]:
        """Everybody's."""
        return [_pusher(row) for row in await q.fetch(ALL)]

    async def set(
        self, q: Queries, new: Pusher, device_nid: int, *, append: bool, maximum: int
    ) -> tuple[Pusher, list[int]] | None:
        """It as it is stored, and the numbers of those that go for it: of other users unless `append`, and beyond `maximum`.

        One that was there keeps its number, and how far it was. None where the device that asks is gone; 0: it is none.
        """
        row = await q.fetchrow(
            SET,
            new.user_id,
            new.app_id,
            new.pushkey,
            new.kind,
            new.device_id,
            new.app_display_name,
            new.device_display_name,
            new.profile_tag,
            new.lang,
            orjson.dumps(new.data),
            new.enabled,
            new.set_ms,
            append,
            maximum,
            new.behind,
            device_nid,
        )
        assert row is not None
        return (replace(new, pusher_nid=row[0], behind=row[1]), row[2]) if row[0] is not None else None

    async def delete(self, q: Queries, pusher_nids: Collection[int]) -> None:
        """These."""
        await q.execute(DELETE, list(pusher_nids))

    async def put_behind(self, q: Queries, behind: Mapping[int, int | None]) -> None:
        """How far these have been."""
        await q.execute(BEHIND, list(behind), list(behind.values()))

    async def progress(self, q: Queries) -> int | None:
        """All events up to here have been handed to pushers."""
        position: int | None = await q.fetchval(PROGRESS)
        return position

    async def put_progress(self, q: Queries, position: int) -> None:
        """The same, written down."""
        await q.execute(PUT_PROGRESS, position)
