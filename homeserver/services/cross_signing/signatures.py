"""POST /keys/signatures/upload: signatures of keys that are stored here, one verdict for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from homeserver.protocol import errors
from homeserver.services.cross_signing.judging import (
    device_signature,
    foreign_signature,
    master_key_signatures,
    merged,
)
from homeserver.storage.cross_signing import CrossSigningKey, CrossSigningKeys, UserSignature
from homeserver.storage.device_keys import DeviceKeys, Replacement, StoredDeviceKeys

if TYPE_CHECKING:
    from homeserver.services.device_lists.changes import DeviceListChange, DeviceLists
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database, Queries

MAX_SIGNED_KEYS = 1000

Signed = Mapping[str, Mapping[str, dict[str, Any]]]
"""User id -> device id or public key -> signed object."""
Failures = dict[str, dict[str, dict[str, Any]]]
"""User id -> device id or public key -> error."""


@dataclass(slots=True)
class _Stored:
    """What the signatures are about, as it was read under the signer's lock."""

    cross_signing: dict[tuple[str, str], CrossSigningKey]
    devices: dict[str, StoredDeviceKeys]

    def key(self, user_id: str, usage: str) -> CrossSigningKey | None:
        return self.cross_signing.get((user_id, usage))


@dataclass(slots=True)
class _Accepted:
    """What is to be written."""

    devices: list[Replacement] = field(default_factory=list)
    master: tuple[bytes, bytes] | None = None
    foreign: list[UserSignature] = field(default_factory=list)
    failures: Failures = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignatureUploads:
    """One verb."""

    database: Database
    keys: CrossSigningKeys
    device_keys: DeviceKeys
    device_lists: DeviceLists

    async def upload(self, requester: Requester, signed: Signed) -> Failures:
        """Add the signatures that are right and return what is wrong with the others.

        Own devices and the own master key change for everybody; what one signs of others, one alone can see.
        Raises InvalidParam for too many keys.
        """
        if sum(map(len, signed.values())) > MAX_SIGNED_KEYS:
            raise errors.InvalidParam(f"At most {MAX_SIGNED_KEYS} keys can be signed at once")
        user_id = requester.user_id
        others = [target for target in signed if target != user_id]
        async with (
            self.device_lists.changing(user_id) as own_change,
            self.device_lists.changing(*others, observer=user_id) as foreign_change,
            self.database.transaction() as tx,
        ):
            await self.keys.lock_user(tx, user_id)
            accepted = _judge(user_id, signed, await self._read(tx, user_id, signed))
            await self._write_own(tx, user_id, accepted, own_change)
            await self._write_foreign(tx, user_id, accepted, foreign_change)
        return accepted.failures

    async def _read(self, tx: Queries, user_id: str, signed: Signed) -> _Stored:
        keys = await self.keys.of_users(tx, [user_id, *signed])
        devices = (await self.device_keys.lock_of_user(tx, user_id)) if user_id in signed else []
        return _Stored(
            {(key.user_id, key.usage): key for key in keys}, {device.device_id: device for device in devices}
        )

    async def _write_own(self, tx: Queries, user_id: str, accepted: _Accepted, change: DeviceListChange) -> None:
        if accepted.devices:
            await self.device_keys.replace(tx, accepted.devices)
        if accepted.master is not None:
            await self.keys.replace(tx, user_id, "master", *accepted.master)
        if accepted.devices or accepted.master is not None:
            await change.record(tx)

    async def _write_foreign(self, tx: Queries, user_id: str, accepted: _Accepted, change: DeviceListChange) -> None:
        if accepted.foreign:
            await self.keys.add_signatures(tx, user_id, accepted.foreign)
            change.user_ids = sorted({signature.target_user_id for signature in accepted.foreign})
            await change.record(tx)


def _judge(signer: str, signed: Signed, stored: _Stored) -> _Accepted:
    accepted = _Accepted()
    for target, by_key in signed.items():
        for key_id, given in by_key.items():
            try:
                if target == signer:
                    _judge_own(accepted, signer, key_id, given, stored)
                else:
                    _judge_foreign(accepted, signer, target, key_id, given, stored)
            except errors.MatrixError as error:
                accepted.failures.setdefault(target, {})[key_id] = error.body
    return accepted


def _judge_own(accepted: _Accepted, signer: str, key_id: str, given: dict[str, Any], stored: _Stored) -> None:
    master = stored.key(signer, "master")
    if master is not None and key_id == master.public_key:
        devices = {device.device_id: device.keys for device in stored.devices.values()}
        after = merged(master.key, signer, master_key_signatures(given, master, devices))
        accepted.master = (master.key, after) if after != master.key else None
    elif key_id in stored.devices:
        device = stored.devices[key_id]
        signature = device_signature(given, device.keys, stored.key(signer, "self_signing"))
        after = merged(device.keys, signer, signature)
        if after != device.keys:
            accepted.devices.append(Replacement(device.device_nid, device.keys, after))
    else:
        raise errors.NotFound("You have neither a device nor a master key of that name")


def _judge_foreign(
    accepted: _Accepted, signer: str, target: str, key_id: str, given: dict[str, Any], stored: _Stored
) -> None:
    master = stored.key(target, "master")
    if master is None or key_id != master.public_key:
        raise errors.NotFound("That user has no master key of that name")
    for name, signature in foreign_signature(given, master, stored.key(signer, "user_signing")).items():
        accepted.foreign.append(UserSignature(target, master.public_key, name, signature))
