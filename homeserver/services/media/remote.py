"""Files of other servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from homeserver.protocol.errors import NotFound

if TYPE_CHECKING:
    from homeserver.services.media.downloads import FoundFile


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
