"""One LiveKit cluster: its server API through `livekit-api`, with its errors in our words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import aiohttp
from livekit import api
from livekit.api.twirp_client import ServerError
from livekit.protocol import models, room

from voice.sfu.backend import Grant, SfuUnavailable, Source
from voice.sfu.livekit.states import TRACK_SOURCES, permission_of
from voice.tokens import PRIORITY_ATTRIBUTE, attributes_of

log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
EMPTY_ROOM_SECONDS = 300
DEPARTURE_SECONDS = 20
NOT_THERE = frozenset({"not_found", "failed_precondition"})

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Where a cluster is, and who we are to it. `url` is told to clients (wss), `api_url` is called by us (https)."""

    region: str
    url: str
    api_url: str
    api_key: str
    api_secret: str = field(repr=False)


@dataclass(slots=True)
class ClusterNumbers:
    """For metrics. Questions to the server API since our start, and whether the last one reached it."""

    asked: int = 0
    failed: int = 0
    reachable: bool = False


@dataclass(slots=True, eq=False)
class Cluster:
    """Every verb raises SfuUnavailable where the cluster does not answer within a few seconds."""

    address: ClusterAddress
    numbers: ClusterNumbers = field(default_factory=ClusterNumbers)
    _api: api.LiveKitAPI | None = None

    async def open(self) -> None:
        """Must run in the loop that uses it."""
        given = self.address
        self._api = api.LiveKitAPI(given.api_url, given.api_key, given.api_secret, failover=False)

    async def close(self) -> None:
        if self._api is not None:
            await self._api.aclose()
            self._api = None

    async def make_room(self, name: str) -> None:
        """Also for a room that exists: LiveKit keeps it, with its participants.

        Without a limit of people, as LiveKit never changes that of a room in use: ours is kept at the door (door.py).
        """
        request = room.CreateRoomRequest(
            name=name, empty_timeout=EMPTY_ROOM_SECONDS, departure_timeout=DEPARTURE_SECONDS
        )
        await self._ask(self._rooms.create_room(request))

    async def end_room(self, name: str) -> None:
        """Everybody out; their clients join again with a new token."""
        await self._ask(self._rooms.delete_room(room.DeleteRoomRequest(room=name)))

    async def rooms(self) -> Mapping[str, int]:
        """All rooms there are, and how many people are in them: a number that may be some seconds old."""
        answer = await self._ask(self._rooms.list_rooms(room.ListRoomsRequest()))
        return {} if answer is None else {each.name: each.num_participants for each in answer.rooms}

    async def participants(self, name: str) -> Sequence[models.ParticipantInfo]:
        answer = await self._ask(self._rooms.list_participants(room.ListParticipantsRequest(room=name)))
        return [] if answer is None else list(answer.participants)

    async def participant(self, name: str, identity: str) -> models.ParticipantInfo | None:
        return await self._ask(self._rooms.get_participant(room.RoomParticipantIdentity(room=name, identity=identity)))

    async def remove(self, name: str, identity: str, tokens_until_s: int) -> bool:
        """Out; tokens made until then are void, where LiveKit is new enough to know that. False where not there."""
        request = room.RoomParticipantIdentity(room=name, identity=identity, revoke_token_ts=tokens_until_s)
        return await self._ask(self._rooms.remove_participant(request)) is not None

    async def tracks(self, name: str, identity: str, source: Source) -> Sequence[models.TrackInfo]:
        """What he publishes of this kind."""
        found = await self.participant(name, identity)
        return [each for each in found.tracks if each.source == TRACK_SOURCES[source]] if found else []

    async def mute(self, name: str, identity: str, track_sid: str) -> bool:
        """His client is told, and may open it again. False where there is no such track."""
        request = room.MuteRoomTrackRequest(room=name, identity=identity, track_sid=track_sid, muted=True)
        return await self._ask(self._rooms.mute_published_track(request)) is not None

    async def permit(self, name: str, grant: Grant) -> bool:
        # LiveKit keeps attributes that are not named, and takes away those that are empty.
        attributes = {PRIORITY_ATTRIBUTE: "", **attributes_of(grant)}
        request = room.UpdateParticipantRequest(
            room=name, identity=grant.identity, permission=permission_of(grant), attributes=attributes
        )
        return await self._ask(self._rooms.update_participant(request)) is not None

    async def send_data(self, name: str, topic: str, payload: bytes, identities: Sequence[str]) -> None:
        request = room.SendDataRequest(
            room=name,
            data=payload,
            kind=models.DataPacket.Kind.RELIABLE,
            destination_identities=identities,
            topic=topic,
        )
        await self._ask(self._rooms.send_data(request))

    @property
    def _rooms(self) -> api.room_service.RoomService:
        if self._api is None:
            raise SfuUnavailable("LiveKit is not connected")
        return self._api.room

    async def _ask(self, answer: Awaitable[Answer]) -> Answer | None:
        """None where the room or participant does not exist."""
        self.numbers.asked += 1
        try:
            # The library's own requests wait for ever, whatever its session says.
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await answer
        except ServerError as error:
            if error.code in NOT_THERE:
                self.numbers.reachable = True
                return None
            self.numbers.failed += 1
            log.warning("LiveKit %s refused: %s", self.address.region, error.code)
            raise SfuUnavailable(f"LiveKit refused: {error.code}") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self.numbers.failed += 1
            self.numbers.reachable = False
            raise SfuUnavailable(f"LiveKit {self.address.region} does not answer") from error
        self.numbers.reachable = True
        return found
