"""Stored events in the form in which servers exchange them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeserver.protocol.client_event import join
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.storage.pdus import Pdus

if TYPE_CHECKING:
    from homeserver.storage.database import Queries


@dataclass(frozen=True, slots=True)
class PduStore:
    """Bodies and envelopes put together again. Whoever asks has decided who may see them."""

    queries: Queries
    rows: Pdus

    async def pdus(self, event_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """PDUs by event id, outliers and rejected ones too; unknown ids are left out. One statement."""
        rows = await self.rows.pdus(self.queries, event_ids)
        return {row["event_id"]: join(row["body"], row["envelope"], ROOM_VERSIONS[row["version"]]) for row in rows}

    async def events(self, event_ids: Collection[str]) -> dict[str, Event]:
        """The same as events."""
        rows = await self.rows.pdus(self.queries, event_ids)
        return {
            row["event_id"]: event_of(row["event_id"], row["version"], row["body"], row["envelope"]) for row in rows
        }


def event_of(event_id: str, version: str, body: bytes, envelope: bytes) -> Event:
    """The event that was stored in these two halves."""
    rules = ROOM_VERSIONS[version]
    return Event.from_pdu(join(body, envelope, rules), rules, event_id)


@dataclass(frozen=True, slots=True)
class AuthChains:
    """What events are authorised by, by the database."""

    queries: Queries
    rows: Pdus

    async def of(self, event_ids: Collection[str]) -> list[str]:
        """All that is reached from these state events along auth events, each once, oldest first. One statement."""
        return await self.rows.auth_chain(self.queries, event_ids)
