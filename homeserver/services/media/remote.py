"""Files of other servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from homeserver.protocol.errors import NotFound

if TYPE_CHECKING:
    from homeserver.services.audit.audit_log import AuditLog
    from homeserver.services.media.downloads import FoundFile
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries


class OtherServersMedia(Protocol):
    """Implemented by federation/media/remote_media.py."""

    async def find(self, server_name: str, media_id: str, timeout_ms: int) -> FoundFile:
        """The file, fetched if need be; `timeout_ms`: how long its server may wait for an upload.

        Raises NotFound, NotYetUploaded, TooLarge, ConnectionFailed, ConnectionTimeout, BadGateway, Unavailable.
        """
        ...


class NoOtherServersMedia:
    """Where federation is switched off."""

    __slots__ = ()

    async def find(self, server_name: str, media_id: str, timeout_ms: int) -> FoundFile:
        raise NotFound("There is no such file")


class KeptFiles(Protocol):
    """Implemented by federation/media/cache.py."""

    async def purge(self, before_ms: int) -> int:
        """Remove what nobody has asked for since; returns how many files that were."""
        ...


@dataclass(frozen=True, slots=True)
class PurgeOtherServersMedia:
    """One verb, for administrators. `kept` None: there are none, federation is switched off."""

    queries: Queries
    kept: KeptFiles | None
    audit: AuditLog

    async def __call__(self, requester: Requester, before_ms: int) -> int:
        """Remove files of other servers that nobody has asked for since `before_ms`; returns how many."""
        count = 0 if self.kept is None else await self.kept.purge(before_ms)
        details = {"before_ts": before_ms, "count": count}
        await self.audit.record(self.queries, requester, "media.purge_cache", "remote", details)
        return count
