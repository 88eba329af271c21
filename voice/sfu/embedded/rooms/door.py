"""How a client gets in: its token, its room's limits, and the session it may have had before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from voice.sfu.backend import LeaveReason, RoomOptions
from voice.sfu.embedded.contracts import MediaPort
from voice.sfu.embedded.rooms import attributes
from voice.sfu.embedded.rooms.access import Access, AccessDenied, Gate
from voice.sfu.embedded.rooms.clock import Clock
from voice.sfu.embedded.rooms.dual_peer import DualPeer
from voice.sfu.embedded.rooms.followings import Followings
from voice.sfu.embedded.rooms.intent import JoinIntent
from voice.sfu.embedded.rooms.joining import everybody, ice_servers, join_response, reconnect_response
from voice.sfu.embedded.rooms.leaving import UNKNOWN_SESSION, Farewell, farewell
from voice.sfu.embedded.rooms.limits import RoomLimits
from voice.sfu.embedded.rooms.participant import Participant
from voice.sfu.embedded.rooms.peer_setting import PeerSetting
from voice.sfu.embedded.rooms.publications import Publications
from voice.sfu.embedded.rooms.registry import Registry, TooManyRooms
from voice.sfu.embedded.rooms.revocations import Revocations
from voice.sfu.embedded.rooms.room import Room
from voice.sfu.embedded.rooms.session import Session
from voice.sfu.embedded.rooms.sids import new_sid
from voice.sfu.embedded.rooms.signal import Signal
from voice.sfu.embedded.rooms.single_peer import SinglePeer
from voice.sfu.embedded.sdp import AudioPolicy
from voice.tokens import PRIORITY_ATTRIBUTE
from voice.turn import TurnAccess


class Refused(Exception):  # noqa: N818 - it is a verdict, and reads like one
    """An HTTP status and its text, as LiveKit's clients read them."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


# Element Call and the SDKs show 404 with exactly this text as "no such call", and 503 as "no room left".
NO_SUCH_ROOM = (404, "requested room does not exist")
ROOM_FULL = (503, "room has exceeded its max participants")
WORKER_FULL = (503, "no more participants can be taken")


@dataclass(slots=True)
class Door:
    gate: Gate
    revocations: Revocations
    registry: Registry
    port: MediaPort
    limits: RoomLimits
    clock: Clock
    default_options: RoomOptions
    end: Callable[[Session, Farewell], None]
    turn: TurnAccess | None = None
    sessions: dict[str, Session] = field(default_factory=dict)
    """By participant sid."""

    def check(self, token: str) -> Access:
        """Whom a token lets into which room now. Raises Refused."""
        try:
            access = self.gate.verify(token, self.clock.wall_ms() / 1000)
        except AccessDenied as denied:
            raise Refused(401, str(denied)) from denied
        self._check_now(access)
        return access

    def _check_now(self, access: Access) -> None:
        if self.revocations.is_void(access.room, access.identity, access.issued_s):
            raise Refused(401, "invalid authorization token: it was revoked")
        room = self.registry.get(access.room)
        if room is None and not access.may_create_room:
            raise Refused(*NO_SUCH_ROOM)
        if room is not None and room.is_full_for(access.identity):
            raise Refused(*ROOM_FULL)
        if self.registry.participant(access.room, access.identity) is None and self._is_worker_full():
            raise Refused(*WORKER_FULL)

    def _is_worker_full(self) -> bool:
        return len(self.sessions) >= self.limits.participants

    def enter(self, access: Access, intent: JoinIntent, signal: Signal) -> Session | None:
        """Join, or go on with a session. None where the client was told to join anew. Raises Refused."""
        self._check_now(access)  # much may have happened while the WebSocket opened
        if intent.reconnect:
            return self._resume(access, intent, signal)
        return self._join(access, intent, signal)

    # --- again -------------------------------------------------------------------------------------------------

    def _resume(self, access: Access, intent: JoinIntent, signal: Signal) -> Session | None:
        participant = self.registry.participant(access.room, access.identity)
        session = self.sessions.get(participant.sid) if participant else None
        if participant is None or session is None or intent.participant_sid not in ("", participant.sid):
            signal.send(leave=UNKNOWN_SESSION.to_proto(intent.protocol))
            signal.close()
            return None
        participant.signal.close()
        participant.signal, participant.signal_lost_at = signal, None
        participant.heard_at = self.clock.monotonic_ms()
        participant.token_expires_s = access.expires_s
        signal.send(reconnect=reconnect_response(self._relays(access)))
        signal.send(update=everybody(list(session.room.people.values())))
        if participant.peer is not None:
            participant.peer.resumed()
        return session

    # --- for the first time ------------------------------------------------------------------------------------

    def _join(self, access: Access, intent: JoinIntent, signal: Signal) -> Session:
        room = self._room(access)
        older = room.by_identity.get(access.identity)
        if older is not None:
            self.end(self.sessions[older.sid], farewell(LeaveReason.DUPLICATE))
        participant = self._participant(access, intent, signal)
        session = Session(room, participant, self.limits, self.clock, lambda how: self.end(session, how))
        self.sessions[participant.sid] = session
        relays = self._relays(access)
        signal.send(join=join_response(room, participant, intent.single_peer, self.limits, relays))
        self._connect(session, intent)
        return session

    def _relays(self, access: Access) -> list[Any]:
        return ice_servers(self.turn, access.identity, self.clock.wall_ms() / 1000)

    def _room(self, access: Access) -> Room:
        room = self.registry.get(access.room)
        if room is not None:
            return room
        try:
            return self.registry.ensure(access.room, self.default_options)
        except TooManyRooms:
            raise Refused(*WORKER_FULL) from None

    def _participant(self, access: Access, intent: JoinIntent, signal: Signal) -> Participant:
        sid, now = new_sid("PA_"), self.clock.monotonic_ms()
        wished = attributes.merged(access.attributes, attributes.settable(intent.attributes))
        return Participant(
            sid=sid,
            identity=access.identity,
            name=access.name[: self.limits.name],
            metadata=(access.metadata or intent.metadata)[: self.limits.metadata],
            attributes=wished if attributes.fits(wished, self.limits) else dict(access.attributes),
            permission=access.permission,
            protocol=intent.protocol,
            auto_subscribe=intent.auto_subscribe,
            priority=access.attributes.get(PRIORITY_ATTRIBUTE) == "1",
            joined_wall_ms=self.clock.wall_ms(),
            joined_at=now,
            token_expires_s=access.expires_s,
            publications=Publications(sid, access.identity),
            followings=Followings(self.limits.remembered_settings),
            signal=signal,
            heard_at=now,
        )

    def _connect(self, session: Session, intent: JoinIntent) -> None:
        setting = self._setting(session)
        room, participant = session.room, session.participant
        peer = SinglePeer(setting, session) if intent.single_peer else DualPeer(setting, session)
        room.enter(participant)  # what there is to follow goes into the first answer or offer
        participant.peer = peer
        for request in intent.add_tracks:
            session.add_track(request)
        if isinstance(peer, DualPeer):
            peer.start()
        elif intent.offer is not None:
            session.negotiate_first(intent.offer)
        elif participant.followings.waiting():
            peer.negotiate_soon()

    def _setting(self, session: Session) -> PeerSetting:
        room, participant = session.room, session.participant
        return PeerSetting(
            port=self.port,
            media=room.media,
            publications=participant.publications,
            followings=participant.followings,
            priority=lambda: participant.priority,
            audio=lambda: AudioPolicy(bitrate=room.options.audio_bitrate, frame_ms=room.options.audio_frame_ms),
            limits=self.limits,
            now=self.clock.monotonic_ms,
            room_size=room.size,
            send=session.send,
        )
