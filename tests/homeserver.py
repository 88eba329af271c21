"""The whole homeserver inside the test's process: real database, real sockets, a clock that tests advance."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from config.settings import (
    ListenerSettings,
    PasswordSettings,
    RateLimitSettings,
    RegistrationSettings,
    Settings,
    VoiceSettings,
)
from homeserver.app import build_application
from homeserver.protocol.server_keys import ServerKey
from homeserver.protocol.signing import SigningKey
from homeserver.serving import open_listeners
from homeserver.storage.database import Database
from homeserver.storage.pool import PoolLimits
from tests.cast import Server
from tests.clock import FakeClock
from tests.dns import FakeDns
from voice.sfu.backend import SfuBackend

SERVER_NAME = "test"
PATIENCE = aiohttp.ClientTimeout(total=60)
"""The clock stands still: a long poll that nobody wakes would wait for ever."""
SIGNING_KEY = SigningKey.from_seed("a_test", bytes(32))


def server_settings(data_dir: Path, **changes: Any) -> Settings:
    """Open registration, cheap passwords, no rate limits; anything else as given."""
    values: dict[str, Any] = {
        "server_name": SERVER_NAME,
        "data_dir": data_dir,
        "listeners": (ListenerSettings(port=0),),
        "registration": RegistrationSettings(
            enabled=True, require_verification=False, shared_secret="reg_secret", guests=True
        ),
        "passwords": PasswordSettings(hash_cost="minimum"),
        "rate_limits": RateLimitSettings(enabled=False),
        # Opens its sockets when somebody calls, and only then.
        "voice": VoiceSettings(workers=0, port=0, bind="127.0.0.1"),
    }
    return Settings(**{**values, **changes})


@asynccontextmanager
async def running_homeserver(
    settings: Settings,
    dsn: str,
    clock: FakeClock,
    sfu: SfuBackend | None = None,
    *,
    dns: FakeDns | None = None,
    signing_key: SigningKey = SIGNING_KEY,
    old_keys: Sequence[ServerKey] = (),
    public_baseurl: str = "http://localhost:8008",
) -> AsyncIterator[Server]:
    """Start, serve, stop. The first listener is the one that clients of the test use. Other servers: `dns` knows them."""
    database = Database(dsn, PoolLimits(max_connections=5, wait_seconds=5))
    application = build_application(
        settings,
        database,
        signing_key,
        public_baseurl=public_baseurl,
        clock=clock,
        sfu=sfu,
        dns=dns or FakeDns(),
        old_keys=old_keys,
    )
    await application.start()
    listeners = await open_listeners(application)
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=PATIENCE) as session:
            base_url = f"http://127.0.0.1:{listeners.ports[0]}"
            yield Server(session, base_url, settings.server_name, application, clock, listeners.ports)
    finally:
        await listeners.close()
        await application.stop()
