"""Redactions made elsewhere: "Handling redactions" since room version 3.

A redaction is part of the graph whether it may be carried out or not, but clients see it only when it is: they carry out
what they see. Until then it is kept aside, like an event that has soft-failed. In versions 1 and 2 the auth rules have
decided, and clients see it at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from homeserver.protocol.auth import PowerLevels, power_levels_in_room
from homeserver.protocol.auth.redaction import redaction_applies
from homeserver.protocol.client_event import render, split
from homeserver.protocol.events import Event
from homeserver.protocol.redaction import redact
from homeserver.services.foreign_events.foreign_parts import ForeignParts
from homeserver.services.foreign_events.redaction_targets import RedactionTarget
from homeserver.services.foreign_events.speculation import Speculation
from homeserver.services.foreign_events.views import View
from homeserver.services.rooms.append import Rewritten
from homeserver.services.rooms.timeline_event import REDACTED, REJECTED, SOFT_FAILED
from homeserver.services.rooms.unsigned import unsigned_for_redacted


@dataclass(slots=True)
class ArrivingRedactions:
    """Decides which are carried out, and collects what is rewritten."""

    course: Speculation
    parts: ForeignParts
    rewritten: dict[str, Rewritten] = field(default_factory=dict)
    """Stored events in new forms."""
    redacted: list[Event] = field(default_factory=list)
    """The same, as what is built on them finds them."""
    waiting: list[tuple[str, str]] = field(default_factory=list)
    """(redacts, redaction id) of those that came first."""
    done: list[str] = field(default_factory=list)
    """Events for which redactions have waited."""

    def applies(self, redaction: Event, before: View) -> bool:
        """Whether it can be carried out now; where its event is not here it is remembered."""
        if redaction.redacts == redaction.event_id:
            return False
        target = self._target(redaction.redacts)
        if target is None:
            if redaction.redacts is not None and not self._is_aside(redaction.redacts):
                self.waiting.append((redaction.redacts, redaction.event_id))
            return False
        return redaction_applies(redaction, target, self._levels(before))

    def carry_out(self, redaction: Event) -> None:
        """Rewrite what it redacts. Its own event has been added to the parts."""
        assert redaction.redacts is not None
        body = self.parts.events[redaction.event_id].body
        stored = self.course.known.targets.get(redaction.redacts)
        if stored is None:
            self._rewrite_arrival(redaction.redacts, body)
        else:
            self._rewrite_stored(stored, body)

    def apply_waiting(self, event: Event, *, shown: bool) -> None:
        """Redactions that came before this event, which has just been accepted: the first that may be carried out is.

        `shown`: it becomes part of the timeline now.
        """
        known = self.course.known
        for redaction_id in known.redacted_by.get(event.event_id, ()):
            redaction, place = known.events.get(redaction_id), known.places.get(redaction_id)
            before = known.before.get(redaction_id)
            if redaction is None or place is None or before is None or event.event_id in self.done:
                continue
            if redaction_applies(redaction, event, self._levels(before)):
                if shown and place.position is None:
                    self.parts.add(redaction, before, self.course.current, flags=0, place=place)
                self._rewrite_arrival(event.event_id, split(redaction).body)
                self.done.append(event.event_id)

    def _target(self, event_id: str | None) -> Event | None:
        """The event on the timeline, or on its way there."""
        if event_id is None:
            return None
        written = self.parts.events.get(event_id)
        if written is not None and written.foreign is not None:
            return None if written.foreign.flags & (SOFT_FAILED | REJECTED) else written.event
        stored = self.course.known.targets.get(event_id)
        if stored is None or stored.event.room_nid != self.course.room.room_nid:
            return None
        return Event.from_client_body(orjson.loads(stored.event.body), stored.event.room_id, self.course.room.version)

    def _is_aside(self, event_id: str) -> bool:
        """Whether it is here, but will never be on the timeline."""
        if event_id in self.parts.events:
            return True
        place = self.course.known.places.get(event_id)
        return place is not None and bool(place.flags & REJECTED)

    def _levels(self, view: View) -> PowerLevels:
        create = self.course.entry(view, ("m.room.create", ""))
        assert create is not None, "an accepted event is built on a create event"
        return power_levels_in_room(
            create, self.course.entry(view, ("m.room.power_levels", "")), self.course.room.version
        )

    def _rewrite_arrival(self, event_id: str, redaction_body: bytes) -> None:
        new = self.parts.events[event_id]
        version = self.course.room.version
        redacted = Event.from_pdu(redact(new.event.pdu, version), version, event_id)
        because = render(redaction_body, room_id=new.event.room_id, unsigned=None)
        self.parts.rewrite(redacted, unsigned_for_redacted(because), REDACTED)

    def _rewrite_stored(self, stored: RedactionTarget, redaction_body: bytes) -> None:
        forms = stored.forms(self.course.room)
        if forms is None:
            return
        self.redacted.append(forms.redacted)
        target, *followers = forms(redaction_body)
        self.rewritten[target.event.event_id] = target
        for follower in followers:
            # One that was redacted just before this is not brought back by repeating less of its content.
            self.rewritten.setdefault(follower.event.event_id, follower)
