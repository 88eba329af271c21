"""What becomes of each arrival: steps 4 to 6 of the "Checks performed on receipt of a PDU". In memory and synchronous."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from homeserver.protocol.auth import AuthRejection, PowerLevels, auth_types_for_event, check_state_dependent
from homeserver.protocol.errors import EventTooLarge
from homeserver.protocol.event_format import check_field_bytes
from homeserver.protocol.events import Event
from homeserver.services.foreign_events.arriving_redactions import ArrivingRedactions
from homeserver.services.foreign_events.foreign_parts import ForeignParts
from homeserver.services.foreign_events.knowledge import Knowledge, Lacking, Unfounded
from homeserver.services.foreign_events.outcomes import Arrival, Outcome, Verdict
from homeserver.services.foreign_events.outlier_checks import AuthChecks
from homeserver.services.foreign_events.speculation import Saved, Speculation
from homeserver.services.foreign_events.storable import why_not_storable
from homeserver.services.foreign_events.views import View
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import OUTLIER, REJECTED, SOFT_FAILED
from homeserver.storage.event_states import Place

log = logging.getLogger(__name__)


class Refused(Exception):  # noqa: N818  (an outcome rather than a mistake)
    """Not stored: it does not belong here, or what it is built on is not here."""


@dataclass(slots=True)
class Decider:
    """Takes arrivals in order. Raises Lacking where something has to be loaded first; then all is decided again."""

    room: LiveRoom
    known: Knowledge
    alone: bool = False
    """Whether the room begins anew with an arrival: what its state was before does not matter."""
    past: bool = False
    """Whether the events are of the past: the room's state now is not asked, and prev events that are not here are no gap
    that has to be made. The first event is the beginning of a line of its own.
    """
    course: Speculation = field(init=False)
    parts: ForeignParts = field(init=False)
    redactions: ArrivingRedactions = field(init=False)
    verdicts: list[Verdict] = field(default_factory=list)
    _checks: AuthChecks = field(init=False)
    _decided: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.course = Speculation(self.room, self.known, self.alone)
        if self.past:
            self.course.tips = {}
        self.parts = ForeignParts(self.course)
        self.redactions = ArrivingRedactions(self.course, self.parts)
        self._checks = AuthChecks(self.room.room_id, self.room.version, {}, set(self.known.rejected))

    def __call__(self, arrivals: Sequence[Arrival]) -> None:
        """Decide about all; `verdicts` and `parts` say what came of them."""
        for arrival in arrivals:
            self.verdicts.append(self._verdict(arrival))
        self._settle()
        self.parts.check_complete()

    def _settle(self) -> None:
        """What was deferred comes into force with the last event."""
        last, line = self.course.deferred, self.course.current
        if last is not None:
            self.course.settle()
            self.parts.come_into_force(last, line)

    def _verdict(self, arrival: Arrival) -> Verdict:
        event, saved = arrival.event, self.course.saved()
        try:
            outcome, reason = self._receive(arrival)
        except Lacking:
            raise
        except (Refused, Unfounded) as refusal:
            outcome, reason = self._undone(event, saved), str(refusal)
        except Exception:
            # Whatever strangers have found to write into an event, the others of the same request are not harmed.
            log.exception("could not decide about %r of %r", event.event_id, event.room_id)
            outcome, reason = self._undone(event, saved), "It could not be checked"
        self._decided.add(event.event_id)
        return Verdict(event.event_id, outcome, reason)

    def _undone(self, event: Event, saved: Saved) -> Outcome:
        self.course.restore(saved)
        self.parts.events.pop(event.event_id, None)
        return Outcome.REJECTED

    def _receive(self, arrival: Arrival) -> tuple[Outcome, str]:
        event = arrival.event
        place = self.known.places.get(event.event_id)
        self._check_usable(event, place)
        if event.event_id in self._decided or (place is not None and not _is_plain_outlier(place)):
            return Outcome.KNOWN, ""
        told = self._told(arrival)
        reason = self._why_not_by_auth_events(event)
        before = self._before(event, told)
        reason = reason or self._why_not_in(before, event)
        if reason is not None:
            return self._keep_aside(event, before, REJECTED, place), reason
        if before.overlay != self.course.current.overlay and not (told or self.alone or self.past):
            reason = self._why_not_in(self.course.current, event)
            if reason is not None:
                return self._keep_aside(event, before, SOFT_FAILED, place), reason
        if arrival.unwanted is not None:
            return self._keep_aside(event, before, SOFT_FAILED, place), arrival.unwanted
        self._accept(arrival, before, place, gap=bool(told) and not self.past)
        return Outcome.ACCEPTED, ""

    # -- what it is built on -----------------------------------------------------------------------

    def _check_usable(self, event: Event, place: Place | None) -> None:
        reason = why_not_storable(event)
        if event.room_id != self.room.room_id or event.room_version is not self.room.version:
            reason = "It belongs to another room"
        elif place is not None and place.room_nid != self.room.room_nid:
            reason = "Another room has an event with this id"
        elif not event.prev_event_ids and not (self.past and event.type == "m.room.create"):
            reason = "It is built on nothing"
        if reason is not None:
            raise Refused(reason)

    def _told(self, arrival: Arrival) -> dict[str, View]:
        """States after prev events that are not here; every other one is. Raises Lacking, Refused."""
        told = {each.after_event_id: each.state for each in arrival.told}
        views: dict[str, View] = {}
        # One who comes in is told one state, whatever number of prev events his join has.
        made: dict[int, View] = {}
        for event_id in arrival.event.prev_event_ids:
            if self.has_state(event_id):
                continue
            if event_id in self.known.tip:
                raise Lacking(places={event_id})
            if event_id not in told:
                raise Refused(f"Its prev event {event_id} is not here")
            state = told[event_id]
            view = views[event_id] = made.get(id(state)) or self.course.view_of(state)
            made[id(state)] = view
        return views

    def _before(self, event: Event, told: dict[str, View]) -> View:
        before = self.course.before(event.prev_event_ids, told) if event.prev_event_ids else self.course.view_of({})
        if self.past and self.course.begun is None:
            self.course.begun = self.course.current = before
        return before

    def has_state(self, event_id: str) -> bool:
        """Whether the event is here, and the state after it can be known."""
        if event_id in self.course.after or event_id in self.course.tips:
            return True
        place = self.known.places.get(event_id)
        return (
            place is not None
            and place.room_nid == self.room.room_nid
            and (place.position is not None or not place.flags & OUTLIER)
        )

    # -- rules -------------------------------------------------------------------------------------

    def _why_not_by_auth_events(self, event: Event) -> str | None:
        """Step 4. Raises Unfounded where an auth event is not here."""
        self._have_auth_events(event)
        try:
            check_field_bytes(event.pdu, event.room_version)
            self._checks.completely(event)
        except (AuthRejection, EventTooLarge) as rejection:
            return str(rejection)
        return None

    def _have_auth_events(self, event: Event) -> None:
        """Those that are the room's state now are in memory already."""
        known, version = self._checks.known, self.room.version
        if version.room_id_is_create_event_id:
            self._have("$" + self.room.room_id[1:], [("m.room.create", "")])
        keys = auth_types_for_event(event.type, event.sender, event.state_key, event.content, version)
        for event_id in event.auth_event_ids:
            if event_id not in known:
                self._have(event_id, keys)

    def _have(self, event_id: str, keys: Sequence[tuple[str, str]]) -> None:
        found = self.course.fetch(event_id)
        if found is None:
            key = next((key for key in keys if self.course.now(key) == event_id), None)
            found = None if key is None else self.room.fetch_auth_event(*key)
        if found is None and event_id in self.known.places:
            raise Lacking(events={event_id})
        if found is not None:
            self._checks.known[event_id] = found

    def _why_not_in(self, view: View, event: Event) -> str | None:
        """Steps 5 and 6: the rules that look at state, in this state."""

        def fetch(event_type: str, state_key: str) -> Event | None:
            return self.course.entry(view, (event_type, state_key))

        try:
            check_state_dependent(event, self.room.version, fetch, self._levels(view))
        except AuthRejection as rejection:
            return str(rejection)
        return None

    def _levels(self, view: View) -> PowerLevels | None:
        """The room's parsed levels where they are those of the view; else the rules parse for themselves."""
        if ("m.room.power_levels", "") in view.overlay or ("m.room.create", "") in view.overlay:
            return None
        return self.room.power_levels() if self.room.fetch_auth_event("m.room.create", "") is not None else None

    # -- outcomes ----------------------------------------------------------------------------------

    def _keep_aside(self, event: Event, before: View, flag: int, place: Place | None) -> Outcome:
        """Stored without a position: not shown, not built on."""
        line = self.course.current
        self.course.note(event, before, rejected=flag == REJECTED)
        if flag == REJECTED:
            self._checks.rejected.add(event.event_id)
        self.parts.add(event, before, line, flags=flag, place=place)
        return Outcome.REJECTED if flag == REJECTED else Outcome.SOFT_FAILED

    def _accept(self, arrival: Arrival, before: View, place: Place | None, *, gap: bool) -> None:
        event, line = arrival.event, self.course.current
        is_redaction = event.type == "m.room.redaction"
        applies = is_redaction and self.redactions.applies(event, before)
        if is_redaction and not applies and not self.room.version.special_redaction_auth:
            # Others may build on it, we do not: it has nothing to say.
            self._keep_aside(event, before, SOFT_FAILED, place)
            return
        self.course.note(event, before, rejected=False)
        self.course.attach(event, at_once=gap)
        missing = [event_id for event_id in event.prev_event_ids if not self.has_state(event_id)] if gap else ()
        self.parts.add(event, before, line, flags=0, place=place, missing=missing, in_force=True)
        if applies:
            self.redactions.carry_out(event)
        self.redactions.apply_waiting(event, shown=not self.past)


def _is_plain_outlier(place: Place) -> bool:
    return bool(place.flags & OUTLIER) and not place.flags & REJECTED
