"""An SFU that forwards nothing: it keeps who would be there, and what it was asked to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import jwt
from livekit.api import TokenVerifier
from livekit.api.access_token import Claims

from voice import tokens
from voice.sfu.backend import (
    Changed,
    Grant,
    Joined,
    LeaveReason,
    Left,
    ParticipantState,
    RoomOptions,
    RoomsLost,
    SfuEvent,
    SfuListener,
    SfuUnavailable,
    Source,
)

API_KEY, API_SECRET = "testkey", "a secret of at least thirty-two bytes"
# The clock of tests stands in the past of the computer's, which LiveKit's verifier reads.
_ANY_TIME = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class SentData:
    room: str
    topic: str
    payload: bytes
    identities: Sequence[str]


@dataclass(slots=True, repr=False)
class RecordingBackend:
    """`SfuBackend` in memory. `join` with a token, `change` and `leave` are what clients do; lists are what we did."""

    now_ms: Callable[[], int]
    url: str = "ws://sfu.test/room"
    down: bool = False
    """Every verb raises SfuUnavailable."""
    rooms: dict[str, RoomOptions] = field(default_factory=dict)
    people: dict[str, dict[str, ParticipantState]] = field(default_factory=dict)
    granted: dict[tuple[str, str], Grant] = field(default_factory=dict)
    """The last grant of each (room, identity), by token or by `permit`."""
    removed: list[tuple[str, str, LeaveReason]] = field(default_factory=list)
    muted: list[tuple[str, str, Source, bool]] = field(default_factory=list)
    permitted: list[tuple[str, Grant]] = field(default_factory=list)
    sent: list[SentData] = field(default_factory=list)
    started: bool = False
    _listeners: list[SfuListener] = field(default_factory=list)
    _void_until_ms: dict[tuple[str, str], int] = field(default_factory=dict)
    _count: int = 0

    # --- What the homeserver asks ---

    def on_event(self, listener: SfuListener) -> None:
        self._listeners.append(listener)

    async def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self.started = False

    async def ensure_room(self, room: str, options: RoomOptions) -> str:
        self._check_up()
        self.rooms[room] = options
        return self.url

    def mint_token(self, grant: Grant) -> str:
        self._check_up()
        self.granted[(grant.room, grant.identity)] = grant
        return tokens.mint(API_KEY, API_SECRET, grant, self.now_ms() / 1000)

    async def participants(self, room: str) -> Sequence[ParticipantState]:
        self._check_up()
        return list(self.people.get(room, {}).values())

    async def remove(self, room: str, identity: str, reason: LeaveReason = LeaveReason.REMOVED) -> bool:
        self._check_up()
        self.removed.append((room, identity, reason))
        self._void_until_ms[(room, identity)] = self.now_ms()
        return self.leave(room, identity, reason)

    async def mute(self, room: str, identity: str, source: Source, *, muted: bool = True) -> bool:
        self._check_up()
        person = self.people.get(room, {}).get(identity)
        if person is None:
            return False
        self.muted.append((room, identity, source, muted))
        if source == "microphone" and person.microphone != "none":
            self.change(room, identity, microphone="muted" if muted else "on")
        return True

    async def permit(self, room: str, grant: Grant) -> bool:
        self._check_up()
        self.permitted.append((room, grant))
        self.granted[(room, grant.identity)] = grant
        return grant.identity in self.people.get(room, {})

    async def send_data(self, room: str, topic: str, payload: bytes, identities: Sequence[str] = ()) -> None:
        self._check_up()
        self.sent.append(SentData(room, topic, payload, tuple(identities)))

    # --- What clients and the SFU do ---

    def join(self, token: str, **state: Any) -> ParticipantState:
        """Somebody comes with his token. AssertionError where an SFU would not let him in. `state` as in ParticipantState."""
        claims = read_token(token)
        assert claims.video is not None
        room, identity = claims.video.room, claims.identity
        issued_ms = round(_issued_s(token) * 1000)
        assert room in self.rooms, "there is no such room, and a token does not make one"
        assert issued_ms > self._void_until_ms.get((room, identity), -1), "he was removed after this token was made"
        assert identity in self.people.get(room, {}) or self._has_place(room), "the room is full"
        self._count += 1
        person = ParticipantState(
            identity, f"PA_{self._count}", self.now_ms(), **{"attributes": claims.attributes or {}, **state}
        )
        self.people.setdefault(room, {})[identity] = person
        self.tell(Joined(room, person))
        return person

    def change(self, room: str, identity: str, **state: Any) -> ParticipantState:
        """Somebody mutes, talks, shares."""
        person = self.people[room][identity] = replace(self.people[room][identity], **state)
        self.tell(Changed(room, person))
        return person

    def leave(self, room: str, identity: str, reason: LeaveReason = LeaveReason.LEFT) -> bool:
        """Somebody goes, or vanishes. False where he was not there."""
        person = self.people.get(room, {}).pop(identity, None)
        if person is not None:
            self.tell(Left(room, identity, person.sid, reason))
        return person is not None

    def lose(self, *rooms: str) -> None:
        """The worker of these rooms dies."""
        for room in rooms:
            self.people.pop(room, None)
        self.tell(RoomsLost(rooms))

    def tell(self, event: SfuEvent) -> None:
        for listener in self._listeners:
            listener(event)

    def _has_place(self, room: str) -> bool:
        return len(self.people.get(room, {})) < self.rooms[room].max_participants

    def _check_up(self) -> None:
        if self.down:
            raise SfuUnavailable("The SFU of this test is down")


def read_token(token: str) -> Claims:
    """What LiveKit's own library reads in a token of ours."""
    return TokenVerifier(API_KEY, API_SECRET, leeway=_ANY_TIME).verify(token)


def _issued_s(token: str) -> float:
    claims: Mapping[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return float(claims["iat"])
