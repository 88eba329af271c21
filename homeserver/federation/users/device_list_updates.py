"""Changes of devices and cross-signing keys of other servers' users: followed where they follow, else asked for anew.

Source: server-server API, "Device Management": "the receiving server [...] must resync" where a change is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from homeserver.federation.client import Limits, request_uri
from homeserver.federation.users.key_answers import (
    MAX_DEVICES,
    MAX_STREAM_ID,
    read_cross_signing,
    read_device,
    read_list_answer,
)
from homeserver.protocol.errors import Forbidden, InvalidParam, MatrixError
from homeserver.protocol.identifiers import is_user_id, server_name_of
from homeserver.services.rooms.unsigned import came_in
from homeserver.storage.remote_devices import RemoteDevice

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient
    from homeserver.services.clock import Clock
    from homeserver.services.device_lists.changes import DeviceLists
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.storage.cross_signing import CrossSigningKeys
    from homeserver.storage.database import Database
    from homeserver.storage.remote_devices import RemoteDevices

USER_DEVICES: Final = "/_matrix/federation/v1/user/devices"
LIMITS: Final = Limits(timeout_ms=15_000, max_bytes=4 * 1024 * 1024)
RESYNCS_AT_ONCE: Final = 10
RESYNCS_OF_SERVER: Final = 2
"""So that one that answers slowly, or tells new changes all the time, does not keep the lists of others from us."""
MAX_ROUNDS: Final = 3
"""Of whom there are new changes each time: whoever needs the list asks for it."""
MAX_WAITING: Final = 2_000
"""Users whose lists wait to be asked for; of those beyond it the list is asked for when somebody needs it."""
FORGET_AFTER_MS: Final = 7 * 24 * 60 * 60_000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Turns:
    """Lists of one server that are asked for, or wait for it."""

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(RESYNCS_OF_SERVER))
    users: int = 0


@dataclass(slots=True)
class RemoteDeviceUpdates:
    """Receivers of `m.device_list_update` and `m.signing_key_update`."""

    database: Database
    rows: RemoteDevices
    cache: RoomCache
    cross_signing: CrossSigningKeys
    device_lists: DeviceLists
    client: FederationClient
    clock: Clock
    server_name: str
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(RESYNCS_AT_ONCE))
    _turns: dict[str, _Turns] = field(default_factory=dict)
    _resyncing: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _again: set[str] = field(default_factory=set)
    _returned: set[str] = field(default_factory=set)
    _entered: set[int] = field(default_factory=set)
    """Rooms into which we came, by number."""
    _flushing: asyncio.Task[None] | None = None

    # --- EDUs ---

    async def device_list_update(self, origin: str, content: dict[str, Any]) -> None:
        """One device came, changed or went. Raises InvalidParam, Forbidden."""
        user_id = _owner(origin, content)
        stream_id, device_id = content.get("stream_id"), content.get("device_id")
        if type(stream_id) is not int or not 0 <= stream_id <= MAX_STREAM_ID or not isinstance(device_id, str):
            raise InvalidParam("A change of a device has a stream_id and a device_id")
        if not await self.rows.tracked(self.database, [user_id], self.server_name):
            return
        if await self._follow(user_id, device_id, stream_id, content):
            await self.device_lists.announce(user_id)
        else:
            await self._resync_soon(user_id)

    async def _follow(self, user_id: str, device_id: str, stream_id: int, content: dict[str, Any]) -> bool:
        previous = content.get("prev_id")
        if not isinstance(previous, list) or len(previous) != 1 or type(previous[0]) is not int:
            return False
        if not 0 <= previous[0] <= MAX_STREAM_ID:
            return False
        deleted = content.get("deleted") is True
        name = content.get("device_display_name")
        device = read_device(user_id, device_id, content.get("keys"), name)
        if device is None and not deleted:
            return False  # a device without keys, or with keys that are none: the whole list will tell
        return await self.rows.follow(
            self.database,
            user_id,
            previous[0],
            stream_id,
            device or RemoteDevice(device_id, None, b""),
            deleted=deleted,
            most=MAX_DEVICES,
        )

    async def signing_key_update(self, origin: str, content: dict[str, Any]) -> None:
        """A user has new cross-signing keys. Raises InvalidParam, Forbidden."""
        user_id = _owner(origin, content)
        keys = read_cross_signing(
            user_id, {"master": content.get("master_key"), "self_signing": content.get("self_signing_key")}
        )
        if not keys or not await self.rows.tracked(self.database, [user_id], self.server_name):
            return
        await self.cross_signing.store(self.database, user_id, keys, self.clock.now_ms())
        await self.device_lists.announce(user_id)

    # --- Asking for a whole list ---

    async def _resync_soon(self, user_id: str) -> None:
        """Whoever asks meanwhile asks the user's server himself."""
        await self.rows.make_stale(self.database, [user_id])
        if user_id in self._resyncing:
            self._again.add(user_id)
        elif len(self._resyncing) < MAX_WAITING:
            task = self._resyncing[user_id] = asyncio.create_task(self._resync(user_id))
            task.add_done_callback(lambda done: self._resynced(user_id))
        else:
            await self.device_lists.announce(user_id)

    def _resynced(self, user_id: str) -> None:
        self._resyncing.pop(user_id, None)
        self._again.discard(user_id)

    async def _resync(self, user_id: str) -> None:
        server_name = server_name_of(user_id)
        turns = self._turns.setdefault(server_name, _Turns())
        turns.users += 1
        try:
            async with turns.slots, self._slots:
                await self._fetch_newest(user_id)
        finally:
            turns.users -= 1
            if not turns.users:
                self._turns.pop(server_name, None)
        try:
            await self.device_lists.announce(user_id)
        except MatrixError as error:
            log.warning("a change of the devices of %s could not be told: %s", user_id, error)

    async def _fetch_newest(self, user_id: str) -> None:
        for _ in range(MAX_ROUNDS):
            self._again.discard(user_id)
            try:
                await self._fetch(user_id)
            except MatrixError as error:
                log.info("the devices of %s are not to be had: %s", user_id, error)
            if user_id not in self._again:
                return
        await self.rows.make_stale(self.database, [user_id])

    async def _fetch(self, user_id: str) -> None:
        answer = await self.client.get(server_name_of(user_id), request_uri(USER_DEVICES, user_id), limits=LIMITS)
        told, keys = read_list_answer(answer, user_id)
        now_ms = self.clock.now_ms()
        async with self.database.transaction() as tx:
            await self.rows.replace(tx, [told], now_ms)
            await self.cross_signing.replace_all(tx, [user_id], keys, now_ms)

    # --- Who was away heard nothing ---

    def apply_events(self, events: Sequence[TimelineEvent]) -> None:
        """Of users who come into a room we may have missed changes, and of all in a room into which we come. Subscribed to
        the announcer.
        """
        for event in events:
            if event.state_key is None or not came_in(event):
                continue
            user_id = event.state_key
            if server_name_of(user_id) != self.server_name:
                self._returned.add(user_id)
            elif self._is_alone_of_ours(event.room_id, user_id):
                self._entered.add(event.room_nid)
        if self._returned or self._entered:
            self._flush_soon()

    def _is_alone_of_ours(self, room_id: str, user_id: str) -> bool:
        room = self.cache.peek(room_id)
        return room is None or room.joined_local <= {user_id}

    def _flush_soon(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_now(), name="ask-again-for-devices")

    async def _flush_now(self) -> None:
        with suppress(MatrixError):  # the database is away: it is tried again every second
            await self.flush()

    async def flush(self) -> None:
        """Lists of users who came into rooms are asked for again. Called every second, too; two statements at most."""
        returned, self._returned = self._returned, set()
        entered, self._entered = self._entered, set()
        try:
            if entered:
                await self.rows.make_rooms_stale(self.database, list(entered))
            if returned:
                await self.rows.make_stale(self.database, list(returned))
        except BaseException:
            self._returned |= returned
            self._entered |= entered
            raise

    async def tidy(self) -> None:
        """Housekeeping."""
        before_ms = self.clock.now_ms() - FORGET_AFTER_MS
        await self.rows.forget(self.database, before_ms)
        await self.cross_signing.forget_strangers(self.database, before_ms)

    async def stop(self) -> None:
        """Give up what is under way: lists are stale until they were asked for."""
        tasks = [*self._resyncing.values(), *([self._flushing] if self._flushing is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def memory_usage(self) -> dict[str, int]:
        """Users whose lists are being asked for, or will be."""
        return {"resyncing": len(self._resyncing), "returned": len(self._returned), "entered": len(self._entered)}


def _owner(origin: str, content: dict[str, Any]) -> str:
    user_id = content.get("user_id")
    if not isinstance(user_id, str) or not is_user_id(user_id):
        raise InvalidParam("'user_id' is no user id")
    if server_name_of(user_id) != origin:
        raise Forbidden("That is not a user of the server that tells it")
    return user_id
