"""One user's presence, put together from his devices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

BUSY = "busy"
"""MSC3026: here, and not to be disturbed; in a call, say."""
ONLINE = "online"
UNAVAILABLE = "unavailable"
OFFLINE = "offline"
# The most present first.
STATES = (BUSY, ONLINE, UNAVAILABLE, OFFLINE)
_ACTIVE = (BUSY, ONLINE)

# A device that neither synced nor said anything for so long is gone. Longer than a long poll and its answer take.
DEVICE_TIMEOUT_MS = 90_000
# Other servers say it again after some 25 minutes; one that is gone says nothing.
REMOTE_TIMEOUT_MS = 35 * 60_000
# "During this period clients must consider the user to be currently active".
CURRENTLY_ACTIVE_MS = 60_000
MAX_DEVICES = 50
# So long is remembered when somebody was active last.
REMEMBERED_MS = 24 * 60 * 60 * 1000


@dataclass(slots=True)
class DevicePresence:
    """What a device last said, and until when that holds."""

    state: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What others are told of, again only when it changes."""

    state: str
    status_msg: str | None
    currently_active: bool


@dataclass(slots=True)
class UserPresence:
    """`shown` is what was announced last. `last_active_ms`: 0 where the user was not seen since the server's start."""

    status_msg: str | None = None
    last_active_ms: int = 0
    devices: dict[str, DevicePresence] = field(default_factory=dict)
    shown: Shown = Shown(OFFLINE, None, False)
    heard_ms: int | None = None
    """When another server last told of the user, who is one of its own then."""

    def device_says(self, device_id: str, state: str, now_ms: int) -> None:
        """A device is online, idle, or gone."""
        if state == OFFLINE:
            self.devices.pop(device_id, None)
            return
        # Who was never seen active was active at the latest when a first device of his appeared.
        if state in _ACTIVE or not self.last_active_ms:
            self.last_active_ms = now_ms
        if device_id not in self.devices and len(self.devices) >= MAX_DEVICES:
            del self.devices[next(iter(self.devices))]
        self.devices[device_id] = DevicePresence(state, now_ms + DEVICE_TIMEOUT_MS)

    def device_syncs(self, device_id: str, state: str, now_ms: int) -> None:
        """A device that is busy does not stop being so by syncing: most clients say `online` there without knowing of it."""
        known = self.devices.get(device_id)
        is_busy = known is not None and known.state == BUSY and known.until_ms > now_ms
        self.device_says(device_id, BUSY if is_busy else state, now_ms)

    def server_says(self, state: str, status_msg: str | None, last_active_ms: int, now_ms: int) -> None:
        """The user's own server tells how present he is, all of his devices together."""
        self.status_msg, self.last_active_ms, self.heard_ms = status_msg, last_active_ms, now_ms
        self.devices.clear()
        if state != OFFLINE:
            self.devices[""] = DevicePresence(state, now_ms + REMOTE_TIMEOUT_MS)

    def current(self, now_ms: int) -> Shown:
        """The user is as present as the most present of his devices."""
        for device_id in [device_id for device_id, device in self.devices.items() if device.until_ms <= now_ms]:
            del self.devices[device_id]
        state = _most_present(device.state for device in self.devices.values())
        active = state in _ACTIVE and now_ms - self.last_active_ms < CURRENTLY_ACTIVE_MS
        return Shown(state, self.status_msg, active)

    def content(self, now_ms: int) -> dict[str, Any]:
        """The content of an `m.presence` event, with an up-to-date `last_active_ago` (milliseconds)."""
        content: dict[str, Any] = {"presence": self.shown.state}
        if self.last_active_ms:
            content["last_active_ago"] = max(0, now_ms - self.last_active_ms)
        if self.status_msg is not None:
            content["status_msg"] = self.status_msg
        if self.shown.state in _ACTIVE:
            content["currently_active"] = self.shown.currently_active
        return content

    def is_worth_keeping(self, now_ms: int) -> bool:
        """Nobody learns anything from somebody who is offline for long and has nothing to say. What users of other servers
        have to say is forgotten too once they are gone for long: they are any number, and say it again.
        """
        if self.heard_ms is not None:
            return bool(self.devices) or now_ms - self.heard_ms < REMEMBERED_MS
        return bool(self.devices) or self.status_msg is not None or now_ms - self.last_active_ms < REMEMBERED_MS


def _most_present(states: Iterable[str]) -> str:
    found = set(states)
    return next((state for state in STATES if state in found), OFFLINE)
