"""Accounts as administrators see them: lists with filters, and what only they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.storage.conditions import where

if TYPE_CHECKING:
    from homeserver.storage.database import Queries
    from homeserver.storage.users import Threepid

# Of devices the newest sight; what is still in memory (services/sessions/last_seen.py) is a few minutes newer.
_SHOWN = """
SELECT u.user_id, u.is_guest, u.is_admin, u.user_type, u.deactivated_ms IS NOT NULL AS deactivated, u.erased,
       u.created_ms, u.locked_ms IS NOT NULL AS locked, u.suspended_ms IS NOT NULL AS suspended, u.appservice_id,
       p.displayname, p.avatar_url,
       (SELECT max(last_seen_ms) FROM devices d WHERE d.user_id = u.user_id) AS last_seen_ms
"""

_FROM = "FROM users u LEFT JOIN profiles p ON p.user_id = u.user_id"

BY_ID = f"{_SHOWN} {_FROM} WHERE u.user_id = $1"

# strpos instead of LIKE: what is looked for has no wildcards.
_CONDITIONS = {
    "user_id": "strpos(u.user_id, lower({0})) > 0",
    "name": "(strpos(substr(split_part(u.user_id, ':', 1), 2), lower({0})) > 0"
    " OR strpos(lower(p.displayname), lower({0})) > 0)",
    "is_guest": "u.is_guest = {0}",
    "is_admin": "u.is_admin = {0}",
    "deactivated": "(u.deactivated_ms IS NOT NULL) = {0}",
    "locked": "(u.locked_ms IS NOT NULL) = {0}",
    "other_types": "NOT coalesce(u.user_type, '') = ANY({0})",
}

ORDERS = {
    "name": "user_id",
    "is_guest": "is_guest",
    "admin": "is_admin",
    "user_type": "user_type",
    "deactivated": "deactivated",
    "displayname": "lower(p.displayname)",
    "avatar_url": "avatar_url",
    "creation_ts": "created_ms",
    "last_seen_ts": "last_seen_ms",
    "locked": "locked",
}
"""By the names that administrators use. All but the first sort the whole table of accounts."""

CHANGE = """
UPDATE users SET password_hash = CASE WHEN $2 AND deactivated_ms IS NULL THEN $3 ELSE password_hash END,
                 is_admin = coalesce($4, is_admin),
                 user_type = CASE WHEN $5 THEN $6 ELSE user_type END
WHERE user_id = $1
"""

# Conditions as the index events_about_others has them.
ABOUT_OTHERS = """
SELECT e.body FROM events e
WHERE e.type = 'm.room.member' AND e.state_key <> e.sender AND e.sender = $1 AND e.origin_server_ts >= $2
LIMIT $3
"""

# While rooms are still being left the account cannot come back.
REACTIVATE = """
UPDATE users SET deactivated_ms = NULL, erased = false WHERE user_id = $1 AND NOT leaving RETURNING user_id
"""

DROP_THREEPIDS = """
DELETE FROM user_threepids t WHERE t.user_id = $1 AND NOT EXISTS (
    SELECT FROM unnest($2::text[], $3::text[]) AS kept (medium, address)
    WHERE kept.medium = t.medium AND kept.address = t.address)
RETURNING t.medium, t.address
"""

ADD_THREEPIDS = """
INSERT INTO user_threepids (medium, address, user_id, validated_ms, added_ms)
SELECT medium, address, $1, $4, $4 FROM unnest($2::text[], $3::text[]) AS wanted (medium, address)
ON CONFLICT DO NOTHING
"""

THREEPIDS_OF_OTHERS = """
SELECT t.address FROM user_threepids t JOIN unnest($2::text[], $3::text[]) AS wanted (medium, address)
    ON wanted.medium = t.medium AND wanted.address = t.address
WHERE t.user_id <> $1 LIMIT 1
"""

# Over the user's own rooms only. Read outside of SQL: a name that another server wrote may be what PostgreSQL does not take.
OWN_CHANGES = """
SELECT m.room_nid, e.body
FROM memberships m
JOIN state_changes s ON s.room_nid = m.room_nid AND s.type = 'm.room.member' AND s.state_key = m.user_id
JOIN events e ON e.event_nid = s.event_nid
WHERE m.user_id = $1 AND e.origin_server_ts >= $2
LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class ShownUser:
    """An account, as lists show it."""

    user_id: str
    is_guest: bool
    is_admin: bool
    user_type: str | None
    deactivated: bool
    erased: bool
    created_ms: int
    locked: bool
    suspended: bool
    appservice_id: str | None
    displayname: str | None
    avatar_url: str | None
    last_seen_ms: int | None


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which accounts; what is None does not matter."""

    user_id: str | None = None
    name: str | None = None
    """Is part of the localpart or of the display name."""
    is_guest: bool | None = None
    is_admin: bool | None = None
    deactivated: bool | None = None
    locked: bool | None = None
    other_types: list[str] | None = None
    """Types that are not wanted; the empty one is that of most people."""


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What is None stays as it is."""

    password_hash: str | None = None
    is_admin: bool | None = None
    sets_type: bool = False
    user_type: str | None = None


class AdministrationRows:
    """Queries over accounts, for administrators."""

    async def user(self, q: Queries, user_id: str) -> ShownUser | None:
        """One account."""
        row = await q.fetchrow(BY_ID, user_id)
        return ShownUser(*row) if row else None

    async def users(
        self, q: Queries, wanted: UserFilter, order: str, *, descending: bool, limit: int, offset: int
    ) -> tuple[list[ShownUser], int]:
        """A page, and how many accounts the filter finds. `order`: a name in `ORDERS`."""
        narrowed, values = where(_CONDITIONS, wanted)
        direction = "DESC" if descending else "ASC"
        place = f"LIMIT ${len(values) + 1} OFFSET ${len(values) + 2}"
        sql = f"{_SHOWN} {_FROM} {narrowed}ORDER BY {ORDERS[order]} {direction}, user_id {place}"
        rows = await q.fetch(sql, *values, limit, offset)
        total = await q.fetchval(f"SELECT count(*) {_FROM} {narrowed}", *values)
        return [ShownUser(*row) for row in rows], total

    async def change(self, q: Queries, user_id: str, change: AccountChange) -> None:
        """Password, role, type: those that are given."""
        await q.execute(
            CHANGE,
            user_id,
            change.password_hash is not None,
            change.password_hash,
            change.is_admin,
            change.sets_type,
            change.user_type,
        )

    async def own_changes(self, q: Queries, user_id: str, since_ms: int, limit: int) -> list[tuple[int, bytes]]:
        """(number of the room, event) of changes of the user's own memberships that are not older."""
        return [(row[0], row[1]) for row in await q.fetch(OWN_CHANGES, user_id, since_ms, limit)]

    async def about_others(self, q: Queries, sender: str, since_ms: int, limit: int) -> list[bytes]:
        """Changes of others' memberships that this user made: invitations, kicks, bans."""
        return [row[0] for row in await q.fetch(ABOUT_OTHERS, sender, since_ms, limit)]

    async def reactivate(self, q: Queries, user_id: str) -> bool:
        """Let a deactivated account be used again. False while its deactivation is not finished."""
        return await q.fetchval(REACTIVATE, user_id) is not None

    async def replace_threepids(self, q: Queries, user_id: str, wanted: Sequence[Threepid]) -> list[tuple[str, str]]:
        """The account's addresses are these from now on. Returns those that it lost, as medium and address."""
        media, addresses = [each.medium for each in wanted], [each.address for each in wanted]
        lost = await q.fetch(DROP_THREEPIDS, user_id, media, addresses)
        if wanted:
            await q.execute(ADD_THREEPIDS, user_id, media, addresses, wanted[0].added_ms)
        return [(row[0], row[1]) for row in lost]

    async def threepid_of_others(self, q: Queries, user_id: str, wanted: Sequence[Threepid]) -> str | None:
        """An address among these that somebody else has."""
        media, addresses = [each.medium for each in wanted], [each.address for each in wanted]
        found: str | None = await q.fetchval(THREEPIDS_OF_OTHERS, user_id, media, addresses)
        return found
