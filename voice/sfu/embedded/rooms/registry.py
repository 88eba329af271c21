"""The rooms of a worker, by name: made when the homeserver says so, forgotten when nobody has been in them for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from voice.sfu.backend import RoomOptions, SfuEvent
from voice.sfu.embedded.media import MediaRoom
from voice.sfu.embedded.media.audio_track import SendToMany
from voice.sfu.embedded.rooms.clock import Clock
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.participant import Participant
from voice.sfu.embedded.rooms.room import Room
from voice.sfu.embedded.rooms.turns import Turns


class TooManyRooms(Exception):  # noqa: N818 - it is a verdict, and reads like one
    """The worker holds as many as it may."""


@dataclass(slots=True)
class Registry:
    limits: RoomLimits
    clock: Clock
    top_speakers: int
    top_speakers_above: int
    tell: Callable[[SfuEvent], None]
    send_to_many: SendToMany
    turns: Turns
    rooms: dict[str, Room] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self.rooms.values()))

    def get(self, name: str) -> Room | None:
        return self.rooms.get(name)

    def ensure(self, name: str, options: RoomOptions) -> Room:
        """Make it, or give it these options. Raises TooManyRooms."""
        room = self.rooms.get(name)
        if room is None:
            room = self._make(name, options)
        room.set_options(options)
        if not room.people:
            room.empty_since = self.clock.monotonic_ms()
        return room

    def _make(self, name: str, options: RoomOptions) -> Room:
        if len(self.rooms) >= self.limits.rooms:
            raise TooManyRooms
        room = self.rooms[name] = Room(
            name=name,
            options=options,
            media=MediaRoom(self.clock.monotonic_ns, self.top_speakers, self.top_speakers_above, self.send_to_many),
            limits=self.limits,
            now=self.clock.monotonic_ms,
            created_wall_ms=self.clock.wall_ms(),
            empty_since=self.clock.monotonic_ms(),
            tell=self.tell,
            turns=self.turns,
        )
        return room

    def forget_empty(self) -> None:
        oldest = self.clock.monotonic_ms() - self.limits.empty_room
        for room in self:
            if room.empty_since is not None and room.empty_since < oldest:
                room.close()
                del self.rooms[room.name]

    def participant(self, room: str, identity: str) -> Participant | None:
        found = self.rooms.get(room)
        return found.by_identity.get(identity) if found else None

    def size(self) -> int:
        """Participants in all rooms."""
        return sum(room.size() for room in self.rooms.values())
