"""Room versions 1 to 5, rule 4: `m.room.aliases` belongs to a server, not to a member."""

from __future__ import annotations

from homeserver.protocol.auth.rejection import reject
from homeserver.protocol.events import Event


def check_aliases(event: Event) -> None:
    """v1 rule 4, complete: an event that passes is allowed (4.3), even from someone outside the room."""
    if event.state_key is None:
        reject("v1 4.1", "An aliases event needs a state key.")
    if event.state_key != event.sender_server:
        reject("v1 4.2", "A server can list only its own aliases.")
