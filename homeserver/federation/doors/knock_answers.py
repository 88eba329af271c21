"""What a server gets for a knock that was heard: what the room shows to those outside, as whole events.

"All events listed MUST additionally be formatted according to the room version specification" (since v1.16, MSC4311).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from homeserver.federation.doors.join_answers import PduBytes
from homeserver.federation.doors.submissions import Submissions
from homeserver.services.rooms.stripped_state import shown_events


@dataclass(frozen=True, slots=True)
class KnockAnswers:
    """One verb. The answer is one statement."""

    knocks: Submissions
    pdus: PduBytes

    async def __call__(self, origin: str, room_id: str, event_id: str, pdu: dict[str, Any]) -> list[orjson.Fragment]:
        """Let the knock in, and answer with PDUs. Raises as `Submissions.knock`."""
        admitted = await self.knocks.knock(origin, room_id, event_id, pdu)
        room = admitted.room
        shown = [event.event_id for event in shown_events(room, admitted.event.sender)]
        found = await self.pdus.json(shown, room.version)
        return [orjson.Fragment(each) for each in found.values()]
