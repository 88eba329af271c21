"""Tables `browser_origins`, `device_origins` and `used_logout_tokens`: with which session of a provider who signed in where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

OF_BROWSER = """
INSERT INTO browser_origins (browser_id, provider, external_id, sid) VALUES ($1, $2, $3, $4)
ON CONFLICT (browser_id) DO UPDATE
SET provider = excluded.provider, external_id = excluded.external_id, sid = excluded.sid
"""

# A device that is signed in anew in another way has that way's origin, or none.
OF_DEVICE = """
WITH device AS (SELECT device_nid FROM devices WHERE user_id = $1 AND device_id = $2), gone AS (
    DELETE FROM device_origins o USING device d
    WHERE o.device_nid = d.device_nid AND NOT EXISTS (SELECT FROM browser_origins WHERE browser_id = $3)
)
INSERT INTO device_origins (device_nid, provider, external_id, sid)
SELECT d.device_nid, b.provider, b.external_id, b.sid FROM device d, browser_origins b WHERE b.browser_id = $3
ON CONFLICT (device_nid) DO UPDATE
SET provider = excluded.provider, external_id = excluded.external_id, sid = excluded.sid
"""

EXPECT = """
INSERT INTO expected_origins (user_id, device_id, provider, external_id, sid, expires_ms)
SELECT $1, $2, provider, external_id, sid, $4 FROM browser_origins WHERE browser_id = $3
ON CONFLICT (user_id, device_id) DO UPDATE
SET provider = excluded.provider, external_id = excluded.external_id, sid = excluded.sid, expires_ms = excluded.expires_ms
"""

CAME = """
WITH expected AS (
    DELETE FROM expected_origins WHERE user_id = $1 AND device_id = $2 AND expires_ms > $3
    RETURNING user_id, device_id, provider, external_id, sid
)
INSERT INTO device_origins (device_nid, provider, external_id, sid)
SELECT d.device_nid, e.provider, e.external_id, e.sid FROM expected e JOIN devices d USING (user_id, device_id)
ON CONFLICT (device_nid) DO UPDATE
SET provider = excluded.provider, external_id = excluded.external_id, sid = excluded.sid
"""

# With a session of the provider: what began with it. Without: everything of the person.
SIGNED_IN_DEVICES = """
SELECT d.user_id, d.device_id FROM device_origins o JOIN devices d USING (device_nid)
WHERE o.provider = $1 AND ($2::text IS NULL OR o.external_id = $2) AND ($3::text IS NULL OR o.sid = $3)
ORDER BY d.user_id, d.device_id
"""

END_BROWSERS = """
DELETE FROM browsers USING browser_origins o
WHERE browsers.browser_id = o.browser_id
AND o.provider = $1 AND ($2::text IS NULL OR o.external_id = $2) AND ($3::text IS NULL OR o.sid = $3)
"""

USE_TOKEN = (
    "INSERT INTO used_logout_tokens (token_hash, expires_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true"
)

FORGET_EXPIRED = """
WITH expected AS (DELETE FROM expected_origins WHERE expires_ms <= $1)
DELETE FROM used_logout_tokens WHERE expires_ms <= $1
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """A person of a provider; `sid`: the provider's session, where it names one."""

    provider: str
    external_id: str
    sid: str | None


class SignInOriginRows:
    """Queries over origins of sign-ins."""

    async def of_browser(self, q: Queries, browser_id: int, origin: Origin) -> None:
        """Somebody signed in in a browser."""
        await q.execute(OF_BROWSER, browser_id, origin.provider, origin.external_id, origin.sid)

    async def of_device(self, q: Queries, user_id: str, device_id: str, browser_id: int) -> None:
        """The device was signed in from this browser."""
        await q.execute(OF_DEVICE, user_id, device_id, browser_id)

    async def expect(self, q: Queries, user_id: str, device_id: str, browser_id: int, expires_ms: int) -> None:
        """The device will sign in, by what was agreed to in this browser."""
        await q.execute(EXPECT, user_id, device_id, browser_id, expires_ms)

    async def came(self, q: Queries, user_id: str, device_id: str, now_ms: int) -> None:
        """The device has signed in."""
        await q.execute(CAME, user_id, device_id, now_ms)

    async def devices(
        self, q: Queries, provider: str, external_id: str | None, sid: str | None
    ) -> list[tuple[str, str]]:
        """User and device, of the person and the session; None: of any."""
        return [(row[0], row[1]) for row in await q.fetch(SIGNED_IN_DEVICES, provider, external_id, sid)]

    async def end_browsers(self, q: Queries, provider: str, external_id: str | None, sid: str | None) -> None:
        """The same of browsers: they are strangers again."""
        await q.execute(END_BROWSERS, provider, external_id, sid)

    async def use_token(self, q: Queries, token_hash: bytes, expires_ms: int) -> bool:
        """False where this logout token was used before."""
        return bool(await q.fetchval(USE_TOKEN, token_hash, expires_ms))

    async def forget_expired(self, q: Queries, now_ms: int) -> None:
        """Housekeeping."""
        await q.execute(FORGET_EXPIRED, now_ms)
