"""GET /preview_url. Client-server API, "Content repository"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from homeserver.protocol import errors

Facts: TypeAlias = Mapping[str, Any]
"""OpenGraph properties; `og:image` is one of our mxc:// URIs, `matrix:image:size` its bytes."""


class UrlPreviews(Protocol):
    """Implemented by federation/web/previews.py."""

    async def preview(self, user_id: str, url: str, at_ms: int | None) -> Facts:
        """What the page says of itself, if possible as it was at `at_ms`; nothing where it says nothing.

        Raises InvalidParam for what is no address of a page, BadGateway for a page that cannot be had, Unavailable.
        """
        ...


class NoUrlPreviews:
    """Where the administrator has not switched them on: as if the endpoint were not there, which clients know."""

    __slots__ = ()

    async def preview(self, user_id: str, url: str, at_ms: int | None) -> Facts:
        raise errors.Unrecognized("This server does not look at links (settings: url_previews.enabled)")
