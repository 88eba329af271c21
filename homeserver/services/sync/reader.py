"""What every kind of sync begins with: the reader is there, whom he ignores, his device's keys, his rooms."""

from __future__ import annotations

from typing import NamedTuple

from homeserver.services.awake import AwakeUser, AwakeUsers
from homeserver.services.requester import Requester
from homeserver.services.sync.sources import KeyCounts
from homeserver.services.sync.streams import Streams


class Reader(NamedTuple):
    """`key_counts` None: nobody asked, or there is no device."""

    ignored: frozenset[str]
    key_counts: KeyCounts | None
    user: AwakeUser


async def reader_of(streams: Streams, awake: AwakeUsers, requester: Requester, *, counted: bool = True) -> Reader:
    """His rooms last: positions that are taken before anything else is awaited are of the same moment."""
    ignored = frozenset(await streams.account_data.ignored_users(requester.user_id))
    counts = None
    if counted and requester.device_id is not None:
        counts = await streams.key_counts.counts(requester.user_id, requester.device_id)
    return Reader(ignored, counts, await awake.get(requester.user_id))


async def note_presence(streams: Streams, requester: Requester, set_presence: str) -> None:
    """A sync came in, or is still waiting."""
    if requester.device_id is not None:
        await streams.presence.seen(requester.user_id, requester.device_id, set_presence)
