"""What changed in profiles of this server, for those who share a room (MSC4262, MSC4429).

Changes have positions in the stream of account data: whoever syncs stands somewhere in that stream already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.services.account_data.stream import AccountDataStream
from homeserver.services.announcer import Announcer
from homeserver.services.awake import AwakeUsers
from homeserver.services.profiles.fields import AVATAR_URL, DISPLAYNAME, as_object
from homeserver.storage.profiles import ProfileRows, StoredProfile
from homeserver.storage.recent import RecentChanges

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

Fields = Collection[str] | None
"""Which fields are wanted; None: all."""

# In one answer. Whoever is in rooms with more people than this gets the rest as they change.
MAX_PROFILES: Final = 2_000
MAX_BYTES: Final = 4 * 1024 * 1024
"""Of their fields in one answer: each profile may have 64 KiB."""
MAX_CHANGES: Final = 10_000


@dataclass(frozen=True, slots=True)
class ProfileNews:
    """Of one user: fields that have a value now, and fields that have none any more."""

    updated: Mapping[str, Any]
    removed: Collection[str] = ()

    @property
    def flat(self) -> dict[str, Any]:
        """One object, as in MSC4429: what has no value any more is null."""
        return {**self.updated, **dict.fromkeys(self.removed)}

    @property
    def parted(self) -> dict[str, Any]:
        """Two, as in MSC4262."""
        told: dict[str, Any] = {}
        if self.updated:
            told["updated"] = self.updated
        if self.removed:
            told["removed"] = sorted(self.removed)
        return told


@dataclass(slots=True)
class ProfileWrite:
    """A change that is about to be committed at `position`; `fields` says afterwards what was changed."""

    position: int
    fields: frozenset[str] = frozenset()


@dataclass(slots=True)
class ProfileUpdates:
    """The newest changes in memory, older ones in the database."""

    queries: Queries
    rows: ProfileRows
    stream: AccountDataStream
    awake: AwakeUsers
    announcer: Announcer
    recent: RecentChanges[tuple[str, frozenset[str]]] = field(default_factory=RecentChanges)

    async def load(self) -> None:
        """After the stream of account data."""
        self.recent.load(self.stream.position.current)

    @asynccontextmanager
    async def writing(self, user_id: str) -> AsyncIterator[ProfileWrite]:
        """Around the transaction that changes a profile. Those who share a room are woken afterwards."""
        async with self.stream.position.writing(recent=self.recent) as (position,):
            write = ProfileWrite(position)
            yield write
            if write.fields:
                self.recent.add(position, (user_id, write.fields))
        if write.fields:
            self.announcer.wake(users=[user_id], rooms=await self.awake.joined_room_ids(user_id))

    async def changed(self, user_id: str, wanted: Fields, since: int, to: int) -> dict[str, ProfileNews]:
        """What changed in `(since, to]` in profiles of those who share a room with the user, and in his own.

        No statement where nothing did; otherwise at most three.
        """
        by_user = await self._changed_fields(wanted, since, to) if since < to else {}
        if not by_user:
            return {}
        near = await self.awake.shared_among(user_id, by_user.keys() - {user_id}) | {user_id}
        stored = await self.rows.of_users(self.queries, near & by_user.keys())
        return {each: _news(profile, by_user[each]) for each, profile in stored.items()}

    async def _changed_fields(self, wanted: Fields, since: int, to: int) -> dict[str, set[str]]:
        recent = self.recent.since(since, to)
        changes: Iterable[tuple[str, Iterable[str]]] = (
            recent
            if recent is not None
            else [(row[0], (row[1],)) for row in await self.rows.changed(self.queries, since, to, MAX_CHANGES)]
        )
        by_user: dict[str, set[str]] = {}
        for changed, fields in changes:
            if relevant := _wanted_of(fields, wanted):
                by_user.setdefault(changed, set()).update(relevant)
        return by_user

    async def of_rooms(self, room_nids: Collection[int], wanted: Fields) -> dict[str, ProfileNews]:
        """What profiles of people of this server in these rooms say; those that say nothing are left out."""
        if not room_nids:
            return {}
        named = wanted is None or not {DISPLAYNAME, AVATAR_URL}.isdisjoint(wanted)
        stored = await self.rows.of_members(
            self.queries, room_nids, named=named, limit=MAX_PROFILES, max_bytes=MAX_BYTES
        )
        return _all(stored, wanted)

    async def of_users(self, user_ids: Collection[str], wanted: Fields) -> dict[str, ProfileNews]:
        """The same of these users; those of other servers are left out."""
        return _all(await self.rows.of_users(self.queries, user_ids), wanted) if user_ids else {}


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[str]:
    """Names of fields that have another value, came or went."""
    return frozenset(key for key in old.keys() | new.keys() if key not in old or key not in new or old[key] != new[key])


def _all(stored: Mapping[str, StoredProfile], wanted: Fields) -> dict[str, ProfileNews]:
    found = {}
    for user_id, profile in stored.items():
        whole = as_object(profile)
        if updated := {key: whole[key] for key in _wanted_of(whole, wanted)}:
            found[user_id] = ProfileNews(updated)
    return found


def _news(profile: StoredProfile, fields: Collection[str]) -> ProfileNews:
    whole = as_object(profile)
    return ProfileNews({key: whole[key] for key in fields if key in whole}, [key for key in fields if key not in whole])


def _wanted_of(fields: Iterable[str], wanted: Fields) -> list[str]:
    return [name for name in fields if wanted is None or name in wanted]
