"""Which OAuth client a device is signed in with, and refresh tokens of such devices that are over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

ADD = """
INSERT INTO oauth_grants (device_nid, client_id, scope, granted_ms)
SELECT device_nid, $3, $4, $5 FROM devices WHERE user_id = $1 AND device_id = $2
ON CONFLICT (device_nid) DO UPDATE SET client_id = $3, scope = $4, granted_ms = $5
"""

HAS = "SELECT EXISTS (SELECT FROM oauth_grants WHERE device_nid = $1)"

OF_REFRESH_TOKEN = """
SELECT g.client_id, g.scope FROM refresh_tokens r
JOIN oauth_grants g ON g.device_nid = r.device_nid
WHERE r.token_hash = $1
"""

OF_RETIRED = """
SELECT d.user_id, d.device_id FROM retired_refresh_tokens t
JOIN devices d ON d.device_nid = t.device_nid
WHERE t.token_hash = $1
"""

OF_TOKEN = """
SELECT d.user_id, d.device_id FROM devices d WHERE d.device_nid = (
    SELECT device_nid FROM access_tokens WHERE token_hash = $1
    UNION ALL SELECT device_nid FROM refresh_tokens WHERE token_hash = $1
    UNION ALL SELECT device_nid FROM retired_refresh_tokens WHERE token_hash = $1
    LIMIT 1
)
"""

CLIENTS_OF_USER = """
SELECT d.device_id, c.metadata FROM devices d
JOIN oauth_grants g ON g.device_nid = d.device_nid
JOIN oauth_clients c ON c.client_id = g.client_id
WHERE d.user_id = $1
"""


@dataclass(frozen=True, slots=True)
class Grant:
    """Of one device."""

    client_id: str
    scope: str


@dataclass(frozen=True, slots=True)
class DeviceOfToken:
    """Whose token it is, or was."""

    user_id: str
    device_id: str


class OAuthGrantRows:
    """Queries over grants."""

    async def add(self, q: Queries, user_id: str, device_id: str, grant: Grant, now_ms: int) -> None:
        """The device has just been signed in with this client."""
        await q.execute(ADD, user_id, device_id, grant.client_id, grant.scope, now_ms)

    async def has(self, q: Queries, device_nid: int) -> bool:
        """Whether the device is signed in by OAuth."""
        return bool(await q.fetchval(HAS, device_nid))

    async def of_refresh_token(self, q: Queries, token_hash: bytes) -> Grant | None:
        """None where it is no refresh token (any more), or was not given to an OAuth client."""
        row = await q.fetchrow(OF_REFRESH_TOKEN, token_hash)
        return Grant(*row) if row else None

    async def of_retired_token(self, q: Queries, token_hash: bytes) -> DeviceOfToken | None:
        """The device that had this refresh token before its present one."""
        row = await q.fetchrow(OF_RETIRED, token_hash)
        return DeviceOfToken(*row) if row else None

    async def of_token(self, q: Queries, token_hash: bytes) -> DeviceOfToken | None:
        """The device that has this token of either kind, or had it."""
        row = await q.fetchrow(OF_TOKEN, token_hash)
        return DeviceOfToken(*row) if row else None

    async def clients_of_user(self, q: Queries, user_id: str) -> dict[str, Mapping[str, Any]]:
        """Metadata of the client of each of his devices that has one, by device id."""
        return {row[0]: orjson.loads(row[1]) for row in await q.fetch(CLIENTS_OF_USER, user_id)}
