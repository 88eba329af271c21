"""Table `received_transactions`: what other servers were answered, by the id they gave to what they sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

FIND = "SELECT answer FROM received_transactions WHERE origin = $1 AND transaction_id = $2"

ADD = """
INSERT INTO received_transactions (origin, transaction_id, received_ms, answer) VALUES ($1, $2, $3, $4)
ON CONFLICT (origin, transaction_id) DO NOTHING
"""

PRUNE = """
DELETE FROM received_transactions t USING (
    SELECT origin, transaction_id, row_number() OVER (PARTITION BY origin ORDER BY received_ms DESC) AS place
    FROM received_transactions
) placed
WHERE t.origin = placed.origin AND t.transaction_id = placed.transaction_id
  AND (t.received_ms < $1 OR placed.place > $2)
"""


class ReceivedTransactions:
    """Answers given."""

    async def find(self, q: Queries, origin: str, transaction_id: str) -> bytes | None:
        """The answer that this transaction got, as JSON."""
        answer: bytes | None = await q.fetchval(FIND, origin, transaction_id)
        return answer

    async def add(self, q: Queries, origin: str, transaction_id: str, received_ms: int, answer: bytes) -> None:
        """It has been dealt with."""
        await q.execute(ADD, origin, transaction_id, received_ms, answer)

    async def prune(self, q: Queries, before_ms: int, most: int) -> None:
        """Forget those received before that time, and of each server all but the newest."""
        await q.execute(PRUNE, before_ms, most)
