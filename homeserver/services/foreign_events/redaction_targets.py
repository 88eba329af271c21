"""Stored events that an arriving redaction is about, with what is rewritten when it applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.redacted_forms import RedactedForms, redacted_forms
from homeserver.services.rooms.timeline_event import TimelineEvent


@dataclass(frozen=True, slots=True)
class RedactionTarget:
    """`follower`: the state event that came after the target at its key, and repeats its content."""

    event: TimelineEvent
    follower: TimelineEvent | None
    envelopes: Mapping[str, bytes]

    def forms(self, room: LiveRoom) -> RedactedForms | None:
        """What stored events become; None where it is redacted already."""
        if self.event.is_redacted:
            return None
        return redacted_forms(room, self.event, self.follower, self.envelopes)
