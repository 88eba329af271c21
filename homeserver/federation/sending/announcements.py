"""What happens here, and whom it concerns: from committed events, typing, receipts, presence and keys to the sender."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol.errors import MatrixError
from homeserver.protocol.identifiers import server_name_of
from homeserver.services.rooms.timeline_event import REDACTED

if TYPE_CHECKING:
    from homeserver.federation.sending.device_updates import DeviceUpdates
    from homeserver.federation.sending.sender import Sender
    from homeserver.services.awake import AwakeUsers
    from homeserver.services.receipts.receipt import Receipt
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.database import Queries
    from homeserver.storage.device_changes import DeviceChangeRows
    from homeserver.storage.outbound import OutboundRows

MAX_WAITING: Final = 10_000
"""Ephemeral things whose rooms are not known yet; beyond it they are not told to others."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Announcements:
    """Listeners are synchronous; what needs the database is done by one task, in order."""

    server_name: str
    sender: Sender
    cache: RoomCache
    awake: AwakeUsers
    queries: Queries
    outbound: OutboundRows
    changes: DeviceChangeRows
    devices: DeviceUpdates
    _work: asyncio.Queue[Any] = field(default_factory=lambda: asyncio.Queue(MAX_WAITING))
    _changed_users: dict[str, None] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    # --- Events ---

    def events(self, events: Sequence[TimelineEvent]) -> None:
        """Our own events go to all servers in the room, and to that of somebody whom they put out."""
        for event in events:
            if self._is_ours(event.sender):
                self._distribute(event)
            if event.flags & REDACTED:
                self.sender.transactions.forget([event.event_id])
        self.sender.passed(max(event.position for event in events))

    def admitted(self, event: TimelineEvent) -> None:
        """An event of another server that came in through our door: the others hear of it from us."""
        room = self.cache.peek(event.room_id)
        if room is None:
            return
        servers = [name for name in room.servers if name not in (self.server_name, server_name_of(event.sender))]
        if servers:
            self.sender.want(servers, event.position, event.event_id)
            self._put("forwarded", event.event_id)

    def _distribute(self, event: TimelineEvent) -> None:
        room = self.cache.peek(event.room_id)
        if room is None:
            # It was just written, so it was in memory; what has gone since is found by catching up.
            log.warning("the room of %s is not in memory, other servers hear of it later", event.event_id)
            return
        servers = set(room.servers)
        if event.type == "m.room.member" and event.state_key is not None and event.membership in ("leave", "ban"):
            servers.add(server_name_of(event.state_key))
        servers.discard(self.server_name)
        if servers:
            self.sender.want(servers, event.position, event.event_id)

    def _is_ours(self, user_id: str) -> bool:
        return user_id.endswith(":" + self.server_name)

    # --- What is ephemeral ---

    def typing(self, user_id: str, room_id: str, is_typing: bool) -> None:
        """Somebody began, goes on, or stopped."""
        if self._is_ours(user_id):
            content = {"room_id": room_id, "user_id": user_id, "typing": is_typing}
            self._say(room_id, ("m.typing", room_id, user_id), "m.typing", content)

    def receipt(self, receipt: Receipt) -> None:
        """A public receipt."""
        if not self._is_ours(receipt.user_id):
            return
        data = receipt.content()
        told = {"data": data, "event_ids": [receipt.event_id]}
        content = {receipt.room_id: {receipt.receipt_type: {receipt.user_id: told}}}
        key = ("m.receipt", receipt.room_id, receipt.user_id, receipt.thread_id)
        self._say(receipt.room_id, key, "m.receipt", content)

    def _say(self, room_id: str, key: tuple[str, ...], edu_type: str, content: dict[str, Any]) -> None:
        edu = {"edu_type": edu_type, "content": content}
        room = self.cache.peek(room_id)
        if room is None:
            self._put("say", (room_id, key, edu))
        else:
            self.sender.say(room.servers, key, edu)

    def presence(self, user_id: str, content: dict[str, Any]) -> None:
        """Others are shown something new about a user."""
        if self._is_ours(user_id):
            push = {"user_id": user_id, "last_active_ago": 0, **content}
            self._put("presence", (user_id, {"edu_type": "m.presence", "content": {"push": [push]}}))

    def to_device(self, destinations: Collection[str]) -> None:
        """Messages for devices of these servers have been stored."""
        self.sender.want_to_device(destinations)

    # --- Keys ---

    def keys(self, user_id: str) -> None:
        """Something about a user's devices or keys has changed, or may have."""
        if self._is_ours(user_id) and user_id not in self._changed_users:
            self._changed_users[user_id] = None
            self._put("keys", None)

    # --- One after the other ---

    def _put(self, kind: str, what: Any) -> None:
        try:
            self._work.put_nowait((kind, what))
        except asyncio.QueueFull:
            log.warning("too much to tell other servers of: something that passes is not told")

    async def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.create_task(self._run(), name="tell-other-servers")

    async def stop(self) -> None:
        """Do what is left of keys, which must not be lost, then end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._tell_keys()

    async def _run(self) -> None:
        while True:
            kind, what = await self._work.get()
            try:
                await self._do(kind, what)
            except MatrixError as error:
                log.info("other servers were not told of %s: %s", kind, error)
            except Exception:
                log.exception("other servers could not be told of %s", kind)

    async def _do(self, kind: str, what: Any) -> None:
        if kind == "keys":
            await self._tell_keys()
        elif kind == "forwarded":
            await self.outbound.mark_forwarded(self.queries, [what])
        elif kind == "say":
            room_id, key, edu = what
            self.sender.say((await self.cache.get(room_id)).servers, key, edu)
        elif kind == "presence":
            user_id, edu = what
            servers: set[str] = set()
            for room_id in await self.awake.joined_room_ids(user_id):
                room = self.cache.peek(room_id)
                if room is not None:
                    servers.update(room.servers)
            self.sender.say(servers, ("m.presence", user_id), edu)

    async def _tell_keys(self) -> None:
        while self._changed_users:
            user_id = next(iter(self._changed_users))
            del self._changed_users[user_id]
            try:
                numbers = await self.devices.record(user_id)
                if numbers is not None:
                    servers = await self.changes.sharing_servers(self.queries, user_id)
                    self.sender.want_devices(servers, *numbers)
            except BaseException:
                self._changed_users[user_id] = None
                raise
