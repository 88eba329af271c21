"""A running server: database, migrations, key, application, listeners. Up in this order, down in the other."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from config.errors import ConfigError
from config.settings import ListenerSettings, Settings
from homeserver.app import Application, build_application
from homeserver.commands.config import without_effect
from homeserver.commands.databases import running_database
from homeserver.commands.errors import CommandError
from homeserver.commands.signing_key import load_or_create_signing_key, signing_key_path
from homeserver.commands.signing_key_rotation import retire_old_keys
from homeserver.protocol.server_keys import ServerKey
from homeserver.services.audit.audit_log import CLI
from homeserver.services.clock import SystemClock
from homeserver.serving import Listeners, open_listeners
from homeserver.storage import server_identity
from homeserver.storage.database import Database
from homeserver.storage.pool import PoolLimits
from voice.sfu.embedded.backend import CannotStart

log = logging.getLogger(__name__)

Ready = Callable[["RunningServer"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RunningServer:
    """What is told to people once the server answers."""

    settings: Settings
    application: Application
    listeners: Listeners
    public_baseurl: str
    embedded_database: bool


def serve_until_stopped(settings: Settings, ready: Ready) -> None:
    """Serve in the foreground until SIGINT or SIGTERM. Raises CommandError where it cannot start."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_until_signal(_serve(settings, ready)))


async def _serve(settings: Settings, ready: Ready) -> None:
    async with running_server(settings) as server:
        await ready(server)
        await asyncio.Event().wait()


@asynccontextmanager
async def running_server(settings: Settings) -> AsyncIterator[RunningServer]:
    """A server that answers. Its ports open last, when everything else is ready, and close first."""
    for name in without_effect(settings):
        log.warning("%s is set, but has no effect yet", name)
    signing_key = load_or_create_signing_key(signing_key_path(settings))
    now_ms = SystemClock().now_ms()
    old_keys = retire_old_keys(signing_key_path(settings), now_ms)
    public_baseurl = settings.public_baseurl or default_baseurl(settings.listeners[0])
    async with running_database(settings) as dsn:
        database = Database(dsn, PoolLimits(max_connections=settings.database.max_connections))
        application = build_application(
            settings, database, signing_key, public_baseurl=public_baseurl, old_keys=old_keys
        )
        try:
            await claim_name(database, settings.server_name)
            await _start(application)
            await _record_retired(application, [each for each in old_keys if each.usable_until_ms == now_ms])
            # What is here now stays: the collector need not walk through all modules and endpoints again and again.
            gc.collect()
            gc.freeze()
            listeners = await _listen(application)
            try:
                yield RunningServer(settings, application, listeners, public_baseurl, settings.database.url is None)
            finally:
                await listeners.close()
        finally:
            await application.stop()


async def _start(application: Application) -> None:
    """Raises CommandError where its own sockets, those of voice, cannot be opened, or settings do not fit the database."""
    try:
        await application.start()
    except (CannotStart, ConfigError) as error:
        raise CommandError(str(error)) from error


async def _record_retired(application: Application, keys: Sequence[ServerKey]) -> None:
    """The key was changed while the server did not run: by this start it becomes true."""
    audit = application.base.audit
    for each in keys:
        await audit.record_as(audit.queries, CLI, "signing_key.retire", each.key_id)


async def claim_name(database: Database, server_name: str) -> None:
    """Raises CommandError where the database belongs to a server with another name."""
    owner = await server_identity.claim(database, server_name)
    if owner != server_name:
        raise CommandError(
            f"This database belongs to the server {owner}, but server_name is {server_name}: a server's name cannot be "
            f"changed. Please set server_name to {owner}, or choose another data_dir or database."
        )


async def _listen(application: Application) -> Listeners:
    try:
        return await open_listeners(application)
    except OSError as error:
        raise CommandError(_why_not(application.settings.listeners, error)) from error


def _why_not(listeners: Sequence[ListenerSettings], error: OSError) -> str:
    places = " or ".join(f"{each.bind} port {each.port}" for each in listeners)
    if error.errno == errno.EADDRINUSE:
        return f"Another program listens on {places} already; please stop it, or choose another port (--port)."
    if error.errno == errno.EACCES:
        return f"This user may not listen on {places}; please choose a port above 1023 (--port)."
    return f"Cannot listen on {places}: {error.strerror or error}."


async def _until_signal(serving: Coroutine[Any, Any, None]) -> None:
    """Run it until it ends or a signal asks to stop; only the first signal counts, stopping is not to be disturbed."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(serving)
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not stopping:
            raise
        log.info("stopped")


def default_baseurl(listener: ListenerSettings) -> str:
    """Where clients on this machine reach the listener."""
    everywhere = listener.bind in ("0.0.0.0", "::", "127.0.0.1", "::1")  # noqa: S104 - compared, not bound
    host = "localhost" if everywhere else f"[{listener.bind}]" if ":" in listener.bind else listener.bind
    return f"{'http' if listener.tls is None else 'https'}://{host}:{listener.port}"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
