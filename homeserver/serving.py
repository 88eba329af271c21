"""Sockets around an application: one aiohttp server a listener, opened last and closed first."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from config.settings import ListenerSettings, TlsSettings
from homeserver.app import Application
from homeserver.composition.edge import build_edge
from homeserver.http.edge import Edge
from homeserver.http.server import EdgeServer

BACKLOG = 1024
# How long running requests may take to end when the server stops.
SHUTDOWN_TIMEOUT_S = 10.0


@dataclass(slots=True)
class Listeners:
    """Open listeners."""

    runners: list[web.ServerRunner]
    edges: list[Edge]
    ports: list[int]
    """The ports in use, in the order of the settings; what was configured as 0 has a number here."""

    async def close(self) -> None:
        """Stop listening, give up long polls, wait for the rest."""
        for runner in self.runners:
            for site in list(runner.sites):
                await site.stop()
        for edge in self.edges:
            edge.give_up_waiting()
        await asyncio.gather(*(runner.cleanup() for runner in self.runners))


async def open_listeners(application: Application, settings: Sequence[ListenerSettings] | None = None) -> Listeners:
    """Listen where the settings say. Raises OSError where an address is taken."""
    listeners = Listeners([], [], [])
    try:
        for listener in application.settings.listeners if settings is None else settings:
            await _open(application, listener, listeners)
    except BaseException:
        await listeners.close()
        raise
    return listeners


async def _open(application: Application, listener: ListenerSettings, listeners: Listeners) -> None:
    edge = build_edge(application.edge, application.settings, listener)
    runner = web.ServerRunner(EdgeServer(edge), shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    listeners.runners.append(runner)
    listeners.edges.append(edge)
    site = web.TCPSite(
        runner,
        listener.bind,
        listener.port,
        backlog=BACKLOG,
        ssl_context=None if listener.tls is None else tls_context(listener.tls),
    )
    await site.start()
    listeners.ports.append(runner.addresses[0][1])


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """TLS 1.2 and newer with the given certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.certificate, settings.private_key)
    return context
