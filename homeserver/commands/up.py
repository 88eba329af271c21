"""`up`: everything on one machine, with one command. Serves in the foreground and tells people where they can go."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from homeserver.commands.options import add_port_option, add_server_options, settings_of

if TYPE_CHECKING:
    from config.settings import ListenerSettings, Settings
    from homeserver.commands.life_of_server import RunningServer

HELP = "start everything on this machine and stay in the foreground"
_LOOPBACK = ("127.", "::1", "localhost")


def add_arguments(parser: ArgumentParser) -> None:
    """Which server."""
    add_server_options(parser)
    add_port_option(parser)


def run(arguments: Namespace) -> int:
    """Serve until a signal, after saying what is there."""
    from dataclasses import replace

    from homeserver.commands.life_of_server import serve_until_stopped
    from homeserver.observability.logs import configure_logs

    settings = settings_of(arguments)
    if arguments.config is None and sys.stdout.isatty():
        # A person watches: the log of requests would bury what we have to say.
        settings = replace(settings, log=replace(settings.log, to=str(settings.data_dir / "voicechat.log")))
    configure_logs(settings.log)
    serve_until_stopped(settings, _announce)
    return 0


async def _announce(server: RunningServer) -> None:
    setup_link = await server.application.accounts.setup_links.create()
    print("\n".join(announcement(server, setup_link)), flush=True)


def announcement(server: RunningServer, setup_link: str | None) -> Iterator[str]:
    """The lines that `up` prints; the link is there as long as there is no administrator."""
    settings = server.settings
    yield f"VoiceChat is running for {settings.server_name}."
    yield ""
    yield f"  Clients connect to   {server.public_baseurl}"
    if setup_link is not None:
        yield f"  First account        {setup_link}"
        yield "                       (makes the administrator; valid once and for 24 hours)"
    yield f"  Running              {', '.join(_parts(server))}"
    for listener, port in zip(settings.listeners, server.listeners.ports, strict=True):
        yield f"  Port {port:<15} {_reach(listener)}: {', '.join(listener.resources)}"
    yield from _voice(server)
    yield f"  Accounts             {_who_may_register(settings)}"
    yield f"  Data                 {settings.data_dir}"
    yield ""
    yield "Stop with Ctrl-C."


def _parts(server: RunningServer) -> Iterator[str]:
    yield "homeserver"
    if server.application.voice.crew is not None:
        yield "voice"
    yield "embedded PostgreSQL" if server.embedded_database else "with your PostgreSQL"


def _voice(server: RunningServer) -> Iterator[str]:
    """What people who are not on this machine have to reach, beside the listeners."""
    voice, crew = server.settings.voice, server.application.voice.crew
    if not voice.enabled:
        yield "  Voice                off (voice.enabled)"
    elif crew is None:
        yield f"  Voice                LiveKit at {', '.join(cluster.url for cluster in voice.livekit)}"
    elif not crew.ready():
        yield "  Voice                inside of this process, opened with the first call (voice.workers is 0)"
    else:
        first = crew.ready()[0]
        last = first.media_port + (crew.most - 1 if voice.port else 0)
        ports = str(first.media_port) if last == first.media_port else f"{first.media_port} to {last}"
        yield f"  Voice                port {ports}, UDP and TCP, to be reached by everybody who is to be heard;"
        yield f"                       clients are told {', '.join(first.addresses)} (voice.advertise)"


def _reach(listener: ListenerSettings) -> str:
    if listener.bind.startswith(_LOOPBACK):
        return "this machine only"
    return f"everybody who reaches {listener.bind}"


def _who_may_register(settings: Settings) -> str:
    if not settings.registration.enabled:
        return "made by the administrator: ./voicechat user add NAME"
    if settings.registration.require_verification:
        return "people with a registration token may register"
    return "EVERYBODY may register (registration.enabled without require_verification)"
