"""Column `valid_until_ms` of `users`, and table `account_renewals`: when accounts end, and links that renew them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# Not all at once: somebody has to answer the mails about it.
BEGIN = """
UPDATE users SET valid_until_ms = $1::bigint - (random() * $2::bigint)::bigint
WHERE valid_until_ms IS NULL AND NOT is_guest AND NOT is_admin AND appservice_id IS NULL AND deactivated_ms IS NULL
"""

SET = """
WITH ended AS (DELETE FROM account_renewals WHERE user_id = $1)
UPDATE users SET valid_until_ms = $2 WHERE user_id = $1 AND deactivated_ms IS NULL RETURNING true
"""

DUE = """
SELECT u.user_id, u.valid_until_ms, array_agg(t.address ORDER BY t.added_ms)
FROM users u JOIN user_threepids t ON t.user_id = u.user_id AND t.medium = 'email'
WHERE u.valid_until_ms > $1 AND u.valid_until_ms <= $2 AND u.deactivated_ms IS NULL
    AND NOT EXISTS (SELECT FROM account_renewals r WHERE r.user_id = u.user_id AND r.valid_until_ms = u.valid_until_ms)
GROUP BY u.user_id ORDER BY u.valid_until_ms, u.user_id LIMIT $3
"""

OF_USER = """
SELECT u.user_id, u.valid_until_ms, array_agg(t.address ORDER BY t.added_ms) FILTER (WHERE t.address IS NOT NULL)
FROM users u LEFT JOIN user_threepids t ON t.user_id = u.user_id AND t.medium = 'email'
WHERE u.user_id = $1 AND u.valid_until_ms IS NOT NULL AND u.deactivated_ms IS NULL
GROUP BY u.user_id
"""

ADD_LINKS = """
WITH older AS (DELETE FROM account_renewals WHERE user_id = ANY($2::text[]))
INSERT INTO account_renewals (token_hash, user_id, valid_until_ms, sent_ms)
SELECT each.token_hash, each.user_id, each.valid_until_ms, $4
FROM unnest($1::bytea[], $2::text[], $3::bigint[]) AS each (token_hash, user_id, valid_until_ms)
"""

_USABLE = """
FROM account_renewals r JOIN users u ON u.user_id = r.user_id AND u.valid_until_ms = r.valid_until_ms
WHERE r.token_hash = $1 AND u.deactivated_ms IS NULL
"""

OWNER_OF_LINK = f"SELECT u.user_id {_USABLE}"

USE_LINK = f"""
WITH owner AS (SELECT u.user_id {_USABLE}
), used AS (
    DELETE FROM account_renewals USING owner WHERE account_renewals.user_id = owner.user_id RETURNING owner.user_id
)
UPDATE users SET valid_until_ms = $2 FROM used WHERE users.user_id = used.user_id RETURNING users.user_id
"""


@dataclass(frozen=True, slots=True)
class EndingAccount:
    """An account that ends, and where its owner can be written to."""

    user_id: str
    valid_until_ms: int
    addresses: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class RenewalLink:
    """The token of a link, as SHA-256, and the end of the account for which it is."""

    token_hash: bytes
    user_id: str
    valid_until_ms: int


class AccountValidityRows:
    """Queries over the ends of accounts."""

    async def begin(self, q: Queries, latest_ms: int, spread_ms: int) -> None:
        """Give an end to accounts of people that have none, `spread_ms` before the latest or later."""
        await q.execute(BEGIN, latest_ms, spread_ms)

    async def set(self, q: Queries, user_id: str, valid_until_ms: int) -> bool:
        """Another end; links for the one before are worth nothing. False where there is no such account."""
        return bool(await q.fetchval(SET, user_id, valid_until_ms))

    async def due(self, q: Queries, from_ms: int, to_ms: int, limit: int) -> list[EndingAccount]:
        """Accounts with an e-mail address that end in this time and for whose end no link was made."""
        return [EndingAccount(*row) for row in await q.fetch(DUE, from_ms, to_ms, limit)]

    async def of_user(self, q: Queries, user_id: str) -> EndingAccount | None:
        """None where the account does not end."""
        row = await q.fetchrow(OF_USER, user_id)
        return EndingAccount(*row) if row else None

    async def add_links(self, q: Queries, links: Sequence[RenewalLink], now_ms: int) -> None:
        """One of each user, in the place of his older ones."""
        hashes, user_ids = [link.token_hash for link in links], [link.user_id for link in links]
        await q.execute(ADD_LINKS, hashes, user_ids, [link.valid_until_ms for link in links], now_ms)

    async def owner_of_link(self, q: Queries, token_hash: bytes) -> str | None:
        """Whose account the link would renew; None where it is worth nothing (any more)."""
        owner: str | None = await q.fetchval(OWNER_OF_LINK, token_hash)
        return owner

    async def use_link(self, q: Queries, token_hash: bytes, valid_until_ms: int) -> str | None:
        """Renew the account of the link, which is used up. The user id, or None."""
        owner: str | None = await q.fetchval(USE_LINK, token_hash, valid_until_ms)
        return owner
