"""Sliding sync: finds the client's place, makes an answer, and waits for the next wake-up where there is no news."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from homeserver.services.announcer import Announcer
from homeserver.services.awake import AwakeUsers
from homeserver.services.sliding_sync.answer import From, Made, SlidingAnswers
from homeserver.services.sliding_sync.connections import Connection, ConnectionKey, Connections, Place
from homeserver.services.sliding_sync.request import SlidingRequest
from homeserver.services.sliding_sync.results import RoomResult
from homeserver.services.sync.polls import Poll, Polls
from homeserver.services.sync.reader import note_presence, reader_of
from homeserver.services.sync.snapshot import Snapshot
from homeserver.services.sync.streams import Streams, clamped


@dataclass(frozen=True, slots=True)
class SlidingAnswer:
    """What codecs write."""

    pos: str
    lists: Mapping[str, int]
    """Numbers of rooms, by list."""
    rooms: Mapping[str, RoomResult]
    extensions: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SlidingSync:
    """One verb, for many connections at a time."""

    streams: Streams
    awake: AwakeUsers
    announcer: Announcer
    connections: Connections
    answers: SlidingAnswers
    polls: Polls
    """One a connection: a client that asks again has given the older request up."""

    async def __call__(self, request: SlidingRequest) -> SlidingAnswer:
        """The answer, at once or when there is news. Raises UnknownPos."""
        connection = self.connections.open(self._key(request), request.pos)
        turn, base = connection.turn, connection.base
        await self._note_presence(request)
        await self._note_arrival(request)
        made = await self._answer(request, connection, base, turn)
        pos = self.connections.answered(connection, turn, made.place, made.delta)
        return SlidingAnswer(pos, made.lists, made.rooms, made.extensions)

    def _key(self, request: SlidingRequest) -> tuple[str, str, str]:
        return request.user_id, request.requester.device_id or "", request.conn_id

    async def _answer(self, request: SlidingRequest, connection: Connection, base: Place, turn: int) -> Made:
        token = None if base.token is None else clamped(base.token, self.streams.now())
        start = From(token, base.selection)
        make = partial(self._make, request, connection, base, turn)
        if not request.may_wait:
            return await make(start)
        still_there = partial(self._note_presence, request)
        with self.polls.waiting(_poll_key(connection.key), request.timeout_ms, still_there) as poll:
            return await self._wait(request.user_id, make, start, poll)

    async def _wait(self, user_id: str, make: Callable[[From], Awaitable[Made]], start: From, poll: Poll) -> Made:
        while True:
            # Taken before looking, so that nothing which commits meanwhile is missed.
            poll.waiter = self.announcer.waiter(user_id)
            try:
                made = await make(start)
                if made.has_news or poll.over:
                    return made
                await poll.waiter
            finally:
                self.announcer.forget(user_id, poll.waiter)
            # Nothing up to here concerns this connection: the next look begins where this one ended.
            start = From(made.place.token, made.place.selection)

    async def _make(self, request: SlidingRequest, connection: Connection, base: Place, turn: int, start: From) -> Made:
        return await self.answers.make(request, connection, base, start, await self._snapshot(request), turn)

    async def _snapshot(self, request: SlidingRequest) -> Snapshot:
        counted = request.extensions.e2ee
        ignored, counts, user = await reader_of(self.streams, self.awake, request.requester, counted=counted)
        # Nothing was awaited since: positions and memberships are of the same moment.
        return Snapshot(self.streams.now(), dict(user.rooms), ignored, counts)

    async def _note_arrival(self, request: SlidingRequest) -> None:
        """The device says itself how far it has its letters. A place ahead of the stream says nothing of the kind."""
        wanted, device_id = request.extensions.to_device, request.requester.device_id
        if wanted is None or wanted.since is None or device_id is None:
            return
        if wanted.since <= self.streams.to_device.stream.current:
            await self.streams.to_device.acknowledge(request.user_id, device_id, wanted.since)

    async def _note_presence(self, request: SlidingRequest) -> None:
        await note_presence(self.streams, request.requester, request.set_presence)

    def end_wait(self, key: ConnectionKey) -> None:
        """Its connection is not known any longer: whoever opens more and more of them does not wait on all of them."""
        self.polls.end(_poll_key(key))

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {**self.connections.memory_usage(), **self.polls.memory_usage()}


def _poll_key(key: ConnectionKey) -> tuple[str, str]:
    # Neither part of the second can hold a NUL.
    return key[0], f"{key[1]}\0{key[2]}"
