"""POST /keys/upload: what a device publishes. Spec: "Uploading keys"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol import errors
from homeserver.protocol.encryption.device_keys import check_device_keys, merge_device_keys
from homeserver.protocol.encryption.key_objects import stored_form
from homeserver.protocol.encryption.one_time_keys import (
    PublicKey,
    is_same_key,
    parse_fallback_keys,
    parse_one_time_keys,
)
from homeserver.services.keys.counts import KeyCountCache
from homeserver.storage.device_keys import DeviceKeys, LockedDevice
from homeserver.storage.one_time_keys import Added, OneTimeKeys, TakenKey

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.device_lists.changes import DeviceListChange, DeviceLists
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database, Queries

# Clients keep 50 to 100 one-time keys of one algorithm on the server.
MAX_ONE_TIME_KEYS_PER_DEVICE = 1000
MAX_FALLBACK_KEYS = 20


@dataclass(frozen=True, slots=True)
class KeyUpload:
    """What one request brings, checked."""

    device_keys: dict[str, Any] | None = None
    one_time_keys: Sequence[PublicKey] = field(default=())
    fallback_keys: Sequence[PublicKey] = field(default=())


def parse_upload(
    user_id: str,
    device_id: str,
    device_keys: dict[str, Any] | None,
    one_time_keys: dict[str, Any],
    fallback_keys: dict[str, Any],
) -> KeyUpload:
    """Check a request's keys. Raises BadJson, InvalidParam."""
    if len(one_time_keys) > MAX_ONE_TIME_KEYS_PER_DEVICE or len(fallback_keys) > MAX_FALLBACK_KEYS:
        raise too_many_keys()
    return KeyUpload(
        check_device_keys(device_keys, user_id, device_id) if device_keys is not None else None,
        parse_one_time_keys(one_time_keys),
        parse_fallback_keys(fallback_keys),
    )


def too_many_keys() -> errors.MatrixError:
    """The error for a device that would have more keys than anybody needs."""
    return errors.InvalidParam(
        f"A device has at most {MAX_ONE_TIME_KEYS_PER_DEVICE} one-time keys and {MAX_FALLBACK_KEYS} fallback keys"
    )


@dataclass(frozen=True, slots=True)
class KeyUploads:
    """One verb, and `store`, its part inside a transaction, for devices that are made together with their keys."""

    database: Database
    device_keys: DeviceKeys
    one_time_keys: OneTimeKeys
    device_lists: DeviceLists
    counts: KeyCountCache
    clock: Clock

    async def upload(
        self,
        requester: Requester,
        device_keys: dict[str, Any] | None,
        one_time_keys: dict[str, Any],
        fallback_keys: dict[str, Any],
    ) -> Mapping[str, int]:
        """Publish keys of the requester's device, all or none. Returns its number of one-time keys by algorithm.

        Raises BadJson, InvalidParam (also where a one-time key's id belongs to another key), and UnknownToken where
        the device was deleted meanwhile.
        """
        if requester.device_id is None:
            raise errors.InvalidParam("Keys belong to a device: this request comes from none")
        device = (requester.user_id, requester.device_id)
        given = parse_upload(*device, device_keys, one_time_keys, fallback_keys)
        if given == KeyUpload():
            return (await self.counts.counts(*device)).one_time_keys
        async with self.device_lists.changing(requester.user_id) as change, self.database.transaction() as tx:
            await self.store(tx, requester.user_id, requester.device_nid, given, change)
        self.counts.changed([device])
        return (await self.counts.counts(*device)).one_time_keys

    async def store(
        self, tx: Queries, user_id: str, device_nid: int, given: KeyUpload, change: DeviceListChange
    ) -> None:
        """Store the keys; identity keys that are new are recorded as a change of the user's device list."""
        locked = await self.device_keys.lock_device(tx, device_nid)
        if locked is None:
            raise errors.UnknownToken("The device is gone")
        if given.device_keys is not None:
            await self._store_device_keys(tx, user_id, device_nid, locked, given.device_keys, change)
        if given.one_time_keys:
            await self._add_one_time_keys(tx, device_nid, given.one_time_keys)
        if given.fallback_keys:
            await self.one_time_keys.set_fallbacks(tx, device_nid, given.fallback_keys)

    async def _store_device_keys(
        self,
        tx: Queries,
        user_id: str,
        device_nid: int,
        locked: LockedDevice,
        uploaded: dict[str, Any],
        change: DeviceListChange,
    ) -> None:
        if locked.is_taken:
            # "Servers MUST not allow devices to have the same IDs as cross-signing keys."
            raise errors.Forbidden("The device is called like one of your cross-signing keys")
        before = orjson.loads(locked.keys) if locked.keys is not None else None
        merged = stored_form(merge_device_keys(before, uploaded))
        if merged == locked.keys:
            return
        await self.device_keys.store(
            tx, device_nid, merged, self.clock.now_ms(), user_id=user_id, change_position=change.position
        )  # fmt: skip
        change.is_recorded = True

    async def _add_one_time_keys(self, tx: Queries, device_nid: int, keys: Sequence[PublicKey]) -> None:
        outcome = await self._add(tx, device_nid, keys)
        if not outcome.taken:
            return
        conflicts = [taken for taken in outcome.taken if not is_same_key(taken.present, taken.given)]
        if conflicts:
            raise _conflict(conflicts[0])
        # The rest is what was not there yet, besides keys that were only signed again.
        known = {(taken.algorithm, taken.key_id) for taken in outcome.taken}
        await self._add(tx, device_nid, [key for key in keys if (key.algorithm, key.key_id) not in known])

    async def _add(self, tx: Queries, device_nid: int, keys: Sequence[PublicKey]) -> Added:
        outcome = await self.one_time_keys.add(tx, device_nid, keys, MAX_ONE_TIME_KEYS_PER_DEVICE)
        if not outcome.taken and outcome.added + outcome.repeated < len(keys):
            raise too_many_keys()
        return outcome


def _conflict(taken: TakenKey) -> errors.MatrixError:
    return errors.InvalidParam(f"The key id {taken.algorithm}:{taken.key_id} belongs to a different key already")
