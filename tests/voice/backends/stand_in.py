"""A LiveKit for everyday tests: our own rooms behind LiveKit's server API, with its webhooks.

It says what a real one (1.13) was seen to say: tokens work until they expire whoever was removed, rooms are not made by
joining, a webhook names who joined when his media flows, and the list of rooms counts those who are in them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from livekit import api
from livekit.protocol import models, room
from livekit.protocol.webhook import WebhookEvent

from voice.sfu.backend import Grant, Joined, LeaveReason, Left, RoomOptions, SfuEvent
from voice.sfu.embedded.rooms.leaving import farewell
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.participant import Participant
from voice.sfu.embedded.rooms.server import RoomServer
from voice.sfu.embedded.signalling.application import REQUEST_LINE_LIMIT, build_signalling
from voice.sfu.embedded.transport import open_media_port
from voice.sfu.embedded.transport.port import Port
from voice.sfu.livekit.states import TRACK_SOURCES
from voice.tokens import PRIORITY_ATTRIBUTE

KEY, SECRET = "voicechat", "a-secret-of-at-least-32-characters-long"
SOURCES = {number: name for name, number in TRACK_SOURCES.items()}
NOBODY_REMOVED = RoomLimits(revocations=0)

Answers = Callable[[bytes], Message]


class TwirpError(Exception):
    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code, self.status = code, status


NOT_FOUND = TwirpError("not_found", 404)


@dataclass(slots=True)
class StandIn:
    """`crash` and `start` are those of its process; the port stays the same. `webhook_url` may be set at any time."""

    webhook_url: str = ""
    port: int = 0
    asked: list[str] = field(default_factory=list)
    """Methods, in order."""
    mute: bool = False
    """Its webhooks do not arrive."""
    server: RoomServer = field(init=False)
    _media: Port = field(init=False)
    _runner: web.AppRunner = field(init=False)
    _session: aiohttp.ClientSession = field(init=False)
    _reports: asyncio.Queue[WebhookEvent] = field(default_factory=asyncio.Queue)
    _sender: asyncio.Task[None] | None = None
    _known: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._media = await open_media_port("127.0.0.1", 0, ())
        self.server = RoomServer(self._media, {KEY: SECRET}, NOBODY_REMOVED)
        self.server.on_event(self._happened)
        self._session = aiohttp.ClientSession()
        application = build_signalling(self.server)
        application.router.add_post("/twirp/livekit.RoomService/{method}", self._asked)
        self._runner = web.AppRunner(
            application, access_log=None, max_line_size=REQUEST_LINE_LIMIT, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.server.start()
        self._sender = asyncio.create_task(self._send_reports())

    async def stop(self) -> None:
        assert self._sender is not None
        self._sender.cancel()
        await self.server.stop()
        await self._runner.cleanup()
        await self._session.close()
        self._media.close()

    async def crash(self) -> None:
        """Nobody is told anything."""
        self.mute = True
        await self.stop()
        self._reports = asyncio.Queue()
        self.mute = False

    # --- the server API --------------------------------------------------------------------------------------

    async def _asked(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        self.asked.append(method)
        try:
            self._check(request, method)
            answer = getattr(self, f"_{method}")(await request.read())
        except TwirpError as error:
            return web.json_response({"code": error.code, "msg": "as it is"}, status=error.status)
        return web.Response(body=answer.SerializeToString(), content_type="application/protobuf")

    def _check(self, request: web.Request, method: str) -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            grants = api.TokenVerifier(KEY, SECRET).verify(token).video
        except Exception:
            raise TwirpError("unauthenticated", 401) from None
        assert grants is not None
        allowed = {"CreateRoom": grants.room_create, "DeleteRoom": grants.room_create, "ListRooms": grants.room_list}
        if not allowed.get(method, grants.room_admin):
            raise TwirpError("permission_denied", 403)

    def _CreateRoom(self, body: bytes) -> Message:
        wanted = room.CreateRoomRequest.FromString(body)
        most = wanted.max_participants or 1_000_000
        if self.server.registry.get(wanted.name) is None:
            self.server.ensure_room(wanted.name, RoomOptions(max_participants=most))
        return models.Room(name=wanted.name)

    def _DeleteRoom(self, body: bytes) -> Message:
        name = room.DeleteRoomRequest.FromString(body).room
        found = self.server.registry.rooms.pop(name, None)
        if found is None:
            raise NOT_FOUND
        for person in list(found.people.values()):
            self.end(person, LeaveReason.ROOM_ENDED)
        self._report("room_finished", name, models.ParticipantInfo())
        return room.DeleteRoomResponse()

    def _ListRooms(self, body: bytes) -> Message:
        rooms = [models.Room(name=each.name, num_participants=each.size()) for each in self.server.registry]
        return room.ListRoomsResponse(rooms=rooms)

    def _ListParticipants(self, body: bytes) -> Message:
        found = self.server.registry.get(room.ListParticipantsRequest.FromString(body).room)
        people = [person.info() for person in found.people.values()] if found else []
        return room.ListParticipantsResponse(participants=people)

    def _GetParticipant(self, body: bytes) -> Message:
        who = room.RoomParticipantIdentity.FromString(body)
        info: Message = self._find(who.room, who.identity).info()
        return info

    def _RemoveParticipant(self, body: bytes) -> Message:
        who = room.RoomParticipantIdentity.FromString(body)
        self.end(self._find(who.room, who.identity), LeaveReason.REMOVED)
        return room.RemoveParticipantResponse()

    def _MutePublishedTrack(self, body: bytes) -> Message:
        wanted = room.MuteRoomTrackRequest.FromString(body)
        person = self._find(wanted.room, wanted.identity)
        track = next((each for each in person.publications if each.info.sid == wanted.track_sid), None)
        if track is None:
            raise NOT_FOUND
        self.server.mute(wanted.room, wanted.identity, SOURCES[track.info.source], muted=wanted.muted)
        # He may open it again.
        track.forced_mute = False
        person.forced_mutes.clear()
        return room.MuteRoomTrackResponse()

    def _UpdateParticipant(self, body: bytes) -> Message:
        wanted = room.UpdateParticipantRequest.FromString(body)
        person = self._find(wanted.room, wanted.identity)
        allowed = wanted.permission
        grant = Grant(
            wanted.room,
            wanted.identity,
            can_publish=allowed.can_publish,
            sources=[SOURCES[each] for each in allowed.can_publish_sources],
            can_subscribe=allowed.can_subscribe,
            can_publish_data=allowed.can_publish_data,
            priority_speaker=wanted.attributes.get(PRIORITY_ATTRIBUTE) == "1",
            attributes=dict(wanted.attributes),
        )
        self.server.permit(wanted.room, grant)
        info: Message = person.info()
        return info

    def _SendData(self, body: bytes) -> Message:
        wanted = room.SendDataRequest.FromString(body)
        if self.server.registry.get(wanted.room) is None:
            raise NOT_FOUND
        self.server.send_data(wanted.room, wanted.topic, wanted.data, list(wanted.destination_identities))
        return room.SendDataResponse()

    def _find(self, name: str, identity: str) -> Participant:
        found = self.server.registry.participant(name, identity)
        if found is None:
            raise NOT_FOUND
        return found

    def end(self, person: Participant, reason: LeaveReason) -> None:
        self.server._end(self.server.door.sessions[person.sid], farewell(reason))

    # --- webhooks --------------------------------------------------------------------------------------------

    def _happened(self, event: SfuEvent) -> None:
        if isinstance(event, Joined):
            person = self.server.registry.participant(event.room, event.participant.identity)
            assert person is not None
            self._report("participant_joined", event.room, person.info())
        elif isinstance(event, Left):
            reason = farewell(event.reason).disconnect
            who = models.ParticipantInfo(sid=event.sid, identity=event.identity, disconnect_reason=reason)
            self._report("participant_left", event.room, who)

    def _report(self, event: str, name: str, who: models.ParticipantInfo) -> None:
        if self.mute or not self.webhook_url:
            return
        report = WebhookEvent(
            event=event,
            room=models.Room(name=name),
            participant=who,
            id=secrets.token_hex(8),
            created_at=int(time.time()),
        )
        self._reports.put_nowait(report)

    async def _send_reports(self) -> None:
        while True:
            body, headers = signed(await self._reports.get())
            with contextlib.suppress(aiohttp.ClientError):
                async with self._session.post(self.webhook_url, data=body, headers=headers):
                    pass


def signed(event: WebhookEvent, key: str = KEY, secret: str = SECRET) -> tuple[bytes, Mapping[str, str]]:
    """Body and headers, as LiveKit sends them."""
    body = MessageToJson(event).encode()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    token = api.AccessToken(key, secret).with_sha256(digest).to_jwt()
    return body, {"Authorization": token, "Content-Type": "application/webhook+json"}


@contextlib.asynccontextmanager
async def stand_in(**given: Any) -> AsyncIterator[StandIn]:
    livekit = StandIn(**given)
    await livekit.start()
    try:
        yield livekit
    finally:
        await livekit.stop()
