"""`config sample` prints every setting with its default; `config check` says whether a configuration can be used."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from homeserver.commands.options import add_server_options, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.settings import Settings, VoiceSettings

HELP = "print a sample configuration, or check one"


def add_arguments(parser: ArgumentParser) -> None:
    """`sample`, `check`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="sample|check")
    verbs.add_parser("sample", help="print every setting with its default")
    add_server_options(verbs.add_parser("check", help="say whether a configuration can be used"))


def run(arguments: Namespace) -> int:
    """Print, or check."""
    if arguments.verb == "sample":
        from config.sample import sample

        print(sample(), end="")
        return 0
    settings = settings_of(arguments)
    problems = list(problems_of(settings))
    for problem in problems:
        print(problem)
    for name in without_effect(settings):
        print(f"{name} is set, but has no effect yet.")
    if not problems:
        print("The configuration can be used.")
    return 1 if problems else 0


def without_effect(settings: Settings) -> Iterator[str]:
    """Keys that are set and that no part of the server reads yet: whoever set them should know."""
    set_keys = {"cas.server_url": settings.cas.server_url}
    yield from (name for name, value in set_keys.items() if value)


def problems_of(settings: Settings) -> Iterator[str]:
    """What is well written but cannot work, a sentence each."""
    from homeserver.protocol.room_versions import ROOM_VERSIONS

    if settings.rooms.default_version not in ROOM_VERSIONS:
        known = ", ".join(ROOM_VERSIONS)
        yield f"rooms.default_version {settings.rooms.default_version} does not exist; there are {known}."
    taken = [(each.bind, each.port) for each in settings.listeners if each.port]
    if len(set(taken)) < len(taken):
        yield "Two listeners have the same address and port."
    for tls in (each.tls for each in settings.listeners if each.tls is not None):
        for path in (tls.certificate, tls.private_key):
            if not path.is_file():
                yield f"The file {path} of a listener's tls does not exist."
    if settings.federation.ca_file is not None and not settings.federation.ca_file.is_file():
        yield f"The file {settings.federation.ca_file} of federation.ca_file does not exist."
    yield from _problems_of_mail(settings)
    yield from _problems_of_rates(settings)
    yield from _problems_of_appservices(settings)
    yield from _problems_of_voice(settings.voice)


def _problems_of_mail(settings: Settings) -> Iterator[str]:
    from homeserver.composition.mail import problems_of_mail

    yield from problems_of_mail(settings)


def _problems_of_rates(settings: Settings) -> Iterator[str]:
    from homeserver.composition.rate_limits import problems_of_rates

    yield from problems_of_rates(settings.rate_limits.rates)


def _problems_of_appservices(settings: Settings) -> Iterator[str]:
    from config.errors import ConfigError
    from homeserver.composition.appservice_files import load_appservices

    try:
        load_appservices(settings.appservice_files, settings.server_name)
    except ConfigError as error:
        yield from str(error).splitlines()


def _problems_of_voice(voice: VoiceSettings) -> Iterator[str]:
    """What a start would end with, and what would be of no use in a call."""
    from config.errors import ConfigError
    from homeserver.composition.livekit_clusters import cluster_addresses
    from voice.turn import read_turn_uri

    if voice.enabled and voice.backend == "livekit":
        try:
            cluster_addresses(voice.livekit)
        except ConfigError as error:
            yield str(error)
    for uri in voice.turn.uris:
        if read_turn_uri(uri) is None:
            yield f"voice.turn.uris: {uri} is no turn: or turns: URI, such as turn:turn.example.org:3478?transport=udp."
    if voice.turn.uris and voice.turn.shared_secret is None:
        yield "voice.turn.uris has no effect without voice.turn.shared_secret."
