"""What mautrix leaves to its users: the rooms shared with a user, and restoring a key backup.

mautrix 0.21 opens secret storage but has no verb for key backup; its primitives are libolm's, so a backup made by another
implementation is read here by yet another one.
"""

from __future__ import annotations

import json
from typing import Any

import olm.pk
import unpaddedbase64
from mautrix.api import Method, Path
from mautrix.client import Client, MemoryStateStore
from mautrix.crypto import InboundGroupSession, MemoryCryptoStore, StateStore
from mautrix.types import CrossSigningUsage, EventType, SigningKey, TOFUSigningKey, UserID


class SharedRooms(StateStore):
    """The three questions of the Olm machine, answered by the client's own view of its rooms."""

    def __init__(self, rooms: MemoryStateStore) -> None:
        self._rooms = rooms

    async def is_encrypted(self, room_id: str) -> bool:
        return bool(await self._rooms.is_encrypted(room_id))

    async def get_encryption_info(self, room_id: str) -> Any:
        return await self._rooms.get_encryption_info(room_id)

    async def find_shared_rooms(self, user_id: str) -> list[str]:
        return [room_id for room_id, members in self._rooms.members.items() if user_id in members]


class CryptoStore(MemoryCryptoStore):
    """mautrix's own, mended: it assigns to a named tuple, and so fails when it meets a user's keys a second time."""

    async def put_cross_signing_key(self, user_id: UserID, usage: CrossSigningUsage, key: SigningKey) -> None:
        keys = self._cross_signing_keys.setdefault(user_id, {})
        first = keys[usage].first if usage in keys else key
        keys[usage] = TOFUSigningKey(key=key, first=first)


class Backup:
    def __init__(self, client: Client, store: MemoryCryptoStore) -> None:
        self._client = client
        self._store = store

    async def restore(self, recovery_key: str) -> dict[str, int]:
        """Imports every room key of the backup whose private key the recovery key unlocks."""
        key = await self._private_key(recovery_key)
        version = await self._client.api.request(Method.GET, Path.v3.room_keys.version)
        if version["auth_data"]["public_key"] != key.public_key:
            raise ValueError("the backup belongs to another key than secret storage holds")
        query = {"version": version["version"]}
        backup = await self._client.api.request(Method.GET, Path.v3.room_keys["keys"], query_params=query)
        sessions = [
            (room_id, session_id, entry["session_data"])
            for room_id, room in backup["rooms"].items()
            for session_id, entry in room["sessions"].items()
        ]
        for room_id, session_id, data in sessions:
            await self._import(room_id, session_id, json.loads(decrypt(key, data)))
        return {"total": len(sessions), "imported": len(sessions)}

    async def _private_key(self, recovery_key: str) -> olm.pk.PkDecryption:
        storage = self._client.crypto.ssss
        key_id, description = await storage.get_default_key_data()
        opened = description.verify_recovery_key(key_id, recovery_key)
        return pk_decryption(await storage.get_decrypted_account_data(EventType.MEGOLM_BACKUP_V1, opened))

    async def _import(self, room_id: str, session_id: str, data: dict[str, Any]) -> None:
        session = InboundGroupSession.import_session(
            data["session_key"],
            signing_key=data["sender_claimed_keys"]["ed25519"],
            sender_key=data["sender_key"],
            room_id=room_id,
        )
        await self._store.put_group_session(room_id, data["sender_key"], session_id, session)


def pk_decryption(private_key: bytes) -> olm.pk.PkDecryption:
    """python-olm only makes random keys; the key at hand takes the place of the random bytes."""
    random = olm.pk.URANDOM
    olm.pk.URANDOM = lambda length: private_key[:length]
    try:
        return olm.pk.PkDecryption()
    finally:
        olm.pk.URANDOM = random


def decrypt(key: olm.pk.PkDecryption, data: dict[str, str]) -> str:
    plain = {name: unpaddedbase64.encode_base64(unpaddedbase64.decode_base64(value)) for name, value in data.items()}
    return str(key.decrypt(olm.pk.PkMessage(plain["ephemeral"], plain["mac"], plain["ciphertext"])))
