"""One house for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from homeserver.storage.database import Database
from tests.clock import FakeClock
from tests.services.foreign_events.houses import House, close_house, open_house


@pytest.fixture
async def house(database: Database, clock: FakeClock) -> AsyncIterator[House]:
    house = await open_house(database, clock)
    yield house
    await close_house(house)
