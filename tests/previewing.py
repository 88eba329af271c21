"""Alice looks at links: a site by several names, and a server that previews its pages."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from config.settings import PRIVATE_NETWORKS
from tests.cast import Client, Expected, Server
from tests.clock import FakeClock
from tests.dns import FakeDns
from tests.websites import Website

# This machine stands for the Internet, its neighbours for the network inside.
INSIDE = ("127.0.0.2/31", *(network for network in PRIVATE_NETWORKS if network != "127.0.0.0/8"))
PICTURES = 200_000
"""Bytes that may be kept."""
NEW, OLD = "/_matrix/client/v1/media/preview_url", "/_matrix/media/v3/preview_url"


def picture(size: tuple[int, int] = (60, 40), kind: str = "PNG", **more: Any) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", size, "red").save(output, kind, **more)
    return output.getvalue()


@dataclass(slots=True)
class Web:
    """One site by several names, and a server with Alice that looks at it."""

    server: Server
    alice: Client
    site: Website
    dns: FakeDns
    clock: FakeClock

    async def preview(self, url: str, *, expect: Expected = 200, by: Client | None = None, **query: Any) -> Any:
        return await (by or self.alice).get(NEW, url=url, expect=expect, **query)

    async def nothing_of(self, url: str, status: int = 502) -> None:
        """No preview, and no more in the error than that."""
        assert (await self.preview(url, expect=status))["errcode"] in ("M_UNKNOWN", "M_INVALID_PARAM")
