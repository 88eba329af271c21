"""/room_keys/keys: the keys in a backup, stored and read for all rooms, one room or one session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.key_backup.versions import parse_version, unknown_version
from homeserver.services.text_limits import check_text, is_storable
from homeserver.storage.key_backups import BackedUpKey, BackupState, KeyBackups

if TYPE_CHECKING:
    from homeserver.storage.database import Database, Queries

# Clients send 100 to 200 at once; an import of years of history is many requests.
MAX_KEYS_PER_REQUEST = 20_000
MAX_ID_CHARACTERS = 255
# An exported session with its forwarding chain, encrypted and in base64, is below 2 KiB.
MAX_SESSION_DATA_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class BackedUpKeys:
    """Verbs over the keys of one version. Room and session None mean all of them."""

    database: Database
    backups: KeyBackups

    async def store(self, user_id: str, version: str, keys: Sequence[BackedUpKey]) -> BackupState:
        """Store each key that is better than the one stored for its session. Two statements for any number.

        Raises WrongRoomKeysVersion unless the version is the current one, NotFound if it never was, InvalidParam.
        """
        _check(keys)
        number = parse_version(version)
        async with self.database.transaction() as tx:
            locked = None if number is None else await self.backups.lock_version(tx, user_id, number)
            if locked is None or locked[1] != number:
                raise await self._wrong_version(tx, user_id, number)
            if not keys:
                return BackupState(locked[0].etag, locked[0].key_count)
            return await self.backups.store_keys(tx, user_id, number, keys)

    async def _wrong_version(self, q: Queries, user_id: str, number: int | None) -> errors.MatrixError:
        """ "Keys can only be written to the most recently created version of the backup." """
        current = await self.backups.current(q, user_id)
        if number is None or current is None or not await self.backups.ever_had(q, user_id, number):
            return unknown_version()
        return errors.WrongRoomKeysVersion("Wrong backup version.", current_version=str(current.version))

    async def get(
        self, user_id: str, version: str, room_id: str | None = None, session_id: str | None = None
    ) -> list[BackedUpKey]:
        """Keys of a backup. Raises NotFound where there is no such backup."""
        number = parse_version(version)
        if number is None or not _can_exist(room_id, session_id):
            raise unknown_version() if number is None else errors.NotFound("Key not found.")
        found = await self.backups.keys(self.database, user_id, number, room_id, session_id)
        if found is None:
            raise unknown_version()
        return found

    async def get_one(self, user_id: str, version: str, room_id: str, session_id: str) -> BackedUpKey:
        """The key of one session. Raises NotFound."""
        found = await self.get(user_id, version, room_id, session_id)
        if not found:
            raise errors.NotFound("Key not found.")
        return found[0]

    async def delete(
        self, user_id: str, version: str, room_id: str | None = None, session_id: str | None = None
    ) -> BackupState:
        """Delete keys; those that are not there are no error. Raises NotFound where there is no such backup."""
        number = parse_version(version)
        async with self.database.transaction() as tx:
            locked = None if number is None else await self.backups.lock_version(tx, user_id, number)
            if locked is None:
                raise unknown_version()
            if not _can_exist(room_id, session_id):
                return BackupState(locked[0].etag, locked[0].key_count)
            return await self.backups.delete_keys(tx, user_id, locked[0].version, room_id, session_id)


def _can_exist(*names: str | None) -> bool:
    return all(name is None or is_storable(name, MAX_ID_CHARACTERS) for name in names)


def _check(keys: Sequence[BackedUpKey]) -> None:
    if len(keys) > MAX_KEYS_PER_REQUEST:
        raise errors.InvalidParam(f"At most {MAX_KEYS_PER_REQUEST} keys can be stored at once")
    for key in keys:
        check_text(key.room_id, "room id", MAX_ID_CHARACTERS)
        check_text(key.session_id, "session id", MAX_ID_CHARACTERS)
        if len(key.session_data) > MAX_SESSION_DATA_BYTES:
            raise errors.InvalidParam(f"'session_data' has at most {MAX_SESSION_DATA_BYTES} bytes")
