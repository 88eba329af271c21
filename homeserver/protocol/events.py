"""What an event is: a frozen value with the fields everybody asks for, made from a PDU or from stored bytes.

A PDU is the federation form of an event, a dict as it came from JSON. `Event` never changes it and shares its values,
so nobody else may change them either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from homeserver.protocol.hashing import event_id_of, room_id_of_create_event
from homeserver.protocol.room_versions import RoomVersion

StateKey = tuple[str, str]
"""(event type, state key)."""

_T = TypeVar("_T")
StateMap = Mapping[StateKey, _T]
"""Room state: one value (an event or its id) for each state key."""


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One event of a room. Two events are equal when their ids are, redacted or not.

    `pdu` has no `unsigned`, and no `event_id` since room version 3. `state_key` is None for events that are not state.
    An event made by `from_client_body` has only what clients see: its envelope fields are empty and `pdu` is that body.
    """

    event_id: str
    room_id: str
    room_version: RoomVersion
    type: str
    state_key: str | None
    sender: str
    content: dict[str, Any]
    origin_server_ts: int
    depth: int
    prev_event_ids: tuple[str, ...]
    auth_event_ids: tuple[str, ...]
    redacts: str | None
    pdu: dict[str, Any]

    @staticmethod
    def from_pdu(pdu: dict[str, Any], room_version: RoomVersion, event_id: str | None = None) -> Event:
        """The event of a PDU whose format has been checked (`event_format.parse_pdu` does both)."""
        if "unsigned" in pdu:
            pdu = {key: value for key, value in pdu.items() if key != "unsigned"}
        if event_id is None:
            event_id = event_id_of(pdu, room_version)
        return Event(
            event_id=event_id,
            room_id=_room_id_of(pdu, room_version, event_id),
            room_version=room_version,
            type=pdu["type"],
            state_key=pdu.get("state_key"),
            sender=pdu["sender"],
            content=pdu["content"],
            origin_server_ts=pdu["origin_server_ts"],
            depth=pdu["depth"],
            prev_event_ids=referenced_ids(pdu["prev_events"], room_version),
            auth_event_ids=referenced_ids(pdu["auth_events"], room_version),
            redacts=redacted_event_id(pdu, room_version),
            pdu=pdu,
        )

    @staticmethod
    def from_client_body(body: dict[str, Any], room_id: str, room_version: RoomVersion) -> Event:
        """The event of a stored client body (client_event.py): enough for auth checks, not for federation."""
        return Event(
            event_id=body["event_id"],
            room_id=room_id,
            room_version=room_version,
            type=body["type"],
            state_key=body.get("state_key"),
            sender=body["sender"],
            content=body["content"],
            origin_server_ts=body["origin_server_ts"],
            depth=0,
            prev_event_ids=(),
            auth_event_ids=(),
            redacts=redacted_event_id(body, room_version),
            pdu=body,
        )

    @property
    def is_state(self) -> bool:
        """Whether this is a state event."""
        return self.state_key is not None

    @property
    def key(self) -> StateKey:
        """The (type, state key) this state event sets; a message event has none and raises TypeError."""
        if self.state_key is None:
            raise TypeError(f"{self.event_id} is not a state event")
        return (self.type, self.state_key)

    @property
    def sender_server(self) -> str:
        """The server name in the sender's user id."""
        return self.sender.partition(":")[2]

    @property
    def membership(self) -> str | None:
        """The `membership` of an `m.room.member` event, where it is a string."""
        membership = self.content.get("membership") if self.type == "m.room.member" else None
        return membership if isinstance(membership, str) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and self.event_id == other.event_id

    def __hash__(self) -> int:
        return hash(self.event_id)


def redacted_event_id(fields: Mapping[str, Any], version: RoomVersion) -> str | None:
    """The event that an `m.room.redaction` event wants redacted, from where its room version puts it."""
    if fields.get("type") != "m.room.redaction":
        return None
    redacts = fields["content"].get("redacts") if version.redacts_in_content else fields.get("redacts")
    return redacts if isinstance(redacts, str) else None


def _room_id_of(pdu: dict[str, Any], version: RoomVersion, event_id: str) -> str:
    if version.room_id_is_create_event_id and pdu["type"] == "m.room.create" and pdu.get("state_key") == "":
        return room_id_of_create_event(event_id)
    room_id: str = pdu["room_id"]
    return room_id


def referenced_ids(references: list[Any], version: RoomVersion) -> tuple[str, ...]:
    """The ids in `prev_events` or `auth_events`: a list of ids, in v1 and v2 of [id, hashes] pairs."""
    if version.event_id_in_pdu:
        return tuple(reference[0] for reference in references)
    return tuple(references)
