"""/room_keys/version: a user's backups, of which the newest is the current one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol import errors
from homeserver.services.text_limits import check_text
from homeserver.storage.key_backups import BackupVersion, KeyBackups

if TYPE_CHECKING:
    from homeserver.storage.database import Database

MEGOLM_BACKUP = "m.megolm_backup.v1.curve25519-aes-sha2"
MAX_ALGORITHM_CHARACTERS = 255
# A public key and some signatures; the user's master key and each of his devices may sign it.
MAX_AUTH_DATA_BYTES = 64 * 1024
# 18 digits: always within the database's bigint.
MAX_VERSION_DIGITS = 18


def parse_version(text: str) -> int | None:
    """The number of a version; None for what was never one."""
    if len(text) > MAX_VERSION_DIGITS or not (text.isascii() and text.isdigit()) or str(int(text)) != text:
        return None
    return int(text)


def unknown_version() -> errors.MatrixError:
    """The error for a version that does not exist (any more)."""
    return errors.NotFound("Unknown backup version")


@dataclass(frozen=True, slots=True)
class BackupVersions:
    """Verbs over the versions of a user's backup."""

    database: Database
    backups: KeyBackups

    async def create(self, user_id: str, algorithm: str, auth_data: Any) -> str:
        """Make a new backup, the current one from now on. Returns its version. Raises BadJson, InvalidParam."""
        check_text(algorithm, "algorithm", MAX_ALGORITHM_CHARACTERS)
        encoded = _encode(algorithm, auth_data)
        async with self.database.transaction() as tx:
            return str(await self.backups.create_version(tx, user_id, algorithm, encoded))

    async def current(self, user_id: str) -> BackupVersion:
        """The current backup. Raises NotFound."""
        backup = await self.backups.current(self.database, user_id)
        if backup is None:
            raise errors.NotFound("No current backup version")
        return backup

    async def get(self, user_id: str, version: str) -> BackupVersion:
        """One backup. Raises NotFound."""
        number = parse_version(version)
        backup = None if number is None else await self.backups.version(self.database, user_id, number)
        if backup is None:
            raise unknown_version()
        return backup

    async def update(
        self, user_id: str, version: str, algorithm: str, auth_data: Any, named: str | None = None
    ) -> None:
        """Replace the public data. "The algorithm must be the same", and so must `named`, the version in the body.

        Raises NotFound, BadJson, InvalidParam.
        """
        if named is not None and named != version:
            raise errors.InvalidParam("The version in the body is another than the one in the path")
        encoded = _encode(algorithm, auth_data)
        backup = await self.get(user_id, version)
        if backup.algorithm != algorithm:
            raise errors.InvalidParam("Algorithm does not match")
        await self.backups.update_auth_data(self.database, user_id, backup.version, encoded)

    async def delete(self, user_id: str, version: str) -> None:
        """Delete a backup with its keys. Raises NotFound unless there is or was such a version."""
        number = parse_version(version)
        if number is None:
            raise unknown_version()
        async with self.database.transaction() as tx:
            if await self.backups.lock_version(tx, user_id, number) is not None:
                await self.backups.delete_version(tx, user_id, number)
            elif not await self.backups.ever_had(tx, user_id, number):
                raise unknown_version()

    async def user_deactivated(self, user_id: str, erase: bool) -> None:
        """Hook of services/accounts: nobody can come back for the keys."""
        await self.backups.delete_all(self.database, user_id)


def _encode(algorithm: str, auth_data: Any) -> bytes:
    """ "Algorithm-dependent data": an object in the algorithm of the spec, whatever a client likes in others."""
    if algorithm == MEGOLM_BACKUP and not isinstance(auth_data, dict):
        raise errors.BadJson("'auth_data' must be an object")
    encoded = orjson.dumps(auth_data)
    if len(encoded) > MAX_AUTH_DATA_BYTES:
        raise errors.InvalidParam(f"'auth_data' has at most {MAX_AUTH_DATA_BYTES} bytes")
    return encoded
