"""Receipts, typing and who is in voice channels, by room: what the filter lets through, as events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from homeserver.protocol.filters import RoomEventFilter
from homeserver.services.sight import Sight
from homeserver.services.sync.sources import ReceiptSource, TypingSource, VoiceSource
from homeserver.services.tokens import StreamToken

RECEIPT = "m.receipt"
TYPING = "m.typing"
VOICE = "org.voicechat.voice"
VOICE_CHANNELS = "org.voicechat.voice_channels"
"""In spaces."""


@dataclass(slots=True)
class EphemeralEvents:
    """Events by room, and the rooms whose unread counts the reader's own receipts have changed."""

    by_room: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    own_receipts: set[str] = field(default_factory=set)

    @property
    def rooms(self) -> set[str]:
        return self.by_room.keys() | self.own_receipts

    def add(self, room_id: str, event_type: str, content: Any, wanted: RoomEventFilter) -> None:
        """Add one event if it is wanted."""
        if wanted.matches(event_type, room_id=room_id):
            self.by_room.setdefault(room_id, []).append({"type": event_type, "content": content})

    def add_encoded(self, room_id: str, event_type: str, content: bytes | None, wanted: RoomEventFilter) -> None:
        """The same with content that is JSON already, if there is any."""
        if content is not None:
            self.add(room_id, event_type, orjson.Fragment(content), wanted)


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """Everything, or what changed."""

    receipts: ReceiptSource
    typing: TypingSource
    voice: VoiceSource

    async def everything(
        self, user_id: str, room_ids: Sequence[str], wanted: RoomEventFilter, sight: Sight
    ) -> EphemeralEvents:
        """All receipts and everybody who is typing or talks in these rooms."""
        found = EphemeralEvents()
        if not room_ids:
            return found
        stopped = set(self.typing.changed_rooms(0, self.typing.stream.current))
        for room_id in room_ids:
            users = self.typing.users(room_id)
            # Where somebody has just stopped, that is said as well: whoever begins anew may show him still.
            if users or room_id in stopped:
                found.add(room_id, TYPING, {"user_ids": list(users)}, wanted)
            found.add_encoded(room_id, VOICE, self.voice.roster(room_id), wanted)
            found.add_encoded(room_id, VOICE_CHANNELS, self.voice.channels(room_id, sight), wanted)
        if wanted.types.includes(RECEIPT):
            for room_id, content in (await self.receipts.everything(user_id, room_ids)).items():
                found.add(room_id, RECEIPT, content, wanted)
        return found

    async def changed(
        self, user_id: str, sight: Sight, since: StreamToken, to: StreamToken, wanted: RoomEventFilter
    ) -> EphemeralEvents:
        """What changed in the reader's joined rooms."""
        found, room_ids = EphemeralEvents(), sight.joined
        if since.typing < to.typing:
            for room_id in self.typing.changed_rooms(since.typing, to.typing):
                if room_id in room_ids:
                    found.add(room_id, TYPING, {"user_ids": list(self.typing.users(room_id))}, wanted)
        if since.voice < to.voice:
            self._add_voice(found, sight, since.voice, to.voice, wanted)
        if since.receipts < to.receipts:
            changed = await self.receipts.changed(user_id, room_ids, since.receipts, to.receipts)
            for room_id, content in changed.items():
                found.add(room_id, RECEIPT, content, wanted)
                if _is_of(user_id, content):
                    found.own_receipts.add(room_id)
        return found

    def _add_voice(self, found: EphemeralEvents, sight: Sight, since: int, to: int, wanted: RoomEventFilter) -> None:
        if wanted.types.includes(VOICE):
            for room_id, content in self.voice.changed_rosters(sight.joined, since, to).items():
                found.add_encoded(room_id, VOICE, content, wanted)
        if wanted.types.includes(VOICE_CHANNELS):
            for space_id, content in self.voice.changed_channels(sight, since, to).items():
                found.add_encoded(space_id, VOICE_CHANNELS, content, wanted)


def _is_of(user_id: str, receipts: Mapping[str, Any]) -> bool:
    return any(user_id in users for kinds in receipts.values() for users in kinds.values())
