"""The whole test, from the outside in: server, signalling, UDP, TCP, TURN."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from voice.participant.paths import Address
from voice.probe import sentences
from voice.probe.call import Call, place_call
from voice.probe.finding import Finding, Mark, ok
from voice.probe.invitation import Invitation, ask
from voice.probe.places import addresses_of
from voice.probe.relays import try_relays
from voice.probe.sentences import Scene

CALL_S: Final = 3.0
_MAX_TEXT: Final = 300
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_PATHS: Final[tuple[Literal["udp", "tcp"], ...]] = ("udp", "tcp")


@dataclass(slots=True)
class Probe:
    """`seconds` of talking on each path."""

    http: aiohttp.ClientSession
    base_url: str
    seconds: float = CALL_S

    async def run(self, request: dict[str, Any]) -> AsyncIterator[Finding]:
        """Ends where nothing further can work. Raises NotInvited where it cannot begin."""
        invitation = await ask(self.http, self.base_url, request)
        yield ok(f"{self.base_url} gives us a call for a test.")
        door = await self._door(invitation)
        yield door
        if door.mark is Mark.WRONG:
            return
        async for finding in self._paths(invitation):
            yield finding

    async def _door(self, invitation: Invitation) -> Finding:
        """LiveKit's way to say in HTTP why a WebSocket would not open."""
        url = _as_http(invitation.url.rstrip("/") + "/rtc/validate")
        headers = {"Authorization": f"Bearer {invitation.tokens[0]}"}
        try:
            async with self.http.get(url, headers=headers, timeout=_TIMEOUT, allow_redirects=False) as response:
                text = (await response.content.read(_MAX_TEXT)).decode("utf-8", "replace").strip()
                return sentences.of_door(invitation.url, response.status, text)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return sentences.of_no_door(url, error)

    async def _paths(self, invitation: Invitation) -> AsyncIterator[Finding]:
        scene = Scene(self.base_url, await addresses_of(self.base_url))
        calls: list[Call] = []
        for path in _PATHS:
            call = await place_call(self.http, invitation, path, self.seconds)
            if call.failure is not None and sentences.is_of_signalling(call):
                yield sentences.of_signalling(invitation.url, call.failure)
                return
            calls.append(call)
            for finding in sentences.of_path(path.upper(), call, scene):
                yield finding
        async for finding in try_relays(self.http, invitation, self.seconds, _peers(calls)):
            yield finding
        reached = [each for call in calls for each in call.reached]
        for finding in (*sentences.of_addresses(reached, scene), *sentences.of_ports(invitation.ports, reached)):
            yield finding


def _peers(calls: list[Call]) -> list[Address]:
    reached = [each for call in calls for each in call.reached if each.told]
    return [each.candidate.address for each in reached if each.candidate.protocol == "udp"]


def _as_http(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme={"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)))
