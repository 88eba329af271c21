"""What a space tells of the voice channels in it: how many are there, and who."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from homeserver.services.announcer import Resolved
    from homeserver.services.clock import Clock
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.services.sight import Sight
    from homeserver.services.voice_rosters.places import Places
    from homeserver.services.voice_rosters.rosters import Rosters
    from homeserver.services.voice_rosters.stream import RosterStream

log = logging.getLogger(__name__)

# A space with thousands of members is told in one go of all who came within half a second.
TELL_INTERVAL_MS = 500
RETRY_INTERVAL_MS = 5_000
MAX_CHANNELS = 500
MAX_USERS_OF_CHANNEL = 100


@dataclass(slots=True)
class SpaceChannels:
    """Tells members of spaces of those who come and go below them."""

    rosters: Rosters
    places: Places
    stream: RosterStream
    clock: Clock
    _changed: set[str] = field(default_factory=set)
    _outdated: set[str] = field(default_factory=set)
    _telling: asyncio.Task[None] | None = None

    # --- Asked ---

    def content(self, space_id: str, sight: Sight) -> dict[str, Any]:
        """The content of `org.voicechat.voice_channels` for somebody."""
        occupied = [room_id for room_id in self.places.below(space_id) if self.rosters.seats(room_id)]
        seen = [room_id for room_id in occupied if room_id != space_id and self._is_seen(space_id, room_id, sight)]
        return {"channels": {room_id: self._channel(room_id) for room_id in sorted(seen)[:MAX_CHANNELS]}}

    def changed(self, sight: Sight, since: int) -> set[str]:
        """Those of the joined spaces below which somebody came or went after this position, as far as may be seen."""
        spaces: set[str] = set()
        for room_id in self.stream.channels.since(since):
            spaces.update(self._spaces_that_show(room_id, sight))
        return spaces

    def _spaces_that_show(self, room_id: str, sight: Sight) -> Sequence[str]:
        place = self.places.get(room_id)
        if place is None:
            return ()
        above = [space for space in place.rooms if space != room_id and space in sight.joined]
        return [space for space in above if place.is_seen_from(space, room_id, sight)]

    def _is_seen(self, space_id: str, room_id: str, sight: Sight) -> bool:
        place = self.places.get(room_id)
        return place is not None and place.is_seen_from(space_id, room_id, sight)

    def _channel(self, room_id: str) -> Mapping[str, Any]:
        seats = sorted(self.rosters.seats(room_id), key=lambda seat: seat.since_ms)
        users = list(dict.fromkeys(seat.member.user_id for seat in seats))
        return {"count": len(users), "users": users[:MAX_USERS_OF_CHANNEL]}

    # --- Told ---

    def people_changed(self, room_id: str) -> None:
        """Somebody came into a channel or left it. Subscribed to the rosters."""
        self._changed.add(room_id)
        self._tell_soon()

    def apply_events(self, events: Sequence[TimelineEvent]) -> None:
        """Follow which rooms are in which spaces. Subscribed to the announcer."""
        outdated = self.places.outdated_by(events)
        outdated |= {event.state_key for event in events if event.type == "m.space.child" and event.state_key} & set(
            self.rosters.channels()
        )
        if outdated:
            self._outdated |= outdated
            self._tell_soon()

    def apply_resolved(self, resolved: Resolved) -> None:
        """The same where state has changed otherwise. Subscribed to the announcer."""
        outdated = self.places.outdated_by_keys(resolved.room_id, resolved.keys)
        outdated |= {state_key for event_type, state_key in resolved.keys if event_type == "m.space.child"} & set(
            self.rosters.channels()
        )
        if outdated:
            self._outdated |= outdated
            self._tell_soon()

    async def stop(self) -> None:
        """Nothing of it is kept."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    def _tell_soon(self) -> None:
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell(), name="tell-spaces")

    async def _tell(self) -> None:
        while self._changed or self._outdated:
            changed, outdated = self._changed | self._outdated, self._outdated
            self._changed, self._outdated = set(), set()
            try:
                await self._load(changed, outdated)
            except Exception:
                log.exception("spaces are not told of %d voice channels yet", len(changed))
                self._changed |= changed
                self._outdated |= outdated
                await self.clock.sleep(ms=RETRY_INTERVAL_MS)
            else:
                self._announce(changed)
                await self.clock.sleep(ms=TELL_INTERVAL_MS)

    async def _load(self, changed: Collection[str], outdated: Collection[str]) -> None:
        unknown = [channel for channel in changed if channel in outdated or self.places.get(channel) is None]
        if unknown:
            await self.places.load(unknown)

    def _announce(self, changed: Collection[str]) -> None:
        places = [place for place in map(self.places.get, changed) if place is not None]
        spaces = set().union(*(place.rooms for place in places)) - set(changed)
        for channel in self.stream.channels_changed(sorted(changed), spaces):
            if channel not in self.rosters.channels():
                self.places.forget(channel)
