"""What the homeserver asks of a worker, done by its rooms: in a process of their own or in the homeserver's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import assert_never

from voice.sfu.backend import LeaveReason, RoomOptions
from voice.sfu.embedded.control import (
    Count,
    EnsureRoom,
    Mute,
    Numbers,
    Participants,
    Permit,
    Remove,
    Result,
    SendData,
    Stop,
    Verb,
)
from voice.sfu.embedded.rooms.registry import TooManyRooms
from voice.sfu.embedded.rooms.server import RoomServer
from voice.sfu.embedded.transport.port import Port
from voice.sfu.embedded.worker_memory import resident_bytes


def perform(verb: Verb, rooms: RoomServer, port: Port) -> Result:
    match verb:
        case EnsureRoom(room=room, options=options, void=void):
            return _ensure(rooms, room, options, void)
        case Participants(room=room):
            return Result(participants=rooms.participants(room))
        case Remove(room=room, identity=identity, reason=reason):
            return Result(rooms.remove(room, identity, LeaveReason(reason)))
        case Mute(room=room, identity=identity, source=source, muted=muted):
            return Result(rooms.mute(room, identity, source, muted=muted))
        case Permit(room=room, grant=grant):
            return Result(rooms.permit(room, grant))
        case SendData(room=room, topic=topic, payload=payload, identities=identities):
            rooms.send_data(room, topic, payload, identities)
            return Result(done=True)
        case Count():
            return Result(done=True, numbers=_numbers(rooms, port))
        case Stop():
            return Result(done=True)
        case _:
            assert_never(verb)


def _ensure(rooms: RoomServer, room: str, options: RoomOptions, void: Mapping[str, int]) -> Result:
    try:
        rooms.ensure_room(room, options)
    except TooManyRooms:
        return Result(refused="This worker holds as many rooms as it may")
    for identity, removed_ms in void.items():
        rooms.revocations.revoke(room, identity, removed_ms)
    return Result(done=True)


def _numbers(rooms: RoomServer, port: Port) -> Numbers:
    counters = port.counters
    return Numbers(
        rooms=len(rooms.registry.rooms),
        participants=rooms.registry.size(),
        received=counters.received,
        sent=counters.sent,
        dropped=counters.dropped + counters.late,
        bad=counters.bad,
        processor_seconds=time.process_time(),
        resident_bytes=resident_bytes(),
    )
