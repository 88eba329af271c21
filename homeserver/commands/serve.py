"""`serve`: the server in the foreground, for a service manager, a container or a test suite. Says nothing but its log."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from homeserver.commands.options import add_port_option, add_server_options, settings_of

if TYPE_CHECKING:
    from homeserver.commands.life_of_server import RunningServer

HELP = "serve in the foreground; only the log is written"


def add_arguments(parser: ArgumentParser) -> None:
    """Which server."""
    add_server_options(parser)
    add_port_option(parser)


def run(arguments: Namespace) -> int:
    """Serve until a signal."""
    from homeserver.commands.life_of_server import serve_until_stopped
    from homeserver.observability.logs import configure_logs

    settings = settings_of(arguments)
    configure_logs(settings.log)
    serve_until_stopped(settings, _say_ready)
    return 0


async def _say_ready(server: RunningServer) -> None:
    import logging

    ports = ", ".join(map(str, server.listeners.ports))
    logging.getLogger(__name__).info("%s is ready on port %s", server.settings.server_name, ports)
