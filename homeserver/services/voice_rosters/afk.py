"""Tells those to go to the AFK channel who have been quiet for as long as their channel wants to wait."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import MatrixError
from homeserver.protocol.voice_channel import AFK_AFTER_MS, VOICE_CHANNEL, VoiceChannel, parse_voice_channel
from homeserver.services.requester import on_behalf_of
from homeserver.services.voice_rosters.seat import Seat, SeatKey
from voice.sfu.backend import SfuUnavailable

if TYPE_CHECKING:
    from homeserver.services.announcer import Resolved
    from homeserver.services.clock import Clock
    from homeserver.services.rooms.room_cache import RoomCache
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.services.voice_rosters.moves import Moves
    from homeserver.services.voice_rosters.rosters import Rosters

LOOK_INTERVAL_MS: Final = 5_000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class AwayFromKeyboard:
    """Remembers of everybody who is quiet since when. Nobody is told twice about one silence."""

    rosters: Rosters
    cache: RoomCache
    moves: Moves
    clock: Clock
    _quiet_since: dict[SeatKey, int] = field(default_factory=dict)
    _told: set[SeatKey] = field(default_factory=set)
    _channels: dict[str, VoiceChannel] = field(default_factory=dict)
    """Settings of channels in which somebody has been quiet for a while."""

    async def look(self) -> None:
        """Every LOOK_INTERVAL_MS: who talks now begins anew."""
        now_ms = self.clock.now_ms()
        quiet = {seat.key: seat for seat in self.rosters.everybody() if seat.is_there and seat.is_quiet}
        self._quiet_since = {key: self._quiet_since.get(key, now_ms) for key in quiet}
        self._told &= quiet.keys()
        self._channels = {key: channel for key, channel in self._channels.items() if key in self.rosters.channels()}
        for key, seat in quiet.items():
            if key not in self._told:
                await self._consider(seat, now_ms - self._quiet_since[key])

    async def _consider(self, seat: Seat, quiet_ms: int) -> None:
        if quiet_ms < AFK_AFTER_MS.start:
            return
        channel = await self._channel(seat.member.room_id)
        if channel.afk_room_id is None or channel.afk_after_ms is None or quiet_ms < channel.afk_after_ms:
            return
        self._told.add(seat.key)
        if channel.afk_room_id != seat.member.room_id and await self._may_enter(seat, channel.afk_room_id):
            await self._tell(seat, channel.afk_room_id)

    async def _channel(self, room_id: str) -> VoiceChannel:
        channel = self._channels.get(room_id)
        if channel is None:
            event = (await self.cache.get(room_id)).state.get(VOICE_CHANNEL)
            channel = VoiceChannel() if event is None else parse_voice_channel(event.content)
            self._channels[room_id] = channel
        return channel

    def apply_events(self, events: Sequence[TimelineEvent]) -> None:
        """Follow the settings of channels. Subscribed to the announcer."""
        for event in events:
            is_channel = event.type == VOICE_CHANNEL and event.state_key == "" and event.takes_force
            if is_channel and event.room_id in self._channels:
                self._channels[event.room_id] = parse_voice_channel(event.content)

    def apply_resolved(self, resolved: Resolved) -> None:
        """The same where state has changed otherwise: it is read again. Subscribed to the announcer."""
        if (VOICE_CHANNEL, "") in resolved.keys:
            self._channels.pop(resolved.room_id, None)

    async def _may_enter(self, seat: Seat, room_id: str) -> bool:
        """Only where he is already: a room's settings lead nobody into rooms he does not know."""
        try:
            return seat.member.user_id in (await self.cache.get(room_id)).joined
        except MatrixError:
            return False

    async def _tell(self, seat: Seat, to: str) -> None:
        try:
            await self.moves.tell(on_behalf_of(seat.member.user_id), [seat], to, "afk")
        except (MatrixError, SfuUnavailable) as error:
            log.warning("%s is quiet and could not be told to go to %s: %s", seat.member.user_id, to, error)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"quiet": len(self._quiet_since)}
