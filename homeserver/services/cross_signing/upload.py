"""POST /keys/device_signing/upload: a user's three keys, set for the first time or replaced. Spec: "Cross-signing"."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol import errors
from homeserver.protocol.encryption.cross_signing_keys import (
    Usage,
    check_signed,
    cross_signer,
    parse_cross_signing_key,
)
from homeserver.protocol.encryption.key_objects import signatures_of, stored_form
from homeserver.storage.cross_signing import CrossSigningKey, CrossSigningKeys
from homeserver.storage.device_keys import DeviceKeys

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.device_lists.changes import DeviceListChange, DeviceLists
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database, Queries

Given = Mapping[Usage, CrossSigningKey]
Prove = Callable[[], Awaitable[object]]
"""Asks for user-interactive authentication: raises until it is done."""


@dataclass(frozen=True, slots=True)
class CrossSigningUploads:
    """One verb."""

    database: Database
    keys: CrossSigningKeys
    device_keys: DeviceKeys
    device_lists: DeviceLists
    clock: Clock

    async def upload(self, requester: Requester, given: Mapping[Usage, dict[str, Any]], prove: Prove) -> None:
        """Store the given keys. `prove` is called where keys that exist would be replaced or added to.

        Raises what `prove` raises, InvalidParam, BadJson, InvalidSignature, MissingParam without a master key, and
        Forbidden for a key that is called like a device.
        """
        keys = _parse(requester.user_id, given)
        if not keys:
            return
        is_proved = requester.appservice_id is not None
        if not await self._store(requester.user_id, keys, is_proved):
            await prove()
            await self._store(requester.user_id, keys, is_proved=True)

    async def user_deactivated(self, user_id: str, erase: bool) -> None:
        """Hook of services/accounts: nobody is to trust these keys any more."""
        async with self.device_lists.changing(user_id) as change, self.database.transaction() as tx:
            await self.keys.forget(tx, user_id, ["master", "self_signing", "user_signing"])
            await change.record(tx)

    async def _store(self, user_id: str, given: Given, is_proved: bool) -> bool:
        """False where this needs a proof. Decided under a lock: of two first uploads only one is the first."""
        async with self.device_lists.changing(user_id) as change, self.database.transaction() as tx:
            await self.keys.lock_user(tx, user_id)
            stored = {key.usage: key for key in await self.keys.of_users(tx, [user_id])}
            new = _new(given, stored)
            if not new:
                return True
            _check_signed_by(given, given.get("master") or stored.get("master"))
            if await self.device_keys.has_device(tx, user_id, [key.public_key for key in new.values()]):
                raise errors.Forbidden("One of the keys is called like one of your devices")
            if "master" in stored and not is_proved:
                return False
            await self._write(tx, user_id, new, stored, change)
        return True

    async def _write(
        self,
        tx: Queries,
        user_id: str,
        new: Given,
        stored: Given,
        change: DeviceListChange,
    ) -> None:
        outdated = _outdated(new, stored)
        if outdated:
            await self.keys.forget(tx, user_id, outdated)
        await self.keys.store(tx, user_id, list(new.values()), self.clock.now_ms())
        if set(new) == {"user_signing"}:
            # "User-signing keys are only visible to the user that they belong to."
            change.observer = user_id
        await change.record(tx)


def _parse(user_id: str, given: Mapping[Usage, dict[str, Any]]) -> dict[Usage, CrossSigningKey]:
    keys: dict[Usage, CrossSigningKey] = {}
    for usage, key in given.items():
        public_key = parse_cross_signing_key(key, user_id, usage)
        keys[usage] = CrossSigningKey(user_id, usage, public_key, stored_form(_with_own_signatures(key, user_id)))
    if len({key.public_key for key in keys.values()}) < len(keys):
        raise errors.InvalidParam("The three cross-signing keys must be three different keys")
    return keys


def _with_own_signatures(key: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Without what others are said to have signed: everybody would see it under their names."""
    own = signatures_of(key, user_id)
    rest = {name: item for name, item in key.items() if name != "signatures"}
    return {**rest, "signatures": {user_id: own}} if own else rest


def _check_signed_by(given: Given, master: CrossSigningKey | None) -> None:
    """ "Must be signed by the accompanying master signing key, or by the user's most recently uploaded" one."""
    for usage, key in given.items():
        if usage == "master":
            continue
        if master is None:
            raise errors.MissingParam("There is no master signing key, neither here nor in the request")
        check_signed(orjson.loads(key.key), cross_signer(key.user_id, master.public_key))


def _new(given: Given, stored: Given) -> Given:
    """The keys that are not stored yet. A new master key makes all of them new: they are signed by it now."""
    changed = {usage: key for usage, key in given.items() if not _is_same(stored.get(usage), key)}
    return given if "master" in changed else changed


def _is_same(stored: CrossSigningKey | None, given: CrossSigningKey) -> bool:
    return stored is not None and stored.public_key == given.public_key


def _outdated(new: Given, stored: Given) -> Sequence[Usage]:
    """Stored keys whose meaning ends: those replaced by others, and those that only a former master key had signed."""
    dependent: tuple[Usage, ...] = ("self_signing", "user_signing")
    return [
        usage
        for usage in dependent
        if usage in stored and (not _is_same(stored[usage], new[usage]) if usage in new else "master" in new)
    ]
