"""Listening at the SFUs of other servers: with several of them, everybody publishes at that of his own (MSC4195)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from livekit import rtc

from voice.bot.matrix import Refused

MAX_ELSEWHERE: Final = 20
"""SFUs of others; addresses are what members of the room write."""
OPEN_SECONDS: Final = 15.0
"""As long as one of them holds up what else happens in the call."""

NO_ANSWER = (KeyError, TypeError, ValueError, RecursionError)
NOT_LET_IN = (Refused, rtc.ConnectError, aiohttp.ClientError, TimeoutError, *NO_ANSWER)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class FrameKeys:
    """What others have told of their keys, for all connections: one that is made later gets those of before."""

    _known: dict[tuple[str, int], bytes] = field(default_factory=dict, repr=False)
    _providers: list[rtc.KeyProvider] = field(default_factory=list)

    def set(self, identity: str, key: bytes, index: int) -> None:
        self._known[identity, index] = key
        for provider in self._providers:
            provider.set_key(identity, key, index)

    def serve(self, room: rtc.Room) -> None:
        """After it is connected; a room without encryption needs none."""
        provider = room.e2ee_manager.key_provider
        if provider is not None:
            self._providers.append(provider)
            for (identity, index), key in self._known.items():
                provider.set_key(identity, key, index)

    def leave(self, room: rtc.Room) -> None:
        self._providers = [each for each in self._providers if each is not room.e2ee_manager.key_provider]


@dataclass(slots=True)
class Ears:
    """`connect` goes into the call at a token service, and says which room of the SDK that is."""

    connect: Callable[[str], Awaitable[rtc.Room]]
    keys: FrameKeys
    open_seconds: float = OPEN_SECONDS
    _rooms: dict[str, rtc.Room] = field(default_factory=dict)

    async def listen_at(self, services: Collection[str]) -> None:
        """Be at these SFUs and at no other; one that does not let us in is tried again the next time."""
        for service in self._rooms.keys() - set(services):
            await self._close(service)
        wanted = [each for each in services if each not in self._rooms][: MAX_ELSEWHERE - len(self._rooms)]
        await asyncio.gather(*(self._open(each) for each in wanted))

    async def close(self) -> None:
        await self.listen_at(())

    async def _open(self, service: str) -> None:
        try:
            async with asyncio.timeout(self.open_seconds):
                room = self._rooms[service] = await self.connect(service)
        except NOT_LET_IN as error:
            log.warning("cannot listen at %s: %s", service, str(error) or type(error).__name__)
        else:
            self.keys.serve(room)

    async def _close(self, service: str) -> None:
        room = self._rooms.pop(service)
        self.keys.leave(room)
        await room.disconnect()
