"""What stored events become when one of them is redacted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from homeserver.protocol.client_event import join, render, split
from homeserver.protocol.events import Event
from homeserver.protocol.redaction import redact
from homeserver.services.rooms.append import Rewritten
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.timeline_event import REDACTED, STICKY, TimelineEvent
from homeserver.services.rooms.unsigned import unsigned_for_redacted, unsigned_for_state


@dataclass(frozen=True, slots=True)
class RedactedForms:
    """The redacted event, and the state event that repeats the old content in `prev_content`."""

    target: TimelineEvent
    redacted: Event
    follower: Rewritten | None

    def __call__(self, redaction_body: bytes) -> list[Rewritten]:
        """The rows to write, once the redaction has its id."""
        body, envelope = split(self.redacted)
        because = render(redaction_body, room_id=self.redacted.room_id, unsigned=None)
        # "When a sticky event is redacted, the stickiness of the event is lost" (MSC4354).
        flags = (self.target.flags | REDACTED) & ~STICKY
        event = self.target.with_form(body, unsigned_for_redacted(because), flags)
        rewritten = [Rewritten(event, envelope)]
        return rewritten if self.follower is None else [*rewritten, self.follower]


def redacted_forms(
    room: LiveRoom, target: TimelineEvent, follower: TimelineEvent | None, envelopes: Mapping[str, bytes]
) -> RedactedForms:
    """`follower`: the state event that replaced the target. `envelopes` of both, by event id."""
    pdu = redact(join(target.body, envelopes[target.event_id], room.version), room.version)
    redacted = Event.from_pdu(pdu, room.version, target.event_id)
    # A follower that is itself redacted shows no previous content any more.
    if follower is None or follower.is_redacted:
        return RedactedForms(target, redacted, None)
    unsigned = unsigned_for_state(redacted)
    changed = follower.with_form(follower.body, unsigned, follower.flags)
    return RedactedForms(target, redacted, Rewritten(changed, envelopes[follower.event_id]))
