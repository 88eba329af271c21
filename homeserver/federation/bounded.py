"""A dictionary that forgets what was not used for longest: names come from the network, memory must not grow with them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Bounded(Generic[Key, Value]):
    """At most `capacity` entries."""

    __slots__ = ("_capacity", "_entries")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value, which counts as used now."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: Key, value: Value) -> Key | None:
        """Remember; returns the key that was forgotten for it."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) <= self._capacity:
            return None
        return self._entries.popitem(last=False)[0]

    def pop(self, key: Key) -> Value | None:
        """Forget."""
        return self._entries.pop(key, None)

    def snapshot(self) -> dict[Key, Value]:
        """A copy of everything; nothing counts as used by it."""
        return dict(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
