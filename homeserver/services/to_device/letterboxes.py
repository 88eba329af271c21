"""What waits for awake devices, in memory.

A letterbox is *complete* from the moment it was loaded: every later message is put into it after its commit. It stops
being complete (and is dropped) when it overflows; the database has everything, the next sync loads it again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

DeviceName = tuple[str, str]
"""User id and device id."""

# A device that reads gets at most 100 messages a sync; more than a few syncs' worth is left to the database.
MAX_MESSAGES = 300
MAX_BYTES = 1024 * 1024
# All boxes together.
MAX_BYTES_IN_ALL = 64 * 1024 * 1024


@dataclass(slots=True)
class Letterbox:
    """Messages of one device by position, oldest first."""

    messages: dict[int, bytes] = field(default_factory=dict)
    size: int = 0
    read_upto: int = 0
    """The device has read up to here; what the database still has of it is waiting to be deleted."""

    def put(self, position: int, message: bytes) -> bool:
        """Add a message; False if the box is full now."""
        self.messages[position] = message
        self.size += len(message)
        return len(self.messages) <= MAX_MESSAGES and self.size <= MAX_BYTES

    def remove_upto(self, position: int) -> bool:
        """Remove what was read; False if nothing was there."""
        self.read_upto = max(self.read_upto, position)
        read = [waiting for waiting in self.messages if waiting <= position]
        for waiting in read:
            self.size -= len(self.messages.pop(waiting))
        return bool(read)

    def between(self, since: int, to: int) -> list[tuple[int, bytes]]:
        """Messages in `(since, to]`, oldest first."""
        return sorted((position, message) for position, message in self.messages.items() if since < position <= to)


@dataclass(slots=True)
class Letterboxes:
    """Bounded cache of complete letterboxes; the device that read least recently goes first.

    `capacity` counts boxes, `max_bytes` what lies in all of them.
    """

    capacity: int = 20_000
    max_bytes: int = MAX_BYTES_IN_ALL
    _size: int = 0
    _boxes: OrderedDict[DeviceName, Letterbox] = field(default_factory=OrderedDict)
    _loading: dict[DeviceName, Letterbox] = field(default_factory=dict)

    def get(self, device: DeviceName) -> Letterbox | None:
        """The device's box, if it is in memory and complete."""
        box = self._boxes.get(device)
        if box is not None:
            self._boxes.move_to_end(device)
        return box

    def put(self, device: DeviceName, position: int, message: bytes) -> None:
        """Deliver a committed message."""
        box = self._boxes.get(device)
        if box is not None:
            self._size += len(message)
            if not box.put(position, message):
                self._drop(device)
            self._bound()
        loading = self._loading.get(device)
        if loading is not None:
            loading.put(position, message)

    def remove_upto(self, device: DeviceName, position: int) -> bool:
        """Remove what a device has read; False if that is known to have been nothing."""
        loading = self._loading.get(device)
        if loading is not None:
            loading.remove_upto(position)
        box = self._boxes.get(device)
        if box is None:
            return True
        before = box.size
        was_there = box.remove_upto(position)
        self._size += box.size - before
        return was_there

    def begin_loading(self, device: DeviceName) -> Letterbox:
        """Call before asking the database: messages that commit meanwhile are collected in the returned box."""
        return self._loading.setdefault(device, Letterbox())

    def finish_loading(self, device: DeviceName, collected: Letterbox, stored: Sequence[tuple[int, bytes]]) -> None:
        """Keep what the database had and what came meanwhile, unless it is too much to keep."""
        if self._loading.get(device) is not collected:
            # Another request has finished loading, or the device is gone: nothing was collected since.
            return
        del self._loading[device]
        stored = list({**dict(stored), **collected.messages}.items())
        box = Letterbox(read_upto=collected.read_upto)
        unread = sorted(letter for letter in stored if letter[0] > collected.read_upto)
        if all([box.put(position, message) for position, message in unread]):  # noqa: C419  (put them all)
            self._drop(device)
            self._boxes[device] = box
            self._size += box.size
            self._bound()

    def _bound(self) -> None:
        while len(self._boxes) > self.capacity or self._size > self.max_bytes:
            self._drop(next(iter(self._boxes)))

    def _drop(self, device: DeviceName) -> None:
        box = self._boxes.pop(device, None)
        if box is not None:
            self._size -= box.size

    def abandon_loading(self, device: DeviceName, collected: Letterbox) -> None:
        """The database did not answer, or had too much."""
        if self._loading.get(device) is collected:
            del self._loading[device]

    def drop(self, devices: Iterable[DeviceName]) -> None:
        """Forget deleted devices."""
        for device in devices:
            self._drop(device)
            self._loading.pop(device, None)

    def forget_users(self, user_ids: Collection[str]) -> None:
        """It is not known whether messages to these users were stored: load their boxes again."""
        self.drop([device for device in {**self._boxes, **self._loading} if device[0] in user_ids])

    def memory_usage(self) -> dict[str, int]:
        """Counts and bytes for the memory report."""
        return {
            "boxes": len(self._boxes),
            "messages": sum(len(box.messages) for box in self._boxes.values()),
            "bytes": self._size,
        }
