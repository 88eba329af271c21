"""GET /sync: takes a snapshot, makes an answer, and waits for the next wake-up where there is no news."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial

import orjson

from homeserver.protocol.errors import LimitExceeded
from homeserver.services.announcer import Announcer
from homeserver.services.awake import AwakeUsers
from homeserver.services.sync.answer import Answer, Answers
from homeserver.services.sync.polls import DeviceKey, Poll, Polls
from homeserver.services.sync.quick import QuickAnswers
from homeserver.services.sync.reader import note_presence, reader_of
from homeserver.services.sync.request import SyncRequest
from homeserver.services.sync.snapshot import Snapshot
from homeserver.services.sync.sources import KeyCounts
from homeserver.services.sync.streams import Streams, clamped
from homeserver.services.tokens import StreamToken

MAX_TOLD_COUNTS = 20_000
# A user with several devices that all begin anew.
MAX_INITIAL_OF_USER = 8
INITIAL_RETRY_AFTER_MS = 2_000


@dataclass(slots=True)
class ToldKeyCounts:
    """The key counts each device was told last: one that differs is news. Forgotten ones cost nothing but a wait."""

    _told: OrderedDict[DeviceKey, KeyCounts] = field(default_factory=OrderedDict)

    def is_news(self, device: DeviceKey, counts: KeyCounts | None) -> bool:
        """Whether the device was told otherwise; what it is not known to have been told counts as told now."""
        if counts is None:
            return False
        told = self._told.get(device)
        if told is None:
            self.tell(device, counts)
            return False
        return told != counts

    def tell(self, device: DeviceKey, counts: KeyCounts | None) -> None:
        """An answer with these counts goes out."""
        if counts is None:
            return
        self._told[device] = counts
        self._told.move_to_end(device)
        if len(self._told) > MAX_TOLD_COUNTS:
            self._told.popitem(last=False)

    def __len__(self) -> int:
        return len(self._told)


@dataclass(slots=True)
class Sync:
    """One verb, for many devices at a time."""

    streams: Streams
    awake: AwakeUsers
    announcer: Announcer
    answers: Answers
    quick: QuickAnswers
    polls: Polls
    told: ToldKeyCounts = field(default_factory=ToldKeyCounts)
    _initial: dict[SyncRequest, asyncio.Task[bytes]] = field(default_factory=dict)

    async def __call__(self, request: SyncRequest) -> bytes:
        """The answer as JSON, at once or when there is news. A cancelled sync leaves nothing behind."""
        await self._note_presence(request)
        if request.since is None:
            return await self._shared(request)
        since = clamped(request.since, self.streams.now())
        await self._note_arrival(request, since)
        if not request.may_wait:
            quick = await self._try_quick(request, since)
            return quick or self._encode(request, await self._make(request, since))
        still_there = partial(self._note_presence, request)
        with self.polls.waiting(_device(request), request.timeout_ms, still_there) as poll:
            return await self._wait(request, since, poll)

    async def _note_arrival(self, request: SyncRequest, since: StreamToken) -> None:
        """Up to here the device has its letters. A token that is ahead of the stream says nothing of the kind."""
        device_id = request.requester.device_id
        if device_id is not None:
            await self.streams.to_device.acknowledge(request.user_id, device_id, since.to_device)

    async def _note_presence(self, request: SyncRequest) -> None:
        await note_presence(self.streams, request.requester, request.set_presence)

    async def _shared(self, request: SyncRequest) -> bytes:
        """A client that asks for the same initial sync again, because the first takes long, gets the same answer.

        Raises LimitExceeded for more than a few different ones of a user at a time: they go on when he hangs up.
        """
        running = self._initial.get(request)
        if running is None:
            if sum(other.user_id == request.user_id for other in self._initial) >= MAX_INITIAL_OF_USER:
                raise LimitExceeded("Too many initial syncs at once", retry_after_ms=INITIAL_RETRY_AFTER_MS)
            running = self._initial[request] = asyncio.create_task(self._first(request))
            running.add_done_callback(partial(self._forget_initial, request))
        return await asyncio.shield(running)

    def _forget_initial(self, request: SyncRequest, done: asyncio.Task[bytes]) -> None:
        self._initial.pop(request, None)
        if not done.cancelled():
            # Whoever asked may be gone: then nobody else looks at what went wrong.
            done.exception()

    async def _first(self, request: SyncRequest) -> bytes:
        return self._encode(request, await self._make(request, None))

    async def _wait(self, request: SyncRequest, since: StreamToken, poll: Poll) -> bytes:
        while True:
            # Taken before looking, so that nothing which commits meanwhile is missed.
            poll.waiter = self.announcer.waiter(request.user_id)
            try:
                if not poll.over and await self._is_still(request, since):
                    await poll.waiter
                    continue
                quick = await self._try_quick(request, since)
                if quick is not None:
                    return quick
                answer = await self._make(request, since)
                if answer.has_news or poll.over:
                    return self._encode(request, answer)
                await poll.waiter
            finally:
                self.announcer.forget(request.user_id, poll.waiter)
            # Nothing up to here concerns this reader: the next look begins where this one ended.
            since = answer.next_batch

    async def _is_still(self, request: SyncRequest, since: StreamToken) -> bool:
        """Whether no stream has moved since then: most requests come right after an answer, and there is nothing to look for."""
        reader = await reader_of(self.streams, self.awake, request.requester)
        return since == self.streams.now() and not self.told.is_news(_device(request), reader.key_counts)

    async def _try_quick(self, request: SyncRequest, since: StreamToken) -> bytes | None:
        """The answer, where the news are plain."""
        ignored, counts, user = await reader_of(self.streams, self.awake, request.requester)
        now = self.streams.now()
        news = self.quick.plain_news(request, since, now, user.rooms, ignored)
        if news is not None:
            self.told.tell(_device(request), counts)
            return await self.quick.tell(request, since, now, news, counts)
        typing = self.quick.plain_typing(request, since, now, user.rooms)
        if typing is None:
            return None
        self.told.tell(_device(request), counts)
        return await self.quick.tell_typing(request, now, typing, counts)

    async def _make(self, request: SyncRequest, since: StreamToken | None) -> Answer:
        snapshot = await self._snapshot(request)
        answer = await self.answers.make(request, since, snapshot)
        if not answer.has_news and self.told.is_news(_device(request), snapshot.key_counts):
            answer = answer._replace(has_news=True)
        return answer

    async def _snapshot(self, request: SyncRequest) -> Snapshot:
        ignored, counts, user = await reader_of(self.streams, self.awake, request.requester)
        # Nothing was awaited since: positions and memberships are of the same moment.
        return Snapshot(self.streams.now(), dict(user.rooms), ignored, counts)

    def _encode(self, request: SyncRequest, answer: Answer) -> bytes:
        counts = answer.body.get("device_one_time_keys_count")
        if counts is not None:
            fallback = answer.body["device_unused_fallback_key_types"]
            self.told.tell(_device(request), KeyCounts(counts, fallback))
        return orjson.dumps(answer.body)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"told_key_counts": len(self.told), "initial": len(self._initial), **self.polls.memory_usage()}


def _device(request: SyncRequest) -> DeviceKey:
    return request.user_id, request.requester.device_id or ""
