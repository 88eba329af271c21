"""POST /keys/claim: one key of each wanted device, to begin a session with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol import errors
from homeserver.services.keys.counts import KeyCountCache
from homeserver.services.keys.remote import OtherServersKeys, split_by_server
from homeserver.storage.one_time_keys import OneTimeKeys

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

# A claim for every device of a large room; clients send some hundred at once.
MAX_KEYS_PER_CLAIM = 10_000

Wanted = Mapping[str, Mapping[str, str]]
"""User id -> device id -> algorithm."""


@dataclass(slots=True)
class ClaimedKeys:
    """The answer. `one_time_keys`: user id -> device id -> key name -> key in JSON."""

    failures: Mapping[str, Mapping[str, Any]]
    one_time_keys: dict[str, dict[str, dict[str, orjson.Fragment]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyClaims:
    """One verb."""

    queries: Queries
    keys: OneTimeKeys
    counts: KeyCountCache
    server_name: str
    others: OtherServersKeys

    async def claim(self, wanted: Wanted, timeout_ms: int | None = None) -> ClaimedKeys:
        """Take the oldest one-time key of each device, or its fallback key. One statement for any number.

        No one-time key is given out twice. Devices that are unknown or have no such key are missing from the answer.
        Raises InvalidParam for too many devices and for what is no user id.
        """
        if sum(map(len, wanted.values())) > MAX_KEYS_PER_CLAIM:
            raise errors.InvalidParam(f"At most {MAX_KEYS_PER_CLAIM} keys can be claimed at once")
        user_ids, elsewhere = split_by_server(wanted, self.server_name)
        found = ClaimedKeys({})
        if elsewhere:
            told = await self.others.claim({user_id: wanted[user_id] for user_id in elsewhere}, timeout_ms)
            found = ClaimedKeys(told.failures, told.one_time_keys)
        devices = [(user_id, *device) for user_id in user_ids for device in wanted[user_id].items()]
        if devices:
            await self._claim(found, devices)
        return found

    async def of_our_users(self, wanted: Wanted) -> ClaimedKeys:
        """The same for another server, which is asked for our own users only. Raises InvalidParam."""
        local, _ = split_by_server(wanted, self.server_name)
        return await self.claim({user_id: wanted[user_id] for user_id in local})

    async def _claim(self, found: ClaimedKeys, devices: list[tuple[str, str, str]]) -> None:
        claimed = await self.keys.claim(self.queries, devices)
        for each in claimed:
            by_device = found.one_time_keys.setdefault(each.user_id, {})
            by_device[each.device_id] = {f"{each.algorithm}:{each.key_id}": orjson.Fragment(each.key)}
        self.counts.changed({(each.user_id, each.device_id) for each in claimed})
