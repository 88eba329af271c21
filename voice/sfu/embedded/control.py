"""What the homeserver and a worker say to each other, as MessagePack; control_channel.py carries it.

The homeserver speaks first: `Configure`, which is answered with `Ready` or `Failed`. Then it sends requests, and the
worker replies and tells what happens. Secrets travel here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

import msgspec

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
    Source,
)
from voice.turn import TurnAccess

T = TypeVar("T")

MAX_MESSAGE: Final = 32 << 20
"""Bytes. The largest is the reply to `Participants` of a room of a thousand, each with all the attributes it may have."""


class Address(msgspec.Struct, frozen=True):
    """Where a worker serves signalling: a Unix socket, or a port of the loopback address where there are none."""

    path: str = ""
    port: int = 0


# --- from the homeserver -------------------------------------------------------------------------------------------


class Configure(msgspec.Struct, frozen=True, tag=True):
    """The first message."""

    api_key: str
    api_secret: str
    bind: str
    port: int
    advertise: tuple[str, ...]
    options: RoomOptions
    top_speakers: int
    top_speakers_above: int
    socket_path: str
    """Of the Unix socket to make; empty: listen on the loopback address."""
    turn: TurnAccess | None = None

    def __repr__(self) -> str:
        return f"Configure(bind={self.bind!r}, port={self.port})"


class EnsureRoom(msgspec.Struct, frozen=True, tag=True):
    """`void` has identities whose tokens are void, and since when (ms since the epoch)."""

    room: str
    options: RoomOptions
    void: Mapping[str, int] = {}


class Participants(msgspec.Struct, frozen=True, tag=True):
    room: str


class Remove(msgspec.Struct, frozen=True, tag=True):
    room: str
    identity: str
    reason: LeaveReason


class Mute(msgspec.Struct, frozen=True, tag=True):
    room: str
    identity: str
    source: Source
    muted: bool


class Permit(msgspec.Struct, frozen=True, tag=True):
    room: str
    grant: Grant


class SendData(msgspec.Struct, frozen=True, tag=True):
    room: str
    topic: str
    payload: bytes
    identities: Sequence[str]


class Count(msgspec.Struct, frozen=True, tag=True):
    """How much there is; the answer also says that the worker is alive."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Say goodbye to everybody and end."""


Verb: TypeAlias = EnsureRoom | Participants | Remove | Mute | Permit | SendData | Count | Stop


class Request(msgspec.Struct, frozen=True):
    id: int
    verb: Verb


# --- from the worker -----------------------------------------------------------------------------------------------


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Media and signalling are open."""

    media_port: int
    addresses: tuple[str, ...]
    """Told to clients, the best first."""
    signalling: Address


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Why it cannot start; `errno` 0 where the system did not say."""

    text: str
    errno: int = 0


class Numbers(msgspec.Struct, frozen=True):
    """What a worker holds, and what it did since its start."""

    rooms: int = 0
    participants: int = 0
    received: int = 0
    sent: int = 0
    dropped: int = 0
    bad: int = 0
    processor_seconds: float = 0.0
    resident_bytes: int = 0


class Result(msgspec.Struct, frozen=True):
    """`done` is what verbs that answer yes or no say."""

    done: bool = False
    participants: Sequence[ParticipantState] = ()
    numbers: Numbers | None = None
    refused: str = ""
    """Why nothing was done."""


class Reply(msgspec.Struct, frozen=True, tag=True):
    id: int
    result: Result


class SomebodyJoined(msgspec.Struct, frozen=True, tag=True):
    room: str
    participant: ParticipantState


class SomebodyChanged(msgspec.Struct, frozen=True, tag=True):
    room: str
    participant: ParticipantState


class SomebodyLeft(msgspec.Struct, frozen=True, tag=True):
    room: str
    identity: str
    sid: str
    reason: LeaveReason


class LogLine(msgspec.Struct, frozen=True, tag=True):
    """Goes into the homeserver's log, so that there is one."""

    level: int
    name: str
    text: str


Told: TypeAlias = SomebodyJoined | SomebodyChanged | SomebodyLeft
Report: TypeAlias = Ready | Failed | Reply | Told | LogLine


class BadMessage(Exception):  # noqa: N818 - it is a verdict, and reads like one
    """The other side speaks another protocol."""


encode = msgspec.msgpack.Encoder().encode
_configure = msgspec.msgpack.Decoder(Configure)
_request = msgspec.msgpack.Decoder(Request)
_report: msgspec.msgpack.Decoder[Report] = msgspec.msgpack.Decoder(Report)


def _read(decode: Callable[[bytes], T], message: bytes) -> T:
    try:
        return decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadMessage(str(error)) from error


def read_configure(message: bytes) -> Configure:
    """Raises BadMessage."""
    return _read(_configure.decode, message)


def read_request(message: bytes) -> Request:
    """Raises BadMessage."""
    return _read(_request.decode, message)


def read_report(message: bytes) -> Report:
    """Raises BadMessage."""
    return _read(_report.decode, message)


def told(event: SfuEvent) -> Told:
    """An event for the way. ValueError for one that no worker has of itself."""
    match event:
        case Joined(room, participant):
            return SomebodyJoined(room, participant)
        case Changed(room, participant):
            return SomebodyChanged(room, participant)
        case Left(room, identity, sid, reason):
            return SomebodyLeft(room, identity, sid, reason)
        case RoomsLost():
            raise ValueError("a worker does not outlive its rooms")


def event_of(report: Told) -> SfuEvent:
    match report:
        case SomebodyJoined(room=room, participant=participant):
            return Joined(room, participant)
        case SomebodyChanged(room=room, participant=participant):
            return Changed(room, participant)
        case SomebodyLeft(room=room, identity=identity, sid=sid, reason=reason):
            return Left(room, identity, sid, reason)
