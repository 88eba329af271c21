"""A bot in a call: Matrix says who is there and carries the keys, the LiveKit SDK carries the sound."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from livekit import rtc

from voice.bot.ears import Ears, FrameKeys
from voice.bot.matrix import MatrixClient, Refused
from voice.bot.media_keys import EVENT_TYPE as KEYS_EVENT
from voice.bot.media_keys import MediaKeys
from voice.bot.membership import Membership, members_of, services_of
from voice.bot.olm_device import OlmDevice
from voice.bot.sound import RATE, Sound

log = logging.getLogger(__name__)

UNSTABLE_TRANSPORTS = "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports"
GOODBYE_SECONDS = 2.0
Heard = Callable[[str, bytes], None]
"""Identity at the SFU, and 16 bit mono samples at 48 kHz."""


class NoCall(Exception):  # noqa: N818
    """The homeserver has no calls that we understand."""


@dataclass(slots=True)
class BotCall:
    """One call in one room. `heard` gets everybody's sound; without it nothing is subscribed to."""

    client: MatrixClient
    room_id: str
    encrypted: bool
    heard: Heard | None = None
    room: rtc.Room = field(default_factory=rtc.Room)
    _frame_keys: FrameKeys = field(default_factory=FrameKeys)
    _ears: Ears | None = None
    _service: str = ""
    _device: OlmDevice | None = None
    _keys: MediaKeys | None = None
    _membership: Membership | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def enter(self) -> None:
        """In the call, heard and seen by the others. Raises NoCall, matrix.Refused, rtc.ConnectError."""
        if self.encrypted:
            self._device = OlmDevice(self.client)
            await self._device.publish()
        await self.client.sync()
        self._service = await self._service_url()
        self._membership = Membership(self.client, self.room_id, self._service)
        await self._connect(self.room, self._service)
        self._frame_keys.serve(self.room)
        if self.heard is not None:
            self._ears = Ears(lambda service: self._connect(rtc.Room(), service), self._frame_keys)
        if self._device is not None:
            self._keys = MediaKeys(self._device, self.room_id, self._frame_keys.set)
            self._keys.use_own()
        await self._membership.enter()
        self._start(self._follow())

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Who was kicked may say nothing in the room any more.
        with contextlib.suppress(aiohttp.ClientError, Refused):
            if self._membership is not None:
                await self._membership.leave()
        if self._ears is not None:
            await self._ears.close()
        await self.room.disconnect()

    async def play(self, sound: Sound) -> None:
        """Speak the sound, in its own time; returns when it ended."""
        source = rtc.AudioSource(sound.rate, sound.channels, queue_size_ms=200)
        track = rtc.LocalAudioTrack.create_audio_track("bot", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await self.room.local_participant.publish_track(track, options)
        try:
            for piece in sound.pieces:
                frame = rtc.AudioFrame(piece, sound.rate, sound.channels, len(piece) // (2 * sound.channels))
                await source.capture_frame(frame)
            await source.wait_for_playout()
        finally:
            await self._unpublish(publication.sid)
            await source.aclose()

    async def _unpublish(self, sid: str) -> None:
        """The SDK waits for ever where the SFU has put us out."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(GOODBYE_SECONDS):
                if self.room.isconnected():
                    await self.room.local_participant.unpublish_track(sid)

    async def _connect(self, room: rtc.Room, service: str) -> rtc.Room:
        access = await self._token(service)
        room.on("track_subscribed", self._subscribed)
        await room.connect(access["url"], access["jwt"], self._options())
        return room

    async def _service_url(self) -> str:
        answer = await self.client.ask("GET", UNSTABLE_TRANSPORTS)
        for transport in answer.get("rtc_transports", []):
            if transport.get("type") == "livekit":
                return str(transport["livekit_service_url"])
        raise NoCall("the homeserver names no transport of type livekit")

    async def _token(self, service: str) -> dict[str, Any]:
        openid = await self.client.openid()
        body = {"room": self.room_id, "openid_token": openid, "device_id": self.client.device_id}
        return await self.client.ask_service(f"{service}/sfu/get", body)

    def _options(self) -> rtc.RoomOptions:
        encryption = None
        if self.encrypted:
            # As Element Call has it: a key for each participant, derived by HKDF, a window of ten ratchet steps.
            keys = rtc.KeyProviderOptions(
                shared_key=None,
                ratchet_window_size=10,
                key_ring_size=256,
                failure_tolerance=-1,
                key_derivation_function=rtc.KeyDerivationFunction.HKDF,
            )
            encryption = rtc.E2EEOptions(key_provider_options=keys)
        return rtc.RoomOptions(auto_subscribe=self.heard is not None, encryption=encryption)

    async def _follow(self) -> None:
        """Keys for those who come, and keys from those who are there."""
        await self._meet(await self.client.state(self.room_id))
        while True:
            try:
                await self._look(await self.client.sync())
            except (aiohttp.ClientError, TimeoutError) as error:
                log.warning("sync failed: %s", error)
                await asyncio.sleep(1)

    async def _look(self, answer: dict[str, Any]) -> None:
        for event in answer.get("to_device", {}).get("events", []):
            self._take_key(event)
        if self.room_id in answer.get("rooms", {}).get("join", {}):
            await self._meet(await self.client.state(self.room_id))

    def _take_key(self, event: dict[str, Any]) -> None:
        if self._device is None or self._keys is None or event.get("type") != "m.room.encrypted":
            return
        opened = self._device.open(event)
        if opened is not None and opened.event_type == KEYS_EVENT:
            self._keys.take(opened)

    async def _meet(self, state: list[dict[str, Any]]) -> None:
        """Those who are in the call now: our key to them, our ears where they speak."""
        if self._keys is not None:
            await self._keys.tell(members_of(state))
        if self._ears is not None:
            await self._ears.listen_at(services_of(state) - {self._service})

    def _subscribed(self, track: rtc.Track, _: object, participant: rtc.RemoteParticipant) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and self.heard is not None:
            self._start(self._listen(track, participant.identity))

    async def _listen(self, track: rtc.Track, identity: str) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1)
        try:
            async for event in stream:
                if self.heard is not None:
                    self.heard(identity, bytes(event.frame.data))
        finally:
            await stream.aclose()

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("the bot lost a part of itself", exc_info=task.exception())
