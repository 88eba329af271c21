"""One draft becomes an event on top of those that the same command has built before it."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.protocol.auth import PowerLevels, auth_types_for_event, check_state_dependent
from homeserver.protocol.builder import EventDraft, build_event
from homeserver.protocol.client_event import split
from homeserver.protocol.event_format import MAX_PREV_EVENTS
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.relations import relation_of
from homeserver.protocol.signing import SigningKey
from homeserver.services.clock import Clock
from homeserver.services.rooms.append import NewEvent
from homeserver.services.rooms.live_room import LiveRoom, RoomTip
from homeserver.services.rooms.unsigned import unsigned_for_state


@dataclass(slots=True)
class Speculation:
    """The room as the next draft of the same plan finds it; becomes the room's when the whole plan has passed."""

    room: LiveRoom
    tip: RoomTip
    state: dict[StateKey, Event] = field(default_factory=dict)

    def fetch(self, event_type: str, state_key: str) -> Event | None:
        return self.state.get((event_type, state_key)) or self.room.fetch_auth_event(event_type, state_key)

    def power_levels(self) -> PowerLevels | None:
        """The room's parsed levels; None where this plan itself changes them, and the rules parse for themselves."""
        if ("m.room.power_levels", "") in self.state or ("m.room.create", "") in self.state:
            return None
        return self.room.power_levels() if self.room.fetch_auth_event("m.room.create", "") is not None else None


@dataclass(frozen=True, slots=True)
class EventBuilder:
    """This server's own events: signed, and allowed by the rules."""

    clock: Clock
    server_name: str
    signing_key: SigningKey

    def build(self, speculation: Speculation, draft: EventDraft) -> NewEvent:
        """Onto the speculation, which moves on with it. Raises AuthRejection, TooLarge."""
        room = speculation.room
        is_hashed_id = draft.type == "m.room.create" and room.version.room_id_is_create_event_id
        auth_types = auth_types_for_event(draft.type, draft.sender, draft.state_key, draft.content, room.version)
        auth_events = [found for key in auth_types if (found := speculation.fetch(*key)) is not None]
        # Of too many extremities the newest are cited; the others stay.
        left, cited = speculation.tip.extremities[:-MAX_PREV_EVENTS], speculation.tip.extremities[-MAX_PREV_EVENTS:]
        event = build_event(
            draft,
            room_id=None if is_hashed_id else room.room_id,
            room_version=room.version,
            prev_event_ids=cited,
            auth_event_ids=[auth_event.event_id for auth_event in auth_events],
            depth=speculation.tip.depth + 1,
            origin_server_ts=self.clock.now_ms() if draft.origin_server_ts is None else draft.origin_server_ts,
            server_name=self.server_name,
            signing_key=self.signing_key,
        )
        if is_hashed_id:
            room.room_id = event.room_id
        check_state_dependent(event, room.version, speculation.fetch, speculation.power_levels())
        body, envelope = split(event)
        replaced = None
        if event.state_key is not None:
            replaced = speculation.fetch(event.type, event.state_key)
            speculation.state[event.key] = event
        speculation.tip = RoomTip((*left, event.event_id), event.depth, speculation.tip.version)
        return NewEvent(
            event=event,
            body=body,
            envelope=envelope,
            unsigned=unsigned_for_state(replaced) if replaced is not None else None,
            relation=relation_of(event.content),
        )
