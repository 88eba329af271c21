"""What happens here, and whom it concerns: from committed events, typing, receipts, presence and keys to the sender."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.federation.sending.destination import presence_edu
from homeserver.protocol.errors import MatrixError, NotFound
from homeserver.protocol.identifiers import server_name_of
from homeserver.services.rooms.timeline_event import REDACTED
from homeserver.services.rooms.unsigned import came_in, replaced_membership
from homeserver.storage.device_changes import Newcomer

if TYPE_CHECKING:
    from homeserver.federation.sending.destination import Edu
    from homeserver.federation.sending.device_announcements import DeviceAnnouncements
    from homeserver.federation.sending.meetings import Meetings
    from homeserver.federation.sending.sender import Sender
    from homeserver.federation.sending.sticky_backlog import StickyBacklog
    from homeserver.services.awake import AwakeUsers
    from homeserver.services.receipts.receipt import Receipt
    from homeserver.services.rooms.live_room import LiveRoom
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.database import Queries
    from homeserver.storage.device_changes import DeviceChangeRows
    from homeserver.storage.outbound import OutboundRows, Progress
    from homeserver.storage.positions import StreamPosition

MAX_WAITING: Final = 10_000
"""Ephemeral things whose rooms are not known yet; beyond it they are not told to others."""

log = logging.getLogger(__name__)

_NO_SERVERS: Final[frozenset[str]] = frozenset()


@dataclass(slots=True)
class Announcements:
    """Listeners are synchronous; what needs the database is done by one task, in order.

    What passes waits in `_work`, which is bounded; what must not be lost has places of its own, and is looked for again.
    """

    server_name: str
    sender: Sender
    cache: RoomCache
    awake: AwakeUsers
    queries: Queries
    outbound: OutboundRows
    changes: DeviceChangeRows
    devices: DeviceAnnouncements
    lists: StreamPosition
    sticky: StickyBacklog
    meetings: Meetings
    _work: asyncio.Queue[Any] = field(default_factory=lambda: asyncio.Queue(MAX_WAITING))
    _presence: dict[str, Edu] = field(default_factory=dict)
    """The newest of each user that is not told yet."""
    _homeless: dict[int, TimelineEvent] = field(default_factory=dict)
    """Events whose room is not in memory, by position."""
    _admitted: list[str] = field(default_factory=list)
    _newest: int = 0
    _busy: bool = False
    _task: asyncio.Task[None] | None = None

    # --- Events ---

    def events(self, events: Sequence[TimelineEvent]) -> None:
        """Our own events go to all servers in the room, and to that of somebody whom they put out."""
        for event, still_there in _with_servers_put_out_later(events):
            if self._is_ours(event.sender):
                self._distribute(event, still_there)
            if event.flags & REDACTED:
                self.sender.transactions.forget([event.event_id])
        self.meetings.note(events)
        if self.sticky.note(events):
            self._put("look", None)
        self._newest = max(self._newest, *(event.position for event in events))
        self._pass()

    def admitted(self, event: TimelineEvent) -> None:
        """An event of another server's user that came in through our door, or was made here: the others hear of it from us."""
        self._admitted.append(event.event_id)
        self._distribute(event)
        self._put("look", None)

    def _distribute(self, event: TimelineEvent, still_there: Collection[str] = ()) -> None:
        room = self.cache.peek(event.room_id)
        if room is None:
            self._homeless[event.position] = event
            self._put("look", None)
        else:
            self._send_out(event, room, still_there)

    def _send_out(self, event: TimelineEvent, room: LiveRoom, still_there: Collection[str] = ()) -> None:
        servers = {*room.servers, *still_there, *_put_out(event)} - {self.server_name}
        if not self._is_ours(event.state_key or ""):
            # Who brought it has it. An invitation of a user of ours was made here, whoever sent it to his address.
            servers.discard(server_name_of(event.sender))
        if not servers:
            return
        if self._is_ours(event.state_key or "") and came_in(event):
            self.devices.came(Newcomer(event.state_key or "", event.room_nid, event.position, servers))
            self._put("look", None)
            if room.joined_local == {event.state_key}:
                # Nobody of ours was there before: whoever let him in tells the others.
                return
        self.sender.want(servers, event.position, event.event_id)

    def _pass(self) -> None:
        self.sender.passed(min(self._homeless) - 1 if self._homeless else self._newest)

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
        if self._is_ours(user_id) and (len(self._presence) < MAX_WAITING or user_id in self._presence):
            self._presence[user_id] = presence_edu(user_id, content)
            self._put("presence", None)

    def to_device(self, destinations: Collection[str]) -> None:
        """Messages for devices of these servers have been stored."""
        self.sender.want_to_device(destinations)

    # --- Keys ---

    def keys(self, user_id: str) -> None:
        """Something about a user's devices or keys has changed, or may have."""
        if self._is_ours(user_id):
            self.devices.changed([user_id])
            self._put("look", None)

    # --- One after the other ---

    def _put(self, kind: str, what: Any) -> None:
        try:
            self._work.put_nowait((kind, what))
        except asyncio.QueueFull:
            if kind != "look":
                log.warning("too much to tell other servers of: something that passes is not told")

    async def start(self, before: Progress) -> None:
        """Begin to work. `before`: where the last start ended; keys that were changed since may not be recorded."""
        self._newest = before.events
        if before.lists < self.lists.current:
            changed = await self.changes.unrecorded(self.queries, before.lists)
            self.devices.changed(filter(self._is_ours, changed))
            self._put("look", None)
        self._task = asyncio.create_task(self._run(), name="tell-other-servers")

    async def stop(self) -> None:
        """Do what is left and must not be lost, then end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._look()

    async def look_again(self) -> None:
        """Called every second: what failed because the database was away, and how far we are."""
        self._put("look", None)

    async def _run(self) -> None:
        while True:
            kind, what = await self._work.get()
            self._busy = True
            try:
                await self._do(kind, what)
            except MatrixError as error:
                log.info("other servers were not told of %s: %s", kind, error)
            except Exception:
                log.exception("other servers could not be told of %s", kind)
            finally:
                self._busy = False

    async def _do(self, kind: str, what: Any) -> None:
        if kind == "look":
            await self._look()
        elif kind == "say":
            room_id, key, edu = what
            self.sender.say((await self.cache.get(room_id)).servers, key, edu)
        elif kind == "presence":
            await self._tell_presence()

    async def _tell_presence(self) -> None:
        """Of everybody of whom there is something new; at most one statement."""
        shown, self._presence = self._presence, {}
        around = await self._servers_around(shown)
        for user_id, edu in shown.items():
            self.sender.say(around.get(user_id, ()), ("m.presence", user_id), edu)

    async def _servers_around(self, user_ids: Collection[str]) -> Mapping[str, Collection[str]]:
        """By user. No statement where the users and their rooms are in memory."""
        around: dict[str, Collection[str]] = {}
        for user_id in user_ids:
            servers = self._remembered_servers(user_id)
            if servers is not None:
                around[user_id] = servers
        unknown = [user_id for user_id in user_ids if user_id not in around]
        return around | await self.changes.sharing_servers(self.queries, unknown) if unknown else around

    def _remembered_servers(self, user_id: str) -> Collection[str] | None:
        user, servers = self.awake.peek(user_id), set[str]()
        if user is None:
            return None
        for room_id in user.with_membership("join"):
            room = self.cache.peek(room_id)
            if room is None:
                return None
            servers.update(room.servers)
        return servers

    async def _look(self) -> None:
        """Everything that must not be lost."""
        if self._admitted:
            event_ids = list(self._admitted)
            await self.outbound.mark_forwarded(self.queries, event_ids)
            del self._admitted[: len(event_ids)]
        while self._homeless:
            position, event = next(iter(self._homeless.items()))
            with suppress(NotFound):
                self._send_out(event, await self.cache.get(event.room_id))
            del self._homeless[position]
            self._pass()
        self.meetings.tell()
        await self.sticky.tell()
        await self.devices.tell()

    def memory_usage(self) -> dict[str, int]:
        """What is not told yet, and what is being done about it."""
        return {
            "work": self._work.qsize() + self._busy,
            "events": len(self._homeless),
            "presence": len(self._presence),
            "devices": self.devices.waiting,
            "sticky": self.sticky.waiting,
        }


def _put_out(event: TimelineEvent) -> Collection[str]:
    """The server of somebody whom this event puts out, or whose invite or knock it ends."""
    if event.state_key is None or event.membership not in ("leave", "ban"):
        return ()
    return (server_name_of(event.state_key),) if replaced_membership(event) in ("join", "invite", "knock") else ()


def _with_servers_put_out_later(events: Sequence[TimelineEvent]) -> list[tuple[TimelineEvent, frozenset[str]]]:
    """Each event with the servers that were in its room still, and are put out by what was committed together with it.

    The room in memory is as it is after all of them. Who is put out has to get what came before: he is told of his departure,
    which is built on that, and is let have nothing afterwards.
    """
    put_out: dict[str, frozenset[str]] = {}
    found = []
    for event in reversed(events):
        found.append((event, put_out.get(event.room_id, _NO_SERVERS)))
        if event.membership in ("leave", "ban") and replaced_membership(event) == "join":
            put_out[event.room_id] = found[-1][1] | {server_name_of(event.state_key or "")}
    return found[::-1]
