"""Tables `one_time_keys` and `fallback_keys`: keys that are given out to start a session with a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol.encryption.one_time_keys import PublicKey

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# $1 device, $2 algorithms, $3 key ids, $4 keys, $5 the most keys a device may have.
# All or nothing: if one key id is taken by a different key, or there would be too many keys, no row is added.
ADD = """
WITH given AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY AS g(algorithm, key_id, key, place)
), present AS (
    SELECT p.algorithm, p.key_id, p.key AS present_key, g.key AS given_key
    FROM one_time_keys p LEFT JOIN given g USING (algorithm, key_id)
    WHERE p.device_nid = $1
), taken AS (
    SELECT * FROM present WHERE given_key <> present_key
), added AS (
    INSERT INTO one_time_keys (device_nid, algorithm, key_id, key)
    SELECT $1, algorithm, key_id, key FROM given
    WHERE NOT EXISTS (SELECT FROM taken)
      AND (SELECT count(*) FROM present) + (SELECT count(*) FROM given) <= $5
    ORDER BY place
    ON CONFLICT DO NOTHING
    RETURNING algorithm
)
SELECT 'taken' AS kind, algorithm, key_id, present_key, given_key, 0::bigint AS keys FROM taken
UNION ALL
SELECT 'added', algorithm, NULL, NULL, NULL, count(*) FROM added GROUP BY algorithm
UNION ALL
SELECT 'present', algorithm, NULL, NULL, NULL, count(*) FROM present GROUP BY algorithm
UNION ALL
SELECT 'repeated', NULL, NULL, NULL, NULL, count(*) FROM present WHERE given_key = present_key
"""

# The same key uploaded again stays used if it was.
SET_FALLBACKS = """
INSERT INTO fallback_keys AS f (device_nid, algorithm, key_id, key)
SELECT $1, given.* FROM unnest($2::text[], $3::text[], $4::bytea[]) AS given
ON CONFLICT (device_nid, algorithm) DO UPDATE
SET key_id = excluded.key_id, key = excluded.key,
    used = f.used AND f.key_id = excluded.key_id AND f.key = excluded.key
"""

COUNTS = """
WITH device AS (SELECT device_nid FROM devices WHERE user_id = $1 AND device_id = $2)
SELECT algorithm, count(*) AS keys, false AS fallback FROM one_time_keys JOIN device USING (device_nid) GROUP BY algorithm
UNION ALL
SELECT algorithm, 0, true FROM fallback_keys JOIN device USING (device_nid) WHERE NOT used
"""

# Written while their device was being deleted: the trigger of 0004_keys.sql could not see them yet.
FORGET_ORPHANS = (
    "DELETE FROM one_time_keys k WHERE NOT EXISTS (SELECT FROM devices d WHERE d.device_nid = k.device_nid)"
)

# One statement for a whole request. SKIP LOCKED lets requests that claim at the same moment take different keys
# instead of waiting for each other; a row that another request has just deleted is passed over in the same way.
# Fallback keys are locked in the same manner: whoever is skipped there needs no second mark.
CLAIM = """
WITH wanted AS (
    SELECT d.device_nid, w.user_id, w.device_id, w.algorithm
    FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[])) AS w(user_id, device_id, algorithm)
    JOIN devices d ON d.user_id = w.user_id AND d.device_id = w.device_id
), picked AS MATERIALIZED (
    SELECT w.device_nid, w.user_id, w.device_id, w.algorithm, k.row, k.key_id, k.key
    FROM wanted w CROSS JOIN LATERAL (
        SELECT o.ctid AS row, o.key_id, o.key FROM one_time_keys o
        WHERE o.device_nid = w.device_nid AND o.algorithm = w.algorithm
        ORDER BY o.upload_nid LIMIT 1 FOR UPDATE SKIP LOCKED
    ) k
), taken AS (
    DELETE FROM one_time_keys WHERE ctid = ANY(ARRAY(SELECT row FROM picked))
), fallbacks AS MATERIALIZED (
    SELECT w.device_nid, w.user_id, w.device_id, w.algorithm, f.key_id, f.key, f.used
    FROM wanted w JOIN fallback_keys f ON f.device_nid = w.device_nid AND f.algorithm = w.algorithm
    WHERE NOT EXISTS (SELECT FROM picked p WHERE p.device_nid = w.device_nid AND p.algorithm = w.algorithm)
), unmarked AS MATERIALIZED (
    SELECT f.ctid AS row FROM fallback_keys f
    WHERE (f.device_nid, f.algorithm) IN (SELECT device_nid, algorithm FROM fallbacks WHERE NOT used)
    FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE fallback_keys SET used = true WHERE ctid = ANY(ARRAY(SELECT row FROM unmarked))
)
SELECT device_nid, user_id, device_id, algorithm, key_id, key, false AS fallback FROM picked
UNION ALL
SELECT device_nid, user_id, device_id, algorithm, key_id, key, true FROM fallbacks
"""


@dataclass(frozen=True, slots=True)
class TakenKey:
    """A key id that already belongs to a different key."""

    algorithm: str
    key_id: str
    present: bytes
    given: bytes


@dataclass(slots=True)
class Added:
    """The outcome of adding one-time keys."""

    counts: dict[str, int] = field(default_factory=dict)
    """Unclaimed keys by algorithm, afterwards."""
    added: int = 0
    repeated: int = 0
    """Keys that were there already, exactly as given."""
    taken: list[TakenKey] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ClaimedKey:
    """A key given out. `key`: JSON."""

    device_nid: int
    user_id: str
    device_id: str
    algorithm: str
    key_id: str
    key: bytes
    fallback: bool


class OneTimeKeys:
    """Statements over one_time_keys and fallback_keys."""

    async def add(self, q: Queries, device_nid: int, keys: Sequence[PublicKey], limit: int) -> Added:
        """Add keys unless one of them is taken or the device would have more than `limit`."""
        outcome = Added()
        for row in await q.fetch(ADD, device_nid, *_columns(keys), limit):
            if row["kind"] == "taken":
                outcome.taken.append(TakenKey(row["algorithm"], row["key_id"], row["present_key"], row["given_key"]))
            elif row["kind"] == "repeated":
                outcome.repeated = row["keys"]
            else:
                outcome.counts[row["algorithm"]] = outcome.counts.get(row["algorithm"], 0) + row["keys"]
                outcome.added += row["keys"] if row["kind"] == "added" else 0
        return outcome

    async def set_fallbacks(self, q: Queries, device_nid: int, keys: Sequence[PublicKey]) -> None:
        """Set the fallback key of each algorithm given; a new key is unused."""
        await q.execute(SET_FALLBACKS, device_nid, *_columns(keys))

    async def counts(self, q: Queries, user_id: str, device_id: str) -> tuple[dict[str, int], list[str]]:
        """Unclaimed one-time keys by algorithm, and the algorithms that have an unused fallback key."""
        rows = await q.fetch(COUNTS, user_id, device_id)
        counts = {row["algorithm"]: row["keys"] for row in rows if not row["fallback"]}
        return counts, sorted(row["algorithm"] for row in rows if row["fallback"])

    async def forget_orphans(self, q: Queries) -> None:
        """Housekeeping: delete keys of devices that are gone."""
        await q.execute(FORGET_ORPHANS)

    async def claim(self, q: Queries, wanted: Sequence[tuple[str, str, str]]) -> list[ClaimedKey]:
        """Take one key for each (user id, device id, algorithm): the oldest one-time key, else the fallback key.

        Whoever has neither is left out. Atomic: no one-time key is ever given out twice.
        """
        users, devices, algorithms = (list(column) for column in zip(*wanted, strict=True))
        return [ClaimedKey(*row) for row in await q.fetch(CLAIM, users, devices, algorithms)]


def _columns(keys: Sequence[PublicKey]) -> tuple[list[str], list[str], list[bytes]]:
    return [key.algorithm for key in keys], [key.key_id for key in keys], [key.key for key in keys]
