"""Every kind of SFU behind the one interface, with guests who join it by LiveKit's own SDK."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from aiohttp import web
from livekit import rtc

from tests.voice.backends.stand_in import KEY, SECRET, stand_in
from tests.voice.calls.telephone import Caller, until
from tests.voice.workers.exchange_of_processes import configuration
from voice.sfu.backend import Grant, Joined, RoomOptions, RoomsLost, SfuBackend, SfuEvent
from voice.sfu.embedded.backend import EmbeddedBackend
from voice.sfu.embedded.backend_in_process import InProcessCrew
from voice.sfu.livekit.backend import LiveKitBackend
from voice.sfu.livekit.cluster import ClusterAddress
from voice.sfu.livekit.webhooks import NotSigned


@dataclass(slots=True)
class Place:
    """A backend that runs, and what it told. `reached` turns the URL that clients are told into one of this test."""

    backend: SfuBackend
    reached: Callable[[str], str] = str
    room: str = field(default_factory=lambda: f"room-{uuid.uuid4().hex}")
    told: list[SfuEvent] = field(default_factory=list)
    guests: list[Caller] = field(default_factory=list)

    @property
    def events(self) -> list[SfuEvent]:
        """Of this test's room; a real LiveKit may have others."""
        return [each for each in self.told if not isinstance(each, RoomsLost) and each.room == self.room]

    def of(self, kind: type, identity: str) -> list[SfuEvent]:
        def name(event: SfuEvent) -> str:
            return event.identity if hasattr(event, "identity") else event.participant.identity  # type: ignore[union-attr]

        return [each for each in self.events if isinstance(each, kind) and name(each) == identity]

    async def open(self, **options: int) -> str:
        return await self.backend.ensure_room(self.room, RoomOptions(**options))  # type: ignore[arg-type]

    def token(self, identity: str, **changed: object) -> str:
        return self.backend.mint_token(Grant(self.room, identity, **changed))  # type: ignore[arg-type]

    async def join(self, identity: str, token: str | None = None, **changed: object) -> Caller:
        """Raises rtc.ConnectError where he is not let in."""
        guest = Caller(rtc.Room())
        guest.listen()
        url = self.reached(await self.open())
        await guest.room.connect(url, token or self.token(identity, **changed))
        self.guests.append(guest)
        return guest

    async def arrive(self, identity: str, **changed: object) -> Caller:
        """Join, and wait until that is told."""
        before = len(self.of_joined(identity))
        guest = await self.join(identity, **changed)  # type: ignore[arg-type]
        await until(lambda: len(self.of_joined(identity)) > before, f"the news of {identity}")
        return guest

    def of_joined(self, identity: str) -> list[SfuEvent]:
        return self.of(Joined, identity)

    async def identities(self) -> list[str]:
        return sorted(each.identity for each in await self.backend.participants(self.room))


@contextlib.asynccontextmanager
async def embedded_place() -> AsyncIterator[Place]:
    crew = InProcessCrew(configuration())
    backend = EmbeddedBackend(crew, "ws://sfu.test", "workerkey", "a secret that only this test's workers know")
    place = Place(backend, lambda _: f"ws://127.0.0.1:{crew.running()[0].signalling.port}")
    async with _running(place):
        yield place


@contextlib.asynccontextmanager
async def livekit_place() -> AsyncIterator[Place]:
    """The LiveKit of LIVEKIT_URL, where that is given; else our stand-in."""
    async with contextlib.AsyncExitStack() as stack:
        if url := os.environ.get("LIVEKIT_URL"):
            key, secret = os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"]
            place = place_at(url, key, secret)
            number = int(os.environ.get("LIVEKIT_WEBHOOK_PORT", "0"))
            await stack.enter_async_context(webhooks(place.backend, number))
        else:
            livekit = await stack.enter_async_context(stand_in())
            place = place_at(livekit.url, look_s=0.5)
            livekit.webhook_url = await stack.enter_async_context(webhooks(place.backend))
        await stack.enter_async_context(_running(place))
        yield place


def place_at(url: str, key: str = KEY, secret: str = SECRET, *, look_s: float = 2.0) -> Place:
    return Place(livekit_at([url], key, secret, look_s=look_s))


def livekit_at(urls: list[str], key: str = KEY, secret: str = SECRET, *, look_s: float = 2.0) -> LiveKitBackend:
    """Regions are called a, b, c."""
    addresses = [
        ClusterAddress(region, url, url.replace("ws", "http", 1), key, secret)
        for region, url in zip("abc", urls, strict=False)
    ]
    return LiveKitBackend(addresses, look_s=look_s)


@contextlib.asynccontextmanager
async def webhooks(backend: SfuBackend, port: int = 0) -> AsyncIterator[str]:
    """Where the backend is told of reports, as the homeserver does it."""
    assert isinstance(backend, LiveKitBackend)

    async def receive(request: web.Request) -> web.Response:
        try:
            backend.report(await request.read(), request.headers.get("Authorization", ""))
        except NotSigned as error:
            return web.Response(status=401, text=str(error))
        return web.Response()

    application = web.Application()
    application.router.add_post("/hook", receive)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def running(place: Place) -> AsyncIterator[Place]:
    async with _running(place):
        yield place


@contextlib.asynccontextmanager
async def _running(place: Place) -> AsyncIterator[None]:
    place.backend.on_event(place.told.append)
    await place.backend.start()
    if isinstance(place.backend, LiveKitBackend):
        await place.backend.watch()
    try:
        yield
    finally:
        await asyncio.gather(*(guest.room.disconnect() for guest in place.guests), return_exceptions=True)
        await place.backend.stop()


PLACES = {"embedded": embedded_place, "livekit": livekit_place}
