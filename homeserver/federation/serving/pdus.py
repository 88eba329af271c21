"""Stored events as the JSON that goes to other servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol.client_event import join
from homeserver.protocol.pdu_bytes import encode_pdu, pdu_bytes
from homeserver.protocol.redaction import redact
from homeserver.protocol.room_versions import RoomVersion
from homeserver.storage.events import Events

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

SLICE: Final = 500
"""Events made JSON before others get their turn: about a millisecond."""


@dataclass(frozen=True, slots=True)
class StoredPdus:
    """One statement for each question. Bytes, so that large answers are never parsed."""

    queries: Queries
    events: Events

    async def json(
        self, event_ids: Sequence[str], version: RoomVersion, hidden: Collection[str] = ()
    ) -> dict[str, bytes]:  # fmt: skip
        """JSON of the PDUs by event id; unknown ones are left out. Those that are `hidden` come redacted."""
        stored = await self.events.envelopes(self.queries, list(event_ids))
        found: dict[str, bytes] = {}
        for number, event_id in enumerate(event_ids):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            if event_id in stored:
                found[event_id] = _json(event_id, stored[event_id], version, hidden)
        return found


def _json(event_id: str, stored: tuple[bytes, bytes], version: RoomVersion, hidden: Collection[str]) -> bytes:
    body, envelope = stored
    if event_id in hidden:
        return encode_pdu(redact(join(body, envelope, version), version), version)
    return pdu_bytes(event_id, body, envelope, version)


async def json_of_lists(lists: Mapping[str, Sequence[bytes]]) -> AsyncIterator[bytes]:
    """A JSON object of lists of JSON, in pieces: a whole state in one piece would be copied more than once."""
    opening = b"{"
    for name, items in lists.items():
        yield opening + b'"' + name.encode() + b'":['
        for start in range(0, len(items), SLICE):
            yield (b"," if start else b"") + b",".join(items[start : start + SLICE])
        yield b"]"
        opening = b","
    yield b"{}" if opening == b"{" else b"}"
