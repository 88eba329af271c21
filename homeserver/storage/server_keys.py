"""Tables `server_keys` and `server_key_documents`: the keys of other servers, and how they published them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol.server_keys import PublishedKeys, ServerKey

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Parallel arrays of servers and key ids.
FIND = """
SELECT k.server_name, k.key_id, k.verify_key, k.usable_until_ms
FROM unnest($1::text[], $2::text[]) AS wanted(server_name, key_id)
JOIN server_keys k ON k.server_name = wanted.server_name AND k.key_id = wanted.key_id
"""

# Fetches may overtake each other: what was fetched later is true.
PUT = """
WITH new_document AS (
    INSERT INTO server_key_documents (server_name, fetched_ms, valid_until_ms, document) VALUES ($1, $5, $6, $7)
    ON CONFLICT (server_name, fetched_ms) DO UPDATE
    SET valid_until_ms = excluded.valid_until_ms, document = excluded.document
)
INSERT INTO server_keys (server_name, key_id, verify_key, usable_until_ms, fetched_ms)
SELECT $1, key.id, key.verify_key, key.usable_until_ms, $5
FROM unnest($2::text[], $3::bytea[], $4::bigint[]) AS key(id, verify_key, usable_until_ms)
ON CONFLICT (server_name, key_id) DO UPDATE
SET verify_key = excluded.verify_key, usable_until_ms = excluded.usable_until_ms, fetched_ms = excluded.fetched_ms
WHERE server_keys.fetched_ms <= excluded.fetched_ms
"""

# Those that are the last with some key are kept, as many as $2; others have been replaced.
FORGET_DOCUMENTS = """
DELETE FROM server_key_documents d
WHERE d.server_name = $1 AND d.fetched_ms NOT IN (
    SELECT fetched_ms FROM server_keys WHERE server_name = $1
    GROUP BY fetched_ms ORDER BY fetched_ms DESC LIMIT $2
)
"""
MAX_DOCUMENTS: Final = 5
"""Of a server; 32 KiB each at most."""

# Parallel arrays of servers and key ids. A server's newest document, and those that its wanted keys were last in.
DOCUMENTS = """
SELECT DISTINCT d.server_name, d.fetched_ms, d.valid_until_ms, d.document, k.fetched_ms IS NOT NULL AS is_wanted
FROM server_key_documents d
LEFT JOIN (
    SELECT server_name, fetched_ms FROM unnest($2::text[], $3::text[]) AS wanted(server_name, key_id)
    JOIN server_keys USING (server_name, key_id)
) k ON k.server_name = d.server_name AND k.fetched_ms = d.fetched_ms
WHERE d.server_name = ANY($1::text[]) AND (k.fetched_ms IS NOT NULL OR d.fetched_ms = (
    SELECT max(fetched_ms) FROM server_key_documents newest WHERE newest.server_name = d.server_name
))
ORDER BY d.server_name, d.fetched_ms DESC
"""


@dataclass(frozen=True, slots=True)
class KeyDocument:
    """A document as its server signed it."""

    server_name: str
    fetched_ms: int
    valid_until_ms: int
    document: bytes


class ServerKeyRows:
    """Queries over the keys of other servers."""

    async def find(self, q: Queries, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], ServerKey]:
        """By server and key id, those that are known."""
        rows = await q.fetch(FIND, [server for server, _ in wanted], [key_id for _, key_id in wanted])
        return {
            (row["server_name"], row["key_id"]): ServerKey(row["key_id"], row["verify_key"], row["usable_until_ms"])
            for row in rows
        }

    async def put(self, q: Queries, published: PublishedKeys, document: bytes, fetched_ms: int) -> None:
        """Remember all keys of a document, and the document."""
        keys = list(published.keys.values())
        await q.execute(
            PUT,
            published.server_name,
            [key.key_id for key in keys],
            [key.verify_key for key in keys],
            [key.usable_until_ms for key in keys],
            fetched_ms,
            published.valid_until_ms,
            document,
        )
        await q.execute(FORGET_DOCUMENTS, published.server_name, MAX_DOCUMENTS)

    async def documents(self, q: Queries, wanted: Mapping[str, Collection[str]]) -> list[KeyDocument]:
        """By server name the keys that are wanted of it: of each server the documents that these were last in.

        Where there is none of them, or none is wanted, its newest document.
        """
        pairs = [(server_name, key_id) for server_name, key_ids in wanted.items() for key_id in key_ids]
        servers, key_ids = [name for name, _ in pairs], [key_id for _, key_id in pairs]
        rows = await q.fetch(DOCUMENTS, list(wanted), servers, key_ids)
        answered = {row["server_name"] for row in rows if row["is_wanted"]}
        return [
            KeyDocument(row["server_name"], row["fetched_ms"], row["valid_until_ms"], row["document"])
            for row in rows
            if row["is_wanted"] or row["server_name"] not in answered
        ]
