"""POST /keys/query: the identity keys of users' devices, and their cross-signing keys as the requester may see them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol import errors
from homeserver.protocol.encryption.key_objects import with_signatures
from homeserver.services.keys.remote import OtherServersKeys, split_by_server
from homeserver.storage.cross_signing import CrossSigningKey, CrossSigningKeys, UserSignature
from homeserver.storage.device_keys import DeviceKeys, StoredDeviceKeys

if TYPE_CHECKING:
    from homeserver.services.device_lists.changes import DeviceLists
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

# Clients ask for all members of a room at once.
MAX_USERS_PER_QUERY = 20_000

KeysByUser = dict[str, orjson.Fragment]


@dataclass(slots=True)
class QueriedKeys:
    """The answer; every key is JSON. Fields are named as in the answer."""

    failures: Mapping[str, Mapping[str, Any]]
    device_keys: dict[str, dict[str, orjson.Fragment]] = field(default_factory=dict)
    master_keys: KeysByUser = field(default_factory=dict)
    self_signing_keys: KeysByUser = field(default_factory=dict)
    user_signing_keys: KeysByUser = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyQueries:
    """One verb."""

    queries: Queries
    device_keys: DeviceKeys
    cross_signing: CrossSigningKeys
    server_name: str
    others: OtherServersKeys
    device_lists: DeviceLists

    async def query(
        self, requester: Requester, wanted: Mapping[str, Collection[str]], timeout_ms: int | None = None
    ) -> QueriedKeys:
        """Keys of these users' devices, of all devices where none is named. Three statements for any number of users, and one
        more where lists of other servers' users are kept from now on.

        Whoever or whatever is unknown is missing from the answer; servers that do not answer within `timeout_ms` are
        among the failures.
        Raises InvalidParam for too many users and for what is no user id.
        """
        if len(wanted) > MAX_USERS_PER_QUERY:
            raise errors.InvalidParam(f"At most {MAX_USERS_PER_QUERY} users can be asked for at once")
        user_ids, elsewhere = split_by_server(wanted, self.server_name)
        found = QueriedKeys({})
        keys: list[CrossSigningKey] = []
        if elsewhere:
            told = await self.others.query({user_id: wanted[user_id] for user_id in elsewhere}, timeout_ms)
            found.device_keys, found.failures, keys = told.device_keys, told.failures, told.cross_signing
            await self._tell(requester.user_id, told.followed)
        if user_ids:
            await self._add_device_keys(found, user_ids, wanted)
            keys = [*keys, *await self.cross_signing.of_users(self.queries, user_ids)]
        await self._add_cross_signing_keys(found, keys, requester.user_id)
        return found

    async def _tell(self, asker: str, followed: Sequence[str]) -> None:
        """His other devices may have asked in vain before, while that server was away."""
        if followed:
            async with self.device_lists.changing(*followed, observer=asker) as change:
                await change.record(self.queries)

    async def of_our_users(self, wanted: Mapping[str, Collection[str]]) -> QueriedKeys:
        """The same for another server: of our own users only, without names of devices and without what one user sees.

        Raises InvalidParam for too many users and for what is no user id.
        """
        if len(wanted) > MAX_USERS_PER_QUERY:
            raise errors.InvalidParam(f"At most {MAX_USERS_PER_QUERY} users can be asked for at once")
        user_ids, _ = split_by_server(wanted, self.server_name)
        found = QueriedKeys({})
        for user_id, devices in (await self.device_keys.of_users(self.queries, user_ids)).items():
            named = set(wanted[user_id])
            found.device_keys[user_id] = {
                each.device_id: orjson.Fragment(each.keys) for each in devices if not named or each.device_id in named
            }
        await self._add_cross_signing_keys(found, await self.cross_signing.of_users(self.queries, user_ids), None)
        return found

    async def _add_device_keys(
        self, found: QueriedKeys, user_ids: Sequence[str], wanted: Mapping[str, Collection[str]]
    ) -> None:
        for user_id, devices in (await self.device_keys.of_users(self.queries, user_ids)).items():
            named = set(wanted[user_id])
            found.device_keys[user_id] = {
                device.device_id: _with_unsigned(device) for device in devices if not named or device.device_id in named
            }

    async def _add_cross_signing_keys(
        self, found: QueriedKeys, keys: Sequence[CrossSigningKey], reader: str | None
    ) -> None:
        if not keys:
            return
        owners = list({key.user_id for key in keys})
        made = [] if reader is None else await self.cross_signing.signatures_by(self.queries, reader, owners)
        signatures = _by_target(made)
        for key in keys:
            match key.usage:
                case "master":
                    found.master_keys[key.user_id] = _with_readers_signatures(key, reader, signatures)
                case "self_signing":
                    found.self_signing_keys[key.user_id] = orjson.Fragment(key.key)
                case "user_signing" if key.user_id == reader:
                    found.user_signing_keys[key.user_id] = orjson.Fragment(key.key)


def _with_unsigned(device: StoredDeviceKeys) -> orjson.Fragment:
    """The keys as uploaded, with `unsigned` spliced in; what is stored is an object that is never empty."""
    unsigned = {} if device.display_name is None else {"device_display_name": device.display_name}
    return orjson.Fragment(device.keys[:-1] + b',"unsigned":' + orjson.dumps(unsigned) + b"}")


def _by_target(signatures: Sequence[UserSignature]) -> dict[tuple[str, str], dict[str, str]]:
    """Signatures by key name, for each user and public key that was signed."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for each in signatures:
        found.setdefault((each.target_user_id, each.target_public_key), {})[each.signing_key_id] = each.signature
    return found


def _with_readers_signatures(
    key: CrossSigningKey, reader: str | None, signatures: Mapping[tuple[str, str], dict[str, str]]
) -> orjson.Fragment:
    """ "Along with the signatures uploaded via /keys/signatures/upload that the requesting user is allowed to see." """
    own = signatures.get((key.user_id, key.public_key))
    if own is None or reader is None:
        return orjson.Fragment(key.key)
    return orjson.Fragment(orjson.dumps(with_signatures(orjson.loads(key.key), reader, own)))
