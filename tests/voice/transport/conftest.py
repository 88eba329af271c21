"""A media port on loopback, as a worker has one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from voice.sfu.embedded.transport import Port, open_media_port


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    opened = await open_media_port("::", 0, ["127.0.0.1", "::1"])
    yield opened
    opened.close()
