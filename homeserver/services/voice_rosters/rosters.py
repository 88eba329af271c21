"""Who sits where: what the SFU says, under the names of Matrix."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import orjson

from homeserver.services.voice_rosters.seat import IdentityLookup, Member, Seat, SeatKey, member_of, roster_json
from homeserver.services.voice_rosters.silences import Silences
from voice.sfu.backend import Changed, Joined, LeaveReason, Left, ParticipantState, RoomsLost, SfuEvent

if TYPE_CHECKING:
    from homeserver.services.voice_rosters.stream import RosterStream

COMES_BACK = frozenset({LeaveReason.RECONNECTING, LeaveReason.DUPLICATE, LeaveReason.BACKEND_LOST})
"""Reasons after which the same identity is expected at once."""

OnSeated = Callable[[Seat], None]
OnDeparture = Callable[[Seat, LeaveReason], None]
OnChannel = Callable[[str], None]


@dataclass(slots=True)
class Rosters:
    """Follows the SFU, in memory."""

    identities: IdentityLookup
    stream: RosterStream
    silences: Silences = field(default_factory=Silences)
    on_seated: list[OnSeated] = field(default_factory=list)
    """Told of every join, and of those who are back."""
    on_departure: list[OnDeparture] = field(default_factory=list)
    """Told of everybody who left, and of those who were lost (their seats stay, `is_there` False)."""
    on_people_changed: list[OnChannel] = field(default_factory=list)
    """Told of the channels in which somebody came or went."""
    _rooms: dict[str, dict[SeatKey, Seat]] = field(default_factory=dict)
    _seats: dict[SeatKey, Seat] = field(default_factory=dict)
    _encoded: dict[str, bytes] = field(default_factory=dict)

    # --- Asked ---

    def seats(self, room_id: str) -> Sequence[Seat]:
        """Who is in the channel."""
        return list(self._rooms.get(room_id, {}).values())

    def seats_of(self, room_id: str, user_id: str) -> Sequence[Seat]:
        """The devices with which a user is in the channel."""
        return [seat for seat in self.seats(room_id) if seat.member.user_id == user_id]

    def seat(self, key: SeatKey) -> Seat | None:
        """Who has this identity, if he is there or expected back."""
        return self._seats.get(key)

    def is_seated(self, member: Member) -> bool:
        """Whether this device is in the channel now, under whatever identity."""
        seats = self._rooms.get(member.room_id, {}).values()
        return any(seat.is_there and seat.member[:3] == member[:3] for seat in seats)

    def everybody(self) -> Collection[Seat]:
        """All seats of all channels; a copy."""
        return list(self._seats.values())

    def channels(self) -> Collection[str]:
        """Rooms in which somebody is."""
        return self._rooms.keys()

    def content(self, room_id: str) -> bytes:
        """The content of `org.voicechat.voice`, encoded once for all who read it."""
        encoded = self._encoded.get(room_id)
        if encoded is None:
            encoded = orjson.dumps(roster_json(self.seats(room_id)))
            if room_id in self._rooms:
                self._encoded[room_id] = encoded
        return encoded

    # --- Told by the SFU ---

    def on_sfu_event(self, event: SfuEvent) -> None:
        """Follow the SFU. Subscribed to the backend, after `VoiceIdentities`."""
        match event:
            case Joined(room, participant):
                self.sit(room, participant)
            case Changed(room, participant):
                self._change((room, participant.identity), participant)
            case Left(room, identity, sid, reason):
                self._leave((room, identity), sid, reason)
            case RoomsLost(rooms):
                self._lose(rooms)

    def sit(self, sfu_room: str, participant: ParticipantState) -> None:
        """Somebody is there: he came, or is back. Who has no token of ours (a tool of the operator's) is passed over."""
        key = (sfu_room, participant.identity)
        before = self._seats.get(key)
        known = self.identities.find(*key)
        if known is None:
            return
        since_ms = participant.joined_ms if before is None else before.since_ms
        silenced = self.silences.of(known.room_id, known.user_id)
        seat = Seat(member_of(known), sfu_room, since_ms, participant, silenced=silenced)
        self._put(seat)
        self.stream.changed(known.room_id)
        if before is None:
            self._told_of_people(known.room_id)
        for listener in self.on_seated:
            listener(seat)

    def silenced(self, room_id: str, user_id: str) -> None:
        """A moderator muted him, or lifted that."""
        seats = self.seats_of(room_id, user_id)
        for seat in seats:
            self._put(replace(seat, silenced=self.silences.of(room_id, user_id)))
        if seats:
            self._flickered(room_id)

    def give_up(self, key: SeatKey) -> None:
        """Whoever was expected back has not come."""
        held = self._seats.get(key)
        if held is not None and not held.is_there:
            self._take(held)

    def _change(self, key: SeatKey, participant: ParticipantState) -> None:
        seat = self._seats.get(key)
        if seat is None or not seat.is_there or seat.participant.sid != participant.sid:
            return  # of somebody who is gone, or of one whom nobody let in
        self._put(replace(seat, participant=participant))
        self._flickered(seat.member.room_id)

    def _leave(self, key: SeatKey, sid: str, reason: LeaveReason) -> None:
        seat = self._seats.get(key)
        if seat is None or not seat.is_there or seat.participant.sid != sid:
            return  # he has joined again since, or was lost before
        if reason in COMES_BACK:
            self._miss(seat, reason)
            return
        self._take(seat)
        self._told_of_departure(seat, reason)

    def _lose(self, rooms: Iterable[str]) -> None:
        lost = frozenset(rooms)
        for seat in [seat for seat in self._seats.values() if seat.sfu_room in lost and seat.is_there]:
            self._miss(seat, LeaveReason.BACKEND_LOST)

    def _miss(self, seat: Seat, reason: LeaveReason) -> None:
        missing = replace(seat, participant=replace(seat.participant, speaking=False), is_there=False)
        self._put(missing)
        self._flickered(seat.member.room_id)
        self._told_of_departure(missing, reason)

    def _flickered(self, room_id: str) -> None:
        self.stream.flickered(room_id, len(self._rooms[room_id]))

    def _told_of_departure(self, seat: Seat, reason: LeaveReason) -> None:
        for listener in self.on_departure:
            listener(seat, reason)

    def _told_of_people(self, room_id: str) -> None:
        for listener in self.on_people_changed:
            listener(room_id)

    # --- Held ---

    def _put(self, seat: Seat) -> None:
        room_id = seat.member.room_id
        self._seats[seat.key] = seat
        self._rooms.setdefault(room_id, {})[seat.key] = seat
        self._encoded.pop(room_id, None)

    def _take(self, seat: Seat) -> None:
        room_id = seat.member.room_id
        del self._seats[seat.key]
        room = self._rooms[room_id]
        del room[seat.key]
        self._encoded.pop(room_id, None)
        if not room:
            del self._rooms[room_id]
        self.stream.changed(room_id)
        self._told_of_people(room_id)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"seats": len(self._seats), "rooms": len(self._rooms)}
