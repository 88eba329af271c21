"""Files that nobody gets, of this server and of others: by name, and by contents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.protocol.identifiers import is_server_name
from homeserver.services.media.room_media import FilesOfRoom
from homeserver.services.text_limits import is_storable
from homeserver.storage.quarantine import FileRecord, QuarantineRows

if TYPE_CHECKING:
    from homeserver.services.audit.audit_log import AuditLog
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database

MAX_MEDIA_ID_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Quarantine:
    """For administrators. The bytes stay on the disk, as evidence; the downloads look here."""

    database: Database
    rows: QuarantineRows
    files_of_room: FilesOfRoom
    audit: AuditLog
    clock: Clock
    server_name: str

    async def put(self, requester: Requester, server_name: str, media_id: str) -> None:
        """One file; one of another server may not be here yet. Raises NotFound, InvalidParam; Forbidden for a protected one."""
        self._check_name(server_name, media_id)
        if server_name == self.server_name:
            record = await self.record(server_name, media_id)
            if record.protected:
                raise errors.Forbidden("The file is protected from quarantine")
        async with self.database.transaction() as tx:
            now_ms = self.clock.now_ms()
            await self.rows.add(tx, [(server_name, media_id)], requester.user_id, now_ms, self.server_name)
            await self.audit.record(tx, requester, "media.quarantine", f"mxc://{server_name}/{media_id}")

    async def release(self, requester: Requester, server_name: str, media_id: str) -> None:
        """Take one file out, and everything with the same contents. Raises InvalidParam."""
        self._check_name(server_name, media_id)
        async with self.database.transaction() as tx:
            await self.rows.release(tx, server_name, media_id, self.server_name)
            await self.audit.record(tx, requester, "media.unquarantine", f"mxc://{server_name}/{media_id}")

    async def put_room(self, requester: Requester, room_id: str) -> int:
        """All files that a room's readable events name; returns how many came in. Raises NotFound, TooLarge."""
        files = await self.files_of_room(room_id)
        async with self.database.transaction() as tx:
            count = await self.rows.add(tx, sorted(files), requester.user_id, self.clock.now_ms(), self.server_name)
            await self.audit.record(tx, requester, "media.quarantine_room", room_id, {"count": count})
        return count

    async def put_user(self, requester: Requester, user_id: str) -> int:
        """All files that a user of this server has uploaded; returns how many came in."""
        async with self.database.transaction() as tx:
            now_ms = self.clock.now_ms()
            count = await self.rows.add_of_user(tx, user_id, requester.user_id, now_ms, self.server_name)
            await self.audit.record(tx, requester, "media.quarantine_user", user_id, {"count": count})
        return count

    async def protect(self, requester: Requester, media_id: str, protected: bool) -> None:
        """A file of this server is served whatever is done to others with its contents. Raises NotFound."""
        self._check_name(self.server_name, media_id)
        action = "media.protect" if protected else "media.unprotect"
        async with self.database.transaction() as tx:
            if not await self.rows.protect(tx, media_id, protected):
                raise errors.NotFound("There is no such file")
            await self.audit.record(tx, requester, action, f"mxc://{self.server_name}/{media_id}")

    async def record(self, server_name: str, media_id: str) -> FileRecord:
        """What is known of a file that is here. Raises NotFound, InvalidParam."""
        self._check_name(server_name, media_id)
        record = await self.rows.record(self.database, server_name, media_id, self.server_name)
        if record is None:
            raise errors.NotFound("There is no such file")
        return record

    def _check_name(self, server_name: str, media_id: str) -> None:
        if not (server_name == self.server_name or is_server_name(server_name)):
            raise errors.InvalidParam("This is no name of a server")
        if not media_id or not is_storable(media_id, MAX_MEDIA_ID_CHARACTERS):
            raise errors.InvalidParam("This is no media id")
