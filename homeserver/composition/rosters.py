"""Who is in which voice channel, and what the server does about those who are no longer there."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.calls import CallServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.reading import ReadingServices
from homeserver.composition.rooms import RoomServices
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.voice.rosters import RosterEndpoints
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.voice_rosters.end_membership import EndMembership
from homeserver.services.voice_rosters.places import Places
from homeserver.services.voice_rosters.read import ReadRosters
from homeserver.services.voice_rosters.reaper import Reaper
from homeserver.services.voice_rosters.rosters import Rosters
from homeserver.services.voice_rosters.seat import IdentityLookup, Member
from homeserver.services.voice_rosters.source import VoiceForSync
from homeserver.services.voice_rosters.spaces import SpaceChannels
from homeserver.services.voice_rosters.stream import RosterStream
from homeserver.storage.spaces import SpaceLinks
from voice.sfu.backend import SfuBackend


class NobodyKnown:
    """`IdentityLookup` of a server without calls."""

    __slots__ = ()

    def find(self, sfu_room: str, identity: str) -> None:
        return None


class NothingSticky:
    """`StickyMemberships` of a server without sticky events."""

    __slots__ = ()

    async def end(self, member: Member, left_ms: int) -> int | None:
        return None


@dataclass(frozen=True, slots=True)
class RosterServices:
    """`source` is what sync reads; without an SFU it stays empty."""

    rosters: Rosters
    source: VoiceForSync
    endpoints: list[Endpoint] = field(default_factory=list)


def build_rosters(
    base: Foundation, rooms: RoomServices, reading: ReadingServices, calls: CallServices, backend: SfuBackend | None
) -> RosterServices:
    """Built after calls, whose identities hear of everything first."""
    identities: IdentityLookup = NobodyKnown() if calls.identities is None else calls.identities
    stream = RosterStream(base.announcer, base.clock)
    rosters = Rosters(identities, stream)
    places = Places(base.database, SpaceLinks())
    spaces = SpaceChannels(rosters, places, stream, base.clock)
    source = VoiceForSync(stream, rosters, spaces)
    base.life.on_start(stream.load)
    if backend is None:
        return RosterServices(rosters, source)
    end = EndMembership(base.cache, rooms.set_state, NothingSticky())
    reaper = Reaper(rosters, end, base.clock, base.server_name)
    _live(base, backend, rosters, places, spaces, stream, reaper)
    read = ReadRosters(RoomOpener(base.cache, reading.visibility), base.awake, rosters, spaces)
    return RosterServices(rosters, source, list(endpoints_of(RosterEndpoints(read))))


def _live(
    base: Foundation,
    backend: SfuBackend,
    rosters: Rosters,
    places: Places,
    spaces: SpaceChannels,
    stream: RosterStream,
    reaper: Reaper,
) -> None:
    rosters.on_people_changed.append(spaces.people_changed)
    rosters.on_seated.append(reaper.seated)
    rosters.on_departure.append(reaper.departed)
    backend.on_event(rosters.on_sfu_event)
    base.announcer.on_events(spaces.apply_events)
    for step in (stream.stop, spaces.stop, reaper.stop):
        base.life.on_stop(step)
    base.life.reports_memory("voice_rosters", rosters.memory_usage)
    base.life.reports_memory("voice_stream", stream.memory_usage)
    base.life.reports_memory("voice_places", places.memory_usage)
    base.life.reports_memory("absent_from_calls", reaper.memory_usage)
