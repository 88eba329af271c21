"""Keys of a call's frames: each participant has one of his own, and sends it to the others by Olm."""

from __future__ import annotations

import base64
import binascii
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from voice.bot.olm_device import OlmDevice, Opened

log = logging.getLogger(__name__)

EVENT_TYPE = "io.element.call.encryption_keys"
KEY_BYTES = 16
MAX_INDEX = 255

SetKey = Callable[[str, bytes, int], None]
"""Identity at the SFU, key, index."""


@dataclass(slots=True)
class MediaKeys:
    """`set_key` gives a key to the media engine, our own included."""

    device: OlmDevice
    room_id: str
    set_key: SetKey
    key: bytes = field(default_factory=lambda: secrets.token_bytes(KEY_BYTES), repr=False)
    _told: set[tuple[str, str]] = field(default_factory=set)

    def use_own(self) -> None:
        me = self.device.client
        self.set_key(f"{me.user_id}:{me.device_id}", self.key, 0)

    async def tell(self, members: Sequence[tuple[str, str]]) -> None:
        """Our key to everybody in the call who does not have it yet."""
        me = (self.device.client.user_id, self.device.client.device_id)
        missing = [each for each in members if each not in self._told and each != me]
        if not missing:
            return
        devices = await self.device.devices_of(sorted({user_id for user_id, _ in missing}))
        wanted = [each for each in devices if (each.user_id, each.device_id) in missing]
        await self.device.send(EVENT_TYPE, self._content(), wanted)
        self._told.update((each.user_id, each.device_id) for each in wanted)

    def take(self, opened: Opened) -> None:
        """Somebody's key came."""
        try:
            content = opened.content
            key, index = content["keys"]["key"], int(content["keys"]["index"])
            device_id = content["member"]["claimed_device_id"]
            raw = base64.b64decode(key + "=" * (-len(key) % 4))
        except (KeyError, TypeError, ValueError, binascii.Error):
            log.warning("%s sent a key that cannot be read", opened.sender)
            return
        if content.get("room_id") == self.room_id and 0 <= index <= MAX_INDEX:
            self.set_key(f"{opened.sender}:{device_id}", raw, index)

    def _content(self) -> dict[str, Any]:
        me = self.device.client
        return {
            "keys": {"index": 0, "key": base64.b64encode(self.key).rstrip(b"=").decode()},
            "room_id": self.room_id,
            "member": {"id": f"{me.user_id}:{me.device_id}", "claimed_device_id": me.device_id},
            "session": {"call_id": "", "application": "m.call", "scope": "m.room"},
            "sent_ts": int(time.time() * 1000),
        }
