"""The next transaction for a server: up to 50 events in order, up to 100 EDUs, and what its arrival means.

Source: server-server API, "Transactions".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from homeserver.federation.bounded import Bounded
from homeserver.federation.sending.destination import Destination, Edu

if TYPE_CHECKING:
    from homeserver.federation.sending.device_updates import DeviceUpdates
    from homeserver.storage.database import Queries
    from homeserver.storage.outbound import OutboundRows

MAX_PDUS: Final = 50
MAX_EDUS: Final = 100
MAX_TO_DEVICE: Final = 50
MAX_MISSED_OF_ROOM: Final = 200
"""After an outage: the newest events of each room. Servers ask for what was before."""
MAX_PDUS_IN_MEMORY: Final = 500


class Pdus(Protocol):
    """services/foreign_events/pdu_store.py."""

    async def pdus(self, event_ids: Collection[str]) -> dict[str, dict[str, Any]]: ...


@dataclass(slots=True)
class Outgoing:
    """One transaction, and how far the server is once it has taken it."""

    pdus: list[dict[str, Any]] = field(default_factory=list)
    edus: list[Edu] = field(default_factory=list)
    sent_position: int = 0
    events: int = 0
    """Of those in memory, how many are in it."""
    caught_up: bool = False
    to_device_up_to: int | None = None
    to_device_done: bool = False
    sent_devices: int = 0
    said: list[tuple[tuple[str, ...], Edu]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.pdus and not self.edus


def _memory() -> Bounded[str, dict[str, Any]]:
    return Bounded(MAX_PDUS_IN_MEMORY)


@dataclass(slots=True)
class Transactions:
    """Reads what goes out next; a constant number of statements for each transaction."""

    queries: Queries
    rows: OutboundRows
    pdus: Pdus
    devices: DeviceUpdates
    server_name: str
    _known: Bounded[str, dict[str, Any]] = field(default_factory=_memory)

    async def next_of(self, destination: Destination) -> Outgoing:
        """What this server gets next; nothing is changed before `arrived`."""
        outgoing = Outgoing(sent_position=destination.row.sent_position, sent_devices=destination.row.sent_devices)
        await self._add_events(destination, outgoing)
        if destination.to_device:
            await self._add_to_device(destination, outgoing)
        if destination.row.wanted_devices > destination.row.sent_devices:
            edus, outgoing.sent_devices = await self.devices.edus(destination.row, MAX_EDUS - len(outgoing.edus))
            outgoing.edus += edus
        for key, edu in list(destination.ephemeral.items())[: MAX_EDUS - len(outgoing.edus)]:
            outgoing.said.append((key, edu))
            outgoing.edus.append(edu)
        return outgoing

    async def _add_events(self, destination: Destination, outgoing: Outgoing) -> None:
        row = destination.row
        if destination.behind:
            up_to = row.wanted_position
            found = await self.rows.events_for(
                self.queries, row.destination, after=row.sent_position, up_to=up_to, server_name=self.server_name,
                of_room=MAX_MISSED_OF_ROOM, limit=MAX_PDUS,
            )  # fmt: skip
            outgoing.caught_up = len(found) < MAX_PDUS
            outgoing.sent_position = up_to if outgoing.caught_up else found[-1][1]
            event_ids = [event_id for event_id, _ in found]
        else:
            batch = destination.queued[:MAX_PDUS]
            outgoing.events = len(batch)
            if batch:
                outgoing.sent_position = batch[-1][0]
            event_ids = [event_id for _, event_id in batch]
        outgoing.pdus = await self._pdus(event_ids)

    async def _pdus(self, event_ids: Sequence[str]) -> list[dict[str, Any]]:
        """In order. The same event goes to many servers: it is read once."""
        known = {event_id: pdu for event_id in event_ids if (pdu := self._known.get(event_id)) is not None}
        missing = [event_id for event_id in event_ids if event_id not in known]
        if missing:
            read = await self.pdus.pdus(missing)
            for event_id, pdu in read.items():
                self._known.put(event_id, pdu)
            known |= read
        return [known[event_id] for event_id in event_ids if event_id in known]

    def forget(self, event_ids: Collection[str]) -> None:
        """Events that were redacted go out redacted."""
        for event_id in event_ids:
            self._known.pop(event_id)

    async def _add_to_device(self, destination: Destination, outgoing: Outgoing) -> None:
        waiting = await self.rows.to_device(self.queries, destination.row.destination, MAX_TO_DEVICE)
        outgoing.to_device_done = len(waiting) < MAX_TO_DEVICE
        if waiting:
            outgoing.to_device_up_to = waiting[-1][0]
        outgoing.edus += [_edu("m.direct_to_device", orjson.loads(content)) for _, content in waiting]

    async def arrived(self, destination: Destination, outgoing: Outgoing) -> None:
        """The server has it all."""
        row = destination.row
        row.sent_position = max(row.sent_position, outgoing.sent_position)
        row.sent_devices = max(row.sent_devices, outgoing.sent_devices)
        if not destination.behind:
            del destination.queued[: outgoing.events]
        if outgoing.caught_up and row.wanted_position <= row.sent_position:
            destination.behind = False
        for key, edu in outgoing.said:
            if destination.ephemeral.get(key) is edu:
                del destination.ephemeral[key]
        if outgoing.to_device_up_to is not None:
            await self.rows.to_device_delivered(self.queries, row.destination, outgoing.to_device_up_to)
        if outgoing.to_device_done:
            destination.to_device = False


def _edu(edu_type: str, content: Mapping[str, Any]) -> Edu:
    return {"edu_type": edu_type, "content": content}
