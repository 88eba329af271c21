"""Fixtures: previews of links."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.settings import Settings, UrlPreviewSettings
from tests.clock import FakeClock
from tests.dns import FakeDns
from tests.homeserver import running_homeserver, server_settings
from tests.previewing import INSIDE, PICTURES, Web
from tests.websites import Website


@pytest.fixture
def patience_ms() -> int:
    """For a page. Long, for machines that have much to do."""
    return 20_000


@pytest.fixture
def previews(patience_ms: int) -> UrlPreviewSettings:
    return UrlPreviewSettings(
        enabled=True, ip_denylist=INSIDE, host_denylist=("*.secret.example",), timeout_ms=patience_ms, max_picture=100_000,
        picture_cache=PICTURES,
    )  # fmt: skip


@pytest.fixture
async def world(
    database_dsn: str, clock: FakeClock, tmp_path: Path, previews: UrlPreviewSettings
) -> AsyncIterator[Web]:
    settings: Settings = server_settings(tmp_path, url_previews=previews)
    dns, site = FakeDns(), Website()
    async with site.running(), running_homeserver(settings, database_dsn, clock, dns=dns) as server:
        for name in ("news.example", "other.example", "xn--exmple-cua.example", "a.secret.example"):
            dns.point(name, 80, site.port)
        yield Web(server, await server.register("alice"), site, dns, clock)
