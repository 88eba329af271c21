"""Which addresses of the SFU answer from here, each asked by itself: a call takes the first that does, and hides the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from aioice import stun

from voice.participant.paths import Address, RemoteCandidate, path_for
from voice.probe.watch import Watch
from voice.sfu.embedded.transport.addresses import local_addresses

PATIENCE_S: Final = 2.0
_RETRY_S: Final = 0.2
_HOST_PRIORITY: Final = 2_130_706_431


@dataclass(frozen=True, slots=True)
class Reached:
    """`told`: clients are told of this address; else it is one of this machine, tried to see whether the SFU runs here."""

    candidate: RemoteCandidate
    told: bool
    answers: bool


async def look(watch: Watch, our_name: str, protocol: str) -> list[Reached]:
    """All addresses of this protocol. The session of the participant with that name has to be open still."""
    told = [candidate for candidate in watch.candidates if candidate.protocol == protocol]
    found = await _ask_all(told, True, watch, our_name)
    if all(each.answers for each in found):
        return found
    return found + await _ask_all(_of_this_machine(told), False, watch, our_name)


def _of_this_machine(told: Sequence[RemoteCandidate]) -> list[RemoteCandidate]:
    """With the same ports."""
    ports = dict.fromkeys((candidate.protocol, candidate.address[1]) for candidate in told)
    hosts = ["127.0.0.1", "::1", *local_addresses()]
    here = [RemoteCandidate(protocol, (host, port)) for protocol, port in ports for host in dict.fromkeys(hosts)]
    return [candidate for candidate in here if candidate not in told]


async def _ask_all(candidates: Iterable[RemoteCandidate], told: bool, watch: Watch, name: str) -> list[Reached]:
    async def ask(candidate: RemoteCandidate) -> Reached:
        check = _Check(f"{watch.ufrag}:{name}", watch.password.encode())
        return Reached(candidate, told, await check.answered_by(candidate))

    return await asyncio.gather(*map(ask, candidates))


@dataclass(slots=True)
class _Check:
    """Binding requests that nominate nothing (RFC 8445 section 7.2.4): the call stays where it is."""

    username: str
    password: bytes
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def answered_by(self, candidate: RemoteCandidate) -> bool:
        path = path_for(candidate.protocol)
        try:
            async with asyncio.timeout(PATIENCE_S):
                (target,) = await path.open([candidate], self._arrived)
                while not self._heard.is_set():
                    path.send(self._request(), target)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._heard.wait(), _RETRY_S)
            return True
        except (OSError, TimeoutError):
            return False
        finally:
            path.close()

    def _request(self) -> bytes:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = self.username
        request.attributes["PRIORITY"] = _HOST_PRIORITY
        request.attributes["ICE-CONTROLLING"] = 1
        request.add_message_integrity(self.password)
        request.add_fingerprint()
        return bytes(request)

    def _arrived(self, packet: bytes) -> None:
        with contextlib.suppress(ValueError):
            answer = stun.parse_message(packet)
            # Somebody else may use this port on another machine of that address: only the SFU knows the password.
            if answer.message_class == stun.Class.RESPONSE and answer.check_message_integrity(self.password):
                self._heard.set()


def address_text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
