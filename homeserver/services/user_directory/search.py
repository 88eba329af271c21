"""POST /user_directory/search: people by their names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.services.user_directory.names import parse_name_term
from homeserver.storage.user_directory import UserDirectoryRows, UserWish

if TYPE_CHECKING:
    from homeserver.services.timeline.presentation import IgnoredUsers
    from homeserver.storage.database import Queries

DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 50
LOOK_AT: Final = 2_000
"""Users with such a name, beside people of the asker's rooms, of whom is asked whether they may be shown: beyond it the term
says too little.
"""
MAX_IGNORED: Final = 1_000


@dataclass(frozen=True, slots=True)
class FoundUser:
    """As their profile says, or, of other servers, a membership."""

    user_id: str
    displayname: str | None
    avatar_url: str | None


@dataclass(frozen=True, slots=True)
class SearchUsers:
    """One verb. `catch_up`: has what changed a moment ago written first."""

    queries: Queries
    rows: UserDirectoryRows
    ignored: IgnoredUsers
    catch_up: Callable[[], Awaitable[None]]
    everybody: bool

    async def __call__(self, user_id: str, term: str, limit: int) -> tuple[Sequence[FoundUser], bool]:
        """Users, best first, and whether there are more. Raises InvalidParam.

        "Users that share a room with the requesting user", users in rooms of ours that are public or world-readable, and
        where the settings say so everybody of this server; exact names first, then beginnings, then people one knows.
        """
        wanted = parse_name_term(term)
        if not wanted.texts:
            return (), False
        await self.catch_up()
        limit = max(1, min(limit, MAX_LIMIT))
        wish = UserWish(
            wanted.grams, wanted.whole_words, wanted.texts, wanted.whole, wanted.server_begins, user_id, self.everybody,
            sorted(await self.ignored(user_id))[:MAX_IGNORED], limit + 1, LOOK_AT,
        )  # fmt: skip
        found = [FoundUser(*row) for row in await self.rows.search(self.queries, wish)]
        return found[:limit], len(found) > limit
