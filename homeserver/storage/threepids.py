"""Tables `user_threepids` and `threepid_bindings`: addresses of accounts, and who else was told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# The newer proof of an address that the account has already counts; nobody else's address is taken.
ADD = """
INSERT INTO user_threepids AS t (medium, address, user_id, validated_ms, added_ms)
SELECT $1, $2, user_id, $4, $5 FROM users WHERE user_id = $3 AND deactivated_ms IS NULL
ON CONFLICT (medium, address) DO UPDATE SET validated_ms = excluded.validated_ms WHERE t.user_id = excluded.user_id
RETURNING true
"""

REMOVE = "DELETE FROM user_threepids WHERE user_id = $1 AND medium = $2 AND address = $3 RETURNING true"

BIND = """
INSERT INTO threepid_bindings (user_id, medium, address, id_server, bound_ms) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""

BINDINGS = """
SELECT medium, address, id_server FROM threepid_bindings WHERE user_id = $1 ORDER BY bound_ms, address LIMIT $2
"""

BINDINGS_OF_ADDRESS = """
SELECT medium, address, id_server FROM threepid_bindings
WHERE user_id = $1 AND medium = $2 AND address = $3 ORDER BY bound_ms LIMIT $4
"""

BINDING_COUNT = "SELECT count(*) FROM threepid_bindings WHERE user_id = $1"

UNBIND = "DELETE FROM threepid_bindings WHERE user_id = $1 AND medium = $2 AND address = $3 AND id_server = $4"

FORGET = "DELETE FROM threepid_bindings WHERE user_id = $1"


@dataclass(frozen=True, slots=True)
class Binding:
    """An identity server knows whose address this is."""

    medium: str
    address: str
    id_server: str


class ThreepidRows:
    """Queries over addresses of accounts."""

    async def add(
        self, q: Queries, medium: str, address: str, user_id: str, validated_ms: int, now_ms: int
    ) -> bool:  # fmt: skip
        """Give an account an address; False where it is another account's, or this one is gone."""
        return bool(await q.fetchval(ADD, medium, address, user_id, validated_ms, now_ms))

    async def remove(self, q: Queries, user_id: str, medium: str, address: str) -> bool:
        """Take it away; False where the account does not have it."""
        return bool(await q.fetchval(REMOVE, user_id, medium, address))


class BindingRows:
    """Queries over bindings."""

    async def add(self, q: Queries, user_id: str, binding: Binding, now_ms: int) -> None:
        """An identity server was told."""
        await q.execute(BIND, user_id, binding.medium, binding.address, binding.id_server, now_ms)

    async def of_user(self, q: Queries, user_id: str, limit: int) -> list[Binding]:
        """Oldest first."""
        return [Binding(*row) for row in await q.fetch(BINDINGS, user_id, limit)]

    async def of_address(self, q: Queries, user_id: str, medium: str, address: str, limit: int) -> list[Binding]:
        """Oldest first."""
        return [Binding(*row) for row in await q.fetch(BINDINGS_OF_ADDRESS, user_id, medium, address, limit)]

    async def count(self, q: Queries, user_id: str) -> int:
        """How many bindings there are."""
        return int(await q.fetchval(BINDING_COUNT, user_id))

    async def remove_all(self, q: Queries, user_id: str) -> None:
        """None is remembered."""
        await q.execute(FORGET, user_id)

    async def remove(self, q: Queries, user_id: str, binding: Binding) -> None:
        """The identity server was told otherwise."""
        await q.execute(UNBIND, user_id, binding.medium, binding.address, binding.id_server)
