"""Files of this server leave it: the bytes too, also if the server is killed halfway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import InvalidParam, NotFound
from homeserver.services.media.thumbnails import blob_names
from homeserver.services.text_limits import is_storable
from homeserver.storage.blobs.disk import DiskBlobs
from homeserver.storage.media_removal import MediaRemovalRows

if TYPE_CHECKING:
    from homeserver.services.audit.audit_log import AuditLog
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Database

REMOVED_AT_ONCE: Final = 200
GIVEN_UP_MS: Final = 60 * 60_000
"""Whoever has condemned a blob longer ago than this is not about to remove it any more."""
# Media ids, and what is stored of them.
_MAX_CHARACTERS: Final = 255

Condemn = Callable[[int, str], Awaitable[list[str]]]
"""The next batch, at most so many, after an id."""


@dataclass(frozen=True, slots=True)
class Unused:
    """Which files nobody needs: not asked for since `before_ms`, larger than `larger_than` bytes, and where `keep_profiles`,
    not the picture of a person or a room.
    """

    before_ms: int
    larger_than: int = 0
    keep_profiles: bool = True


@dataclass(frozen=True, slots=True)
class RemoveMedia:
    """Each verb returns the media ids of what it has removed. Thumbnails go with their files."""

    database: Database
    rows: MediaRemovalRows
    blobs: DiskBlobs
    audit: AuditLog
    clock: Clock
    server_name: str

    async def one(self, requester: Requester, server_name: str, media_id: str) -> list[str]:
        """One file of this server. Raises InvalidParam, NotFound."""
        if server_name != self.server_name:
            raise InvalidParam("Only files of this server can be deleted; see purge_media_cache for others")
        if not is_storable(media_id, _MAX_CHARACTERS):
            raise NotFound("There is no such file")
        removed = await self.these([media_id])
        if not removed:
            raise NotFound("There is no such file")
        await self.audit.record(self.database, requester, "media.delete", f"mxc://{server_name}/{media_id}")
        return removed

    async def these(self, media_ids: Sequence[str]) -> list[str]:
        """Those of the files that exist; for other services, nothing is recorded."""
        condemned = await self.rows.condemn(self.database, media_ids, self.clock.now_ms())
        await self._remove(condemned)
        return condemned

    async def of_user(self, requester: Requester, user_id: str) -> list[str]:
        """Everything that a user has uploaded."""

        async def condemn(limit: int, after: str) -> list[str]:
            return await self.rows.condemn_of_user(self.database, user_id, self.clock.now_ms(), limit)

        removed = await self._all(condemn)
        await self.audit.record(self.database, requester, "media.delete_of_user", user_id, {"count": len(removed)})
        return removed

    async def unused(self, requester: Requester, which: Unused) -> list[str]:
        """What nobody needs."""
        kept: list[str] = []
        if which.keep_profiles:
            kept = await self.rows.pictures(self.database, f"mxc://{self.server_name}/")

        async def condemn(limit: int, after: str) -> list[str]:
            return await self.rows.condemn_unused(
                self.database, self.clock.now_ms(), which.before_ms, which.larger_than, limit, after, kept
            )

        removed = await self._all(condemn)
        details = {
            "count": len(removed),
            "before_ts": which.before_ms,
            "size_gt": which.larger_than,
            "keep_profiles": which.keep_profiles,
        }
        await self.audit.record(self.database, requester, "media.delete_unused", self.server_name, details)
        return removed

    async def tidy(self) -> None:
        """Housekeeping: finish what a crash has interrupted."""
        before_ms = self.clock.now_ms() - GIVEN_UP_MS
        while left := await self.rows.left_over(self.database, before_ms, REMOVED_AT_ONCE):
            await self._remove(left)

    async def _all(self, condemn: Condemn) -> list[str]:
        """Batch by batch, each with a commit of its own: whoever waits for one of these rows waits for a moment."""
        removed: list[str] = []
        while batch := await condemn(REMOVED_AT_ONCE, max(removed[-REMOVED_AT_ONCE:], default="")):
            await self._remove(batch)
            removed += batch
        return removed

    async def _remove(self, blobs: Sequence[str]) -> None:
        for blob in blobs:
            for name in (blob, *blob_names(blob)):
                await self.blobs.delete(name)
        if blobs:
            await self.rows.gone(self.database, blobs)
