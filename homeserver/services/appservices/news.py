"""What is no event: typing, receipts, presence, device lists, counts of keys and messages to devices, and whom it concerns.

Application service API, "Pushing ephemeral data"; MSC4203 (messages to devices), MSC3202 (device lists, counts).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.services.receipts.receipt import READ

if TYPE_CHECKING:
    from homeserver.services.appservices.appservice import Appservice
    from homeserver.services.appservices.interests import Concerned, Interests
    from homeserver.services.appservices.queue import DeviceName, Edu, Queue
    from homeserver.services.appservices.registry import Appservices
    from homeserver.services.receipts.receipt import Receipt
    from homeserver.storage.appservices import AppserviceRows
    from homeserver.storage.database import Queries

MAX_WAITING: Final = 10_000
"""Of each kind; what passes is not told beyond it."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class News:
    """Listeners are synchronous; what needs the database is gathered, and done by one task."""

    appservices: Appservices
    interests: Interests
    queues: Mapping[Appservice, Queue]
    start: Callable[[Queue], None]
    queries: Queries
    rows: AppserviceRows
    typing_users: Callable[[str], Collection[str]]
    """Who types in a room now."""
    _rooms: dict[tuple[str, ...], tuple[str, Edu]] = field(default_factory=dict)
    """Of rooms that have to be looked at: (room, what to say) by its key."""
    _presence: dict[str, Edu] = field(default_factory=dict)
    _lists: dict[str, None] = field(default_factory=dict)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Look for what was missed while the server was down, then follow."""
        encrypting = [queue for queue in self.queues.values() if queue.appservice.encrypts]
        if encrypting:
            oldest = min(queue.progress.lists for queue in encrypting)
            self._lists.update(dict.fromkeys(await self.rows.lists_changed_after(self.queries, oldest)))
            self.letters(await self.rows.waiting_devices(self.queries))
        self._arrived.set()
        self._task = asyncio.create_task(self._run(), name="tell-appservices-news")

    async def stop(self) -> None:
        """What passes is forgotten."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # -- in rooms ----------------------------------------------------------------------------------

    def typing(self, user_id: str, room_id: str, is_typing: bool) -> None:
        """A listener of typing."""
        content = {"user_ids": list(self.typing_users(room_id))}
        self._say(room_id, ("m.typing", room_id), {"type": "m.typing", "room_id": room_id, "content": content})

    def receipt(self, receipt: Receipt) -> None:
        """A listener of receipts. Private ones are told only to whom the user belongs."""
        content = {receipt.event_id: {receipt.receipt_type: {receipt.user_id: receipt.content()}}}
        edu: Edu = {"type": "m.receipt", "room_id": receipt.room_id, "content": content}
        key = ("m.receipt", receipt.room_id, receipt.user_id, receipt.receipt_type, receipt.thread_id)
        if receipt.receipt_type == READ:
            self._say(receipt.room_id, key, edu)
        else:
            self._tell(self.appservices.of_user(receipt.user_id), key, edu)

    def _say(self, room_id: str, key: tuple[str, ...], edu: Edu) -> None:
        concerned = self.interests.known_of_room(room_id)
        if concerned is not None:
            self._tell(concerned, key, edu)
        elif len(self._rooms) < MAX_WAITING:
            self._rooms[key] = (room_id, edu)
            self._arrived.set()

    def _tell(self, concerned: Collection[Appservice], key: tuple[str, ...], edu: Edu) -> None:
        for appservice in concerned:
            queue = self.queues.get(appservice)
            if queue is not None and appservice.receive_ephemeral:
                queue.say(key, edu)
                self.start(queue)

    # -- of users ----------------------------------------------------------------------------------

    def presence(self, user_id: str, content: dict[str, Any]) -> None:
        """A listener of presence."""
        if len(self._presence) < MAX_WAITING or user_id in self._presence:
            self._presence[user_id] = {"type": "m.presence", "sender": user_id, "content": content}
            self._arrived.set()

    def keys(self, user_id: str) -> None:
        """A listener of device lists."""
        self._lists[user_id] = None
        self._arrived.set()

    # -- of devices that belong to application services -------------------------------------------------

    def counts(self, devices: Collection[DeviceName]) -> None:
        """A listener of counts of keys."""
        for queue, device in self._owners(devices):
            queue.counts[device] = None
            self.start(queue)

    def letters(self, devices: Collection[DeviceName]) -> None:
        """A listener of messages to devices."""
        for queue, device in self._owners(devices):
            queue.letters[device] = None
            self.start(queue)

    def _owners(self, devices: Collection[DeviceName]) -> Iterator[tuple[Queue, DeviceName]]:
        """Of users who are nobody else's: messages of people who sync for themselves are theirs alone."""
        for device in devices:
            for appservice in self.appservices.of_user(device[0]):
                queue = self.queues.get(appservice)
                if queue is not None and appservice.encrypts and appservice.owns_user(device[0]):
                    yield queue, device

    # -- one after the other ------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                await self._look()
            except Exception:
                log.exception("application services were not told everything that is not an event")

    async def _look(self) -> None:
        rooms, self._rooms = self._rooms, {}
        concerned = await self.interests.of_rooms(room_id for room_id, _ in rooms.values())
        for key, (room_id, edu) in rooms.items():
            self._tell(concerned[room_id], key, edu)
        presence, self._presence = self._presence, {}
        lists, self._lists = self._lists, {}
        if not presence and not lists:
            return
        try:
            around = await self._around({*presence, *lists})
        except BaseException:
            self._lists = {**lists, **self._lists}
            raise
        for user_id, edu in presence.items():
            self._tell(around[user_id], ("m.presence", user_id), edu)
        for user_id in lists:
            self._tell_list(user_id, around[user_id])

    def _tell_list(self, user_id: str, concerned: Concerned) -> None:
        for appservice in concerned:
            queue = self.queues.get(appservice)
            if queue is not None and appservice.encrypts:
                queue.list_changed(user_id)
                self.start(queue)

    async def _around(self, user_ids: Collection[str]) -> dict[str, Concerned]:
        """Those that share a room with each user, or whose he is. One statement, and those of rooms not seen before."""
        around: dict[str, Concerned] = {user_id: frozenset(self.appservices.of_user(user_id)) for user_id in user_ids}
        joined = await self.rows.rooms_of_each(self.queries, user_ids)
        concerned = await self.interests.of_rooms(room_id for _, room_id in joined)
        for user_id, room_id in joined:
            around[user_id] |= concerned[room_id]
        return around

    @property
    def waiting(self) -> int:
        """What has to be looked at."""
        return len(self._rooms) + len(self._presence) + len(self._lists)
