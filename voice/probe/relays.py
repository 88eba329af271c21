"""A call through each of the operator's TURN servers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

import aiohttp

from voice.participant import Turn
from voice.participant.paths import Address
from voice.probe.call import Stage, place_call
from voice.probe.finding import Finding, note, wrong
from voice.probe.invitation import Invitation, Relays
from voice.probe.reach import address_text
from voice.probe.relay import check_relay, forbidden_peers
from voice.probe.sentences import of_sound
from voice.turn import read_turn_uri

MOST_URIS: Final = 6


async def try_relays(
    http: aiohttp.ClientSession, invitation: Invitation, seconds: float, peers: Sequence[Address]
) -> AsyncIterator[Finding]:
    """`peers` are the SFU's UDP addresses."""
    relays = invitation.turn
    if relays is None:
        yield note(
            "No TURN server is configured (voice.turn): people whose network lets only web traffic out are not heard."
        )
        return
    for uri in relays.uris[:MOST_URIS]:
        yield await _try(http, invitation, uri, relays, seconds, peers)


async def _try(
    http: aiohttp.ClientSession,
    invitation: Invitation,
    uri: str,
    relays: Relays,
    seconds: float,
    peers: Sequence[Address],
) -> Finding:
    read = read_turn_uri(uri)
    if read is None:
        return wrong(f"TURN: {uri} is no turn: or turns: URI (voice.turn.uris).")
    if read.tls and read.transport == "udp":
        return note(f"TURN {uri} is DTLS, which this test does not speak.")
    turn = Turn(read.host, read.port, relays.username, relays.password, read.transport, read.tls)
    why = await check_relay(turn)
    if why is not None:
        return wrong(f"TURN {uri}: {why}.")
    call = await place_call(http, invitation, turn, seconds)
    if call.sound is not None:
        return of_sound(f"TURN {uri}", call.sound)
    if call.failure is not None and call.failure.stage is not Stage.ICE:
        return wrong(f"TURN {uri} gives us an address, but the call fails after that ({call.failure.stage.value}).")
    return wrong(f"TURN {uri} {await _why_nothing_comes_back(turn, peers)}")


async def _why_nothing_comes_back(turn: Turn, peers: Sequence[Address]) -> str:
    forbidden: list[Address] = []
    with contextlib.suppress(OSError, TimeoutError):
        forbidden = await forbidden_peers(turn, peers)
    if forbidden:
        places = ", ".join(map(address_text, forbidden))
        return (
            f"may not send to the SFU at {places}: take the address out of its denied-peer-ip, or set voice.advertise."
        )
    return "takes our packets, but the SFU does not answer it: the relay's machine has to reach the SFU's UDP port."
