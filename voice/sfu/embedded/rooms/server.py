"""All rooms of one worker, with the verbs of SfuBackend; everything happens in the loop that started it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from voice import tokens
from voice.sfu.backend import Grant, LeaveReason, ParticipantState, RoomOptions, SfuEvent, SfuListener, Source
from voice.sfu.embedded.contracts import MediaPort
from voice.sfu.embedded.media.audio_track import SendToMany, send_one_by_one
from voice.sfu.embedded.rooms import data_packets
from voice.sfu.embedded.rooms.access import Gate
from voice.sfu.embedded.rooms.attributes import merged
from voice.sfu.embedded.rooms.clock import Clock
from voice.sfu.embedded.rooms.door import Door
from voice.sfu.embedded.rooms.leaving import STOPPING, Farewell, farewell
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.permission import of_grant
from voice.sfu.embedded.rooms.refreshing import refreshed_grant
from voice.sfu.embedded.rooms.registry import Registry
from voice.sfu.embedded.rooms.revocations import Revocations
from voice.sfu.embedded.rooms.rounds import Rounds
from voice.sfu.embedded.rooms.session import Session
from voice.sfu.embedded.rooms.turns import Turns
from voice.turn import TurnAccess

_log = logging.getLogger(__name__)


def send_to_many(port: MediaPort) -> SendToMany:
    """The quick way of ports that have one."""
    quick: SendToMany = getattr(port, "send_rtp_to_many", send_one_by_one)
    return quick


@dataclass(slots=True)
class RoomServer:
    """`keys` are API keys and their secrets. Verbs are synchronous; none of them raises but `ensure_room`."""

    port: MediaPort
    keys: Mapping[str, str] = field(repr=False)
    limits: RoomLimits = field(default_factory=RoomLimits)
    clock: Clock = field(default_factory=Clock)
    default_options: RoomOptions = field(default_factory=RoomOptions)
    """Of rooms that a token with `roomCreate` makes."""
    top_speakers: int = 5
    top_speakers_above: int = 20
    turn: TurnAccess | None = None
    """Relays that clients are told of."""
    registry: Registry = field(init=False)
    revocations: Revocations = field(init=False)
    door: Door = field(init=False)
    rounds: Rounds = field(init=False)
    _listeners: list[SfuListener] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits, clock, turns = self.limits, self.clock, Turns()
        self.registry = Registry(
            limits, clock, self.top_speakers, self.top_speakers_above, self._tell, send_to_many(self.port), turns
        )
        self.revocations = Revocations(limits.longest_token_life, limits.revocations)
        gate = Gate(self.keys, limits.longest_token_life / 1000)
        self.door = Door(
            gate, self.revocations, self.registry, self.port, limits, clock, self.default_options, self._end, self.turn
        )
        self.rounds = Rounds(self.registry, self.door.sessions, self.port, limits, clock, self._refresh, turns)

    # --- life --------------------------------------------------------------------------------------------------

    def on_event(self, listener: SfuListener) -> None:
        self._listeners.append(listener)

    def _tell(self, event: SfuEvent) -> None:
        for listener in self._listeners:
            listener(event)

    def start(self) -> None:
        """Begin what is done from time to time."""
        self.rounds.start()

    async def stop(self) -> None:
        """Everybody is told to join anew: another worker, or this one after its restart, will have them."""
        await self.rounds.stop()
        for session in list(self.door.sessions.values()):
            self._end(session, STOPPING)
        for room in self.registry:
            room.close()
        self.port.flush()

    # --- the verbs of SfuBackend -------------------------------------------------------------------------------

    def ensure_room(self, room: str, options: RoomOptions) -> None:
        """Raises TooManyRooms."""
        self.registry.ensure(room, options)

    def participants(self, room: str) -> Sequence[ParticipantState]:
        found = self.registry.get(room)
        return [person.state() for person in found.people.values() if person.active] if found else []

    def remove(self, room: str, identity: str, reason: LeaveReason = LeaveReason.REMOVED) -> bool:
        self.revocations.revoke(room, identity, self.clock.wall_ms())
        session = self._session(room, identity)
        if session is None:
            return False
        self._end(session, farewell(reason))
        session.room.news.flush()
        return True

    def mute(self, room: str, identity: str, source: Source, *, muted: bool = True) -> bool:
        session = self._session(room, identity)
        return session is not None and session.force_mute(source, muted=muted)

    def permit(self, room: str, grant: Grant) -> bool:
        session = self._session(room, grant.identity)
        if session is None:
            return False
        participant = session.participant
        kept = {**participant.attributes, tokens.PRIORITY_ATTRIBUTE: ""}
        participant.attributes = merged(kept, tokens.attributes_of(grant))
        session.permit(of_grant(grant))
        session.prioritise(grant.priority_speaker)
        return True

    def send_data(self, room: str, topic: str, payload: bytes, identities: Sequence[str] = ()) -> None:
        found = self.registry.get(room)
        if found is not None:
            found.send_data(data_packets.RELIABLE, data_packets.from_server(topic, payload, identities), None)

    def _session(self, room: str, identity: str) -> Session | None:
        participant = self.registry.participant(room, identity)
        return self.door.sessions.get(participant.sid) if participant else None

    # --- the end of a session ----------------------------------------------------------------------------------

    def _end(self, session: Session, how: Farewell) -> None:
        participant = session.participant
        if participant.gone:
            return
        self.door.sessions.pop(participant.sid, None)
        signal = participant.signal
        session.room.leave(participant, how)
        if how.reason is not LeaveReason.LEFT:
            signal.send(leave=how.to_proto(participant.protocol))
        signal.close()

    def _refresh(self, session: Session) -> None:
        """So that a client in a long call can still join anew, with what it may do now."""
        now_s = self.clock.wall_ms() / 1000
        key, secret = next(iter(self.keys.items()))
        session.send(refresh_token=tokens.mint(key, secret, refreshed_grant(session), now_s))
        session.participant.token_expires_s = now_s + tokens.LIFETIME_S
