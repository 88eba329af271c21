"""Places in a list of results, as clients hand them back: `next_batch`.

Nothing is kept for them, so they are good for ever. They are bound to one question of one user: made up for another they
are refused, and made up well they show nothing but what he finds anyway.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, Final

import orjson

from homeserver.protocol.errors import InvalidParam
from homeserver.services.search.request import GROUP_KEYS

MAX_TOKEN_CHARACTERS: Final = 1_024
MAX_POSITION: Final = 2**62
MAX_RANK: Final = 1e6
"""Far beyond what PostgreSQL ranks anything, and within its short floating point numbers."""


@dataclass(frozen=True, slots=True)
class SearchPlace:
    """Behind which result a page begins.

    `up_to`: events that came later are not among the results. `rank` is None where the order is that of time; `count`:
    of all results, as the first page told it; None where nobody has counted. `group`: a key and its value, where only
    that group goes on.
    """

    up_to: int
    position: int
    rank: float | None
    count: int | None
    group: tuple[str, str] | None = None

    def format(self, identity: str) -> str:
        """The token as clients get it."""
        parts = [identity, self.up_to, self.position, self.rank, self.count, *(self.group or (None, None))]
        return urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def parse_place(token: str, identity: str, *, by_rank: bool) -> SearchPlace:
    """Raises InvalidParam for a token of another search, or of none."""
    parts = _parts(token)
    if len(parts) != 7 or parts[0] != identity:
        raise InvalidParam("'next_batch' is not a token of this search")
    _, up_to, position, rank, count, key, value = parts
    counts = [up_to, position] if count is None else [up_to, position, count]
    is_number = all(type(each) is int and abs(each) < MAX_POSITION for each in counts)
    is_group = (key is None and value is None) or (key in GROUP_KEYS and isinstance(value, str))
    is_rank = type(rank) is float and abs(rank) <= MAX_RANK if by_rank else rank is None
    if not is_number or not is_group or not is_rank:
        raise InvalidParam("'next_batch' is not a token of this search")
    return SearchPlace(up_to, position, rank, count, None if key is None else (key, value))


def _parts(token: str) -> list[Any]:
    if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
        raise InvalidParam("'next_batch' is not a token of this search")
    try:
        parts = orjson.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, orjson.JSONDecodeError) as error:
        raise InvalidParam("'next_batch' is not a token of this search") from error
    return parts if isinstance(parts, list) else []
