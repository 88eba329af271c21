"""`doctor voice`: calls through the address that clients use, and what is wrong with them.

The command proves with the server's own signing key that its user is the operator; no account is needed.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from homeserver.commands.signing_key import read_signing_key, signing_key_path

if TYPE_CHECKING:
    from config.settings import Settings
    from homeserver.protocol.signing import SigningKey
    from voice.probe.finding import Finding

_SHORTEST_S, _LONGEST_S = 0.2, 600.0
_COLOURS = {"ok": "32", "WRONG": "31", "note": "33"}


def add_voice_options(parser: ArgumentParser) -> None:
    """Where to test from: these need no configuration, so the test can also run on another machine."""
    group = parser.add_argument_group("with voice, on another machine than the server")
    group.add_argument("--base-url", metavar="URL", help="where clients reach the server (default: public_baseurl)")
    group.add_argument("--key-file", metavar="FILE", type=Path, help="a copy of the server's signing key")
    group.add_argument("--server-name", metavar="NAME", help="the server's name")
    parser.add_argument(
        "--seconds", metavar="N", type=float, default=3.0, help="with voice: how long to talk on each path (default: 3)"
    )
    group.add_argument("--region", metavar="NAME", help="the LiveKit cluster to test (default: the first one)")


async def report_voice(settings: Settings, arguments: Namespace) -> int:
    """Status 1 when something is wrong. Raises CommandError without a key."""
    key = read_signing_key(arguments.key_file or signing_key_path(settings))
    status = 0
    async for finding in _examine(settings, arguments, key):
        print(line_of(finding, coloured=sys.stdout.isatty()), flush=True)
        status = 1 if finding.mark.value == "WRONG" else status
    print("\nVoice works from here." if status == 0 else "\nVoice does not work as it should.")
    return status


def line_of(finding: Finding, *, coloured: bool) -> str:
    """One line for people."""
    mark = finding.mark.value
    shown = f"\033[{_COLOURS[mark]}m{mark:5}\033[0m" if coloured else f"{mark:5}"
    return f"{shown} {finding.sentence}"


async def _examine(settings: Settings, arguments: Namespace, key: SigningKey) -> AsyncIterator[Finding]:
    import aiohttp

    from voice.probe.finding import wrong
    from voice.probe.invitation import NotInvited, Operator
    from voice.probe.probe import Probe

    base_url = arguments.base_url or settings.public_baseurl or _local_url(settings)
    seconds = min(max(arguments.seconds, _SHORTEST_S), _LONGEST_S)
    operator = Operator(arguments.server_name or settings.server_name, key)
    async with aiohttp.ClientSession() as http:
        try:
            async for finding in Probe(http, base_url, seconds).run(operator.request(region=arguments.region)):
                yield finding
        except NotInvited as error:
            yield wrong(str(error))
            if arguments.base_url is None and base_url != _local_url(settings):
                yield await _look_inside(http, _local_url(settings))


def _local_url(settings: Settings) -> str:
    from homeserver.commands.life_of_server import default_baseurl

    return default_baseurl(settings.listeners[0])


async def _look_inside(http: object, url: str) -> Finding:
    """Whether it is the server that is at fault, or the way to it."""
    import aiohttp

    from voice.probe.finding import note

    assert isinstance(http, aiohttp.ClientSession)
    try:
        async with http.get(f"{url}/health", timeout=aiohttp.ClientTimeout(total=5), ssl=False) as response:
            if response.status == 200:
                return note(
                    f"The server itself answers at {url}: what is in front of it (DNS, proxy, firewall) is at fault."
                )
            return note(f"The server itself is ill too: {url}/health answers {response.status}.")
    except (aiohttp.ClientError, TimeoutError, OSError):
        return note(f"Nor does anybody answer at {url}: the server is not running, or listens elsewhere.")
