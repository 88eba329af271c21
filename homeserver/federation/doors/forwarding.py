"""Events of other servers' users that came in through our doors, or that we made for them, are brought to the other servers in
the room by us.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from homeserver.services.rooms.timeline_event import TimelineEvent

log = logging.getLogger(__name__)

AdmittedListener = Callable[[TimelineEvent], None]


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Who distributes registers here (federation/sending). Listeners are synchronous and must be quick."""

    _listeners: list[AdmittedListener] = field(default_factory=list)

    def on_admitted(self, listener: AdmittedListener) -> None:
        """Called with each event that was accepted by send_join, send_leave or send_knock, and each invitation of ours that was
        sent to an address by somebody elsewhere; after its commit.
        """
        self._listeners.append(listener)

    def __call__(self, event: TimelineEvent) -> None:
        """A listener that fails does not undo what is committed."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                log.exception("the event %s was not handed on to other servers", event.event_id)
