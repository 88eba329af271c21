"""Tables `server_keys` and `server_key_documents`: the keys of other servers, and how they published them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
WITH newest AS (
    INSERT INTO server_key_documents (server_name, fetched_ms, valid_until_ms, document) VALUES ($1, $5, $6, $7)
    ON CONFLICT (server_name) DO UPDATE
    SET fetched_ms = excluded.fetched_ms, valid_until_ms = excluded.valid_until_ms, document = excluded.document
    WHERE server_key_documents.fetched_ms <= excluded.fetched_ms
)
INSERT INTO server_keys (server_name, key_id, verify_key, usable_until_ms, fetched_ms)
SELECT $1, key.id, key.verify_key, key.usable_until_ms, $5
FROM unnest($2::text[], $3::bytea[], $4::bigint[]) AS key(id, verify_key, usable_until_ms)
ON CONFLICT (server_name, key_id) DO UPDATE
SET verify_key = excluded.verify_key, usable_until_ms = excluded.usable_until_ms, fetched_ms = excluded.fetched_ms
WHERE server_keys.fetched_ms <= excluded.fetched_ms
"""

DOCUMENTS = """
SELECT server_name, fetched_ms, valid_until_ms, document FROM server_key_documents WHERE server_name = ANY($1::text[])
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

    async def documents(self, q: Queries, server_names: Sequence[str]) -> list[KeyDocument]:
        """The last one of each of these servers, where there is one."""
        return [KeyDocument(*row) for row in await q.fetch(DOCUMENTS, list(server_names))]
