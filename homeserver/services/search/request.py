"""What a client searches for, checked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.filters import RoomEventFilter
from homeserver.services.search.entries import KEYS

DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 50
DEFAULT_CONTEXT: Final = 5
MAX_CONTEXT: Final = 20
MAX_FILTER_SENDERS: Final = 100
"""Of one list: the index is asked for each."""
GROUP_KEYS: Final = ("room_id", "sender")


@dataclass(frozen=True, slots=True)
class ContextWish:
    """How many events around each result, and whether their senders' profiles of then."""

    before: int = DEFAULT_CONTEXT
    after: int = DEFAULT_CONTEXT
    profiles: bool = False


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """`identity`: what a token is good for, of everything that decides which events are found, and in which order."""

    term: str
    filter: RoomEventFilter
    types: frozenset[str]
    by_rank: bool
    context: ContextWish | None
    include_state: bool
    group_by: Sequence[str]
    identity: str

    @property
    def limit(self) -> int:
        return max(1, self.filter.limit_within(DEFAULT_LIMIT, MAX_LIMIT))


def searched_types(keys: Collection[str] | None, event_filter: RoomEventFilter) -> frozenset[str]:
    """The types of events that have these texts ("Defaults to all") and that the filter wants. Raises InvalidParam."""
    unknown = set(keys or ()) - KEYS.keys()
    if unknown:
        raise InvalidParam(f"'keys' may have {', '.join(KEYS)}")
    wanted = KEYS.keys() if keys is None else keys
    return frozenset(KEYS[key] for key in wanted if event_filter.types.includes(KEYS[key]))


def check_size(event_filter: RoomEventFilter) -> None:
    """Raises InvalidParam for more senders than the index is asked for."""
    senders = event_filter.senders
    if max(len(senders.only or ()), len(senders.excluded)) > MAX_FILTER_SENDERS:
        raise InvalidParam(f"The filter may name {MAX_FILTER_SENDERS} senders at most")


def identity_of(user_id: str, *parts: Any) -> str:
    """A digest of the question and who asks it. `parts`: JSON."""
    digest = blake2b(orjson.dumps([user_id, *parts], option=orjson.OPT_SORT_KEYS), digest_size=12)
    return digest.hexdigest()
