"""Who is in which voice channel, and what the server does about those who are no longer there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from homeserver.composition.calls import CallServices
from homeserver.composition.encryption import EncryptionServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.reading import ReadingServices
from homeserver.composition.rooms import RoomServices
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.voice.rosters import RosterEndpoints, VoiceModerationEndpoints
from homeserver.services.calls.identities import VoiceIdentities
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.voice_rosters.afk import LOOK_INTERVAL_MS, AwayFromKeyboard
from homeserver.services.voice_rosters.end_membership import EndMembership
from homeserver.services.voice_rosters.lasting_mutes import LastingMutes
from homeserver.services.voice_rosters.moderation import ModerateVoice
from homeserver.services.voice_rosters.moves import Moves
from homeserver.services.voice_rosters.places import Places
from homeserver.services.voice_rosters.read import ReadRosters
from homeserver.services.voice_rosters.reaper import Reaper
from homeserver.services.voice_rosters.recovery import Recovery
from homeserver.services.voice_rosters.rosters import Rosters
from homeserver.services.voice_rosters.source import VoiceForSync
from homeserver.services.voice_rosters.spaces import SpaceChannels
from homeserver.services.voice_rosters.sticky_memberships import EndStickyMemberships
from homeserver.services.voice_rosters.stream import RosterStream
from homeserver.storage.call_memberships import CallMembershipRows
from homeserver.storage.spaces import SpaceLinks
from homeserver.storage.voice_mutes import VoiceMuteRows
from voice.sfu.backend import SfuBackend


class NobodyKnown:
    """`IdentityLookup` of a server without calls."""

    __slots__ = ()

    def find(self, sfu_room: str, identity: str) -> None:
        return None


@dataclass(frozen=True, slots=True)
class RosterServices:
    """`source` is what sync reads; without an SFU it stays empty."""

    rosters: Rosters
    source: VoiceForSync
    endpoints: list[Endpoint] = field(default_factory=list)


def build_rosters(
    base: Foundation,
    rooms: RoomServices,
    reading: ReadingServices,
    encryption: EncryptionServices,
    calls: CallServices,
    backend: SfuBackend | None,
) -> RosterServices:
    """Built after calls, whose identities hear of everything first."""
    stream = RosterStream(base.announcer, base.clock)
    base.life.on_start(stream.load)
    base.life.on_stop(stream.stop)
    base.life.reports_memory("voice_stream", stream.memory_usage)
    rosters = Rosters(calls.identities or NobodyKnown(), stream)
    places = Places(base.database, SpaceLinks())
    spaces = SpaceChannels(rosters, places, stream, base.clock)
    source = VoiceForSync(stream, rosters, spaces)
    if backend is None or calls.identities is None:
        return RosterServices(rosters, source)
    base.life.reports_memory("voice_rosters", rosters.memory_usage)
    base.life.reports_memory("voice_places", places.memory_usage)
    backend.on_event(rosters.on_sfu_event)
    _tell_spaces(base, rosters, spaces)
    reaper = _build_reaper(base, rooms, rosters, calls.addresses)
    _recover(base, calls.identities, rosters, spaces, reaper)
    moves = Moves(backend, rosters, encryption.sending.send, base.clock)
    base.life.on_stop(moves.stop)
    base.life.reports_memory("voice_moves", moves.memory_usage)
    _send_away(base, rosters, moves)
    read = ReadRosters(RoomOpener(base.cache, reading.visibility), base.awake, rosters, spaces)
    mutes = _keep_silent(base, rosters, backend)
    moderate = ModerateVoice(backend, base.cache, rosters, moves, mutes)
    endpoints = endpoints_of(RosterEndpoints(read), VoiceModerationEndpoints(moderate))
    return RosterServices(rosters, source, list(endpoints))


def _tell_spaces(base: Foundation, rosters: Rosters, spaces: SpaceChannels) -> None:
    rosters.on_people_changed.append(spaces.people_changed)
    base.announcer.on_events(spaces.apply_events)
    base.announcer.on_resolved(spaces.apply_resolved)
    base.life.on_stop(spaces.stop)


def _build_reaper(base: Foundation, rooms: RoomServices, rosters: Rosters, ours: Collection[str]) -> Reaper:
    sticky = EndStickyMemberships(base.database, CallMembershipRows(), rooms.send, base.clock, ours)
    end = EndMembership(base.cache, rooms.set_state, sticky, ours)
    reaper = Reaper(rosters, end, base.clock, base.server_name)
    rosters.on_seated.append(reaper.seated)
    rosters.on_departure.append(reaper.departed)
    base.life.on_stop(reaper.stop)
    base.life.reports_memory("absent_from_calls", reaper.memory_usage)
    return reaper


def _recover(
    base: Foundation, identities: VoiceIdentities, rosters: Rosters, spaces: SpaceChannels, reaper: Reaper
) -> None:
    recovery = Recovery(
        queries=base.database,
        rows=CallMembershipRows(),
        identities=identities,
        rosters=rosters,
        stream=rosters.stream,
        spaces=spaces,
        reaper=reaper,
        clock=base.clock,
        server_name=base.server_name,
    )
    base.life.on_start(recovery.start)
    base.life.on_stop(recovery.stop)


def _keep_silent(base: Foundation, rosters: Rosters, backend: SfuBackend) -> LastingMutes:
    mutes = LastingMutes(base.database, VoiceMuteRows(), rosters.silences, rosters, backend, base.clock)
    rosters.on_seated.append(mutes.seated)
    base.life.on_start(mutes.load)
    base.life.on_stop(mutes.stop)
    base.life.reports_memory("voice_mutes", mutes.memory_usage)
    return mutes


def _send_away(base: Foundation, rosters: Rosters, moves: Moves) -> None:
    away = AwayFromKeyboard(rosters, base.cache, moves, base.clock)
    base.announcer.on_events(away.apply_events)
    base.announcer.on_resolved(away.apply_resolved)
    base.life.every(LOOK_INTERVAL_MS, away.look, "look-for-the-quiet")
    base.life.reports_memory("quiet_in_calls", away.memory_usage)
