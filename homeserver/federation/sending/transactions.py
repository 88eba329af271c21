"""The next transaction for a server: up to 50 events in order, up to 100 EDUs, and what its arrival means.

Source: server-server API, "Transactions".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.federation.bounded import Bounded
from homeserver.federation.sending.destination import Destination, Edu
from homeserver.federation.single_flight import SingleFlight

if TYPE_CHECKING:
    from homeserver.federation.sending.device_updates import DeviceUpdates
    from homeserver.services.foreign_events.pdu_store import PduStore
    from homeserver.storage.database import Queries
    from homeserver.storage.outbound import OutboundRows

MAX_EDUS: Final = 100
MAX_TO_DEVICE_BYTES: Final = 4 * 1024 * 1024
MAX_READ_AT_ONCE: Final = 500
"""Missed events of a server, by id."""
MAX_MISSED_OF_ROOM: Final = 200
"""After an outage: the newest events of each room. Servers ask for what was before."""
MAX_LATE_AT_ONCE: Final = 10
"""What each is built on is unknown to the other server, which has to ask for the state before it."""
MAX_PDUS_IN_MEMORY: Final = 500


@dataclass(slots=True)
class Outgoing:
    """One transaction, and how far the server is once it has taken it."""

    pdus: list[dict[str, Any]] = field(default_factory=list)
    edus: list[Edu] = field(default_factory=list)
    sent_position: int = 0
    events: Sequence[tuple[int, str]] = ()
    missed: bool = False
    """They are of `missed`, not of `queued`, unless they are of `late`."""
    to_device: Sequence[int] = ()
    sent_devices: int = 0
    said: list[tuple[tuple[str, ...], Edu]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.pdus and not self.edus

    @property
    def names(self) -> list[str]:
        """What is in it, for the log."""
        return [event_id for _, event_id in self.events] + [edu["edu_type"] for edu in self.edus]


def _memory() -> Bounded[str, dict[str, Any]]:
    return Bounded(MAX_PDUS_IN_MEMORY)


@dataclass(slots=True)
class Transactions:
    """Reads what goes out next; a constant number of statements for each transaction."""

    queries: Queries
    rows: OutboundRows
    pdus: PduStore
    devices: DeviceUpdates
    server_name: str
    _known: Bounded[str, dict[str, Any]] = field(default_factory=_memory)
    _reading: SingleFlight[dict[str, dict[str, Any]]] = field(default_factory=SingleFlight)

    async def next_of(self, destination: Destination) -> Outgoing:
        """What this server gets next; nothing is over before `arrived`."""
        limit, row = destination.limit, destination.row
        outgoing = Outgoing(sent_position=row.sent_position, sent_devices=row.sent_devices)
        await self._add_events(destination, outgoing)
        room = MAX_EDUS if limit > 1 else 1 - len(outgoing.pdus)
        if destination.to_device and room > 0:
            await self._add_to_device(destination, outgoing, min(limit, room))
        room -= len(outgoing.edus)
        if row.wanted_devices > row.sent_devices and room > 0:
            edus, outgoing.sent_devices = await self.devices.edus(row, min(limit, room))
            outgoing.edus += edus
            room -= len(edus)
        for key, edu in list(destination.ephemeral.items())[: min(limit, max(0, room))]:
            outgoing.said.append((key, edu))
            outgoing.edus.append(edu)
        return outgoing

    async def _add_events(self, destination: Destination, outgoing: Outgoing) -> None:
        outgoing.missed = destination.behind
        if destination.behind and not destination.missed:
            await self._read_missed(destination)
        waiting = destination.missed if outgoing.missed else destination.queued
        late = destination.late[: min(destination.limit, MAX_LATE_AT_ONCE)]
        batch = waiting[: destination.limit - len(late)]
        outgoing.events = [*late, *batch]
        if outgoing.missed and len(batch) == len(waiting):
            outgoing.sent_position = destination.missed_up_to
        elif batch:
            outgoing.sent_position = batch[-1][0]
        outgoing.pdus = await self._pdus([event_id for _, event_id in outgoing.events])

    async def _read_missed(self, destination: Destination) -> None:
        row, up_to = destination.row, destination.row.wanted_position
        found = await self.rows.events_for(
            self.queries, row.destination, after=row.sent_position, up_to=up_to, server_name=self.server_name,
            of_room=MAX_MISSED_OF_ROOM, limit=MAX_READ_AT_ONCE,
        )  # fmt: skip
        destination.missed = [(position, event_id) for event_id, position in found]
        destination.missed_up_to = up_to if len(found) < MAX_READ_AT_ONCE else found[-1][1]

    async def _pdus(self, event_ids: Sequence[str]) -> list[dict[str, Any]]:
        """In order. The same event goes to many servers: it is read once."""
        known = {event_id: pdu for event_id in event_ids if (pdu := self._known.get(event_id)) is not None}
        missing = [event_id for event_id in event_ids if event_id not in known]
        if missing:
            known |= await self._reading.run(" ".join(missing), lambda: self._read(missing))
        return [known[event_id] for event_id in event_ids if event_id in known]

    async def _read(self, event_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        read = await self.pdus.pdus(event_ids)
        for event_id, pdu in read.items():
            self._known.put(event_id, pdu)
        return read

    async def stop(self) -> None:
        """Give up what is being read."""
        await self._reading.stop()

    def forget(self, event_ids: Collection[str]) -> None:
        """Events that were redacted go out redacted."""
        for event_id in event_ids:
            self._known.pop(event_id)

    async def _add_to_device(self, destination: Destination, outgoing: Outgoing, limit: int) -> None:
        destination.to_device = False  # set again by whoever stores one from here on
        try:
            name = destination.row.destination
            waiting = await self.rows.to_device(self.queries, name, limit, MAX_TO_DEVICE_BYTES)
        except BaseException:
            destination.to_device = True
            raise
        if waiting:
            destination.to_device = True
        outgoing.to_device = [number for number, _ in waiting]
        outgoing.edus += [_edu("m.direct_to_device", orjson.loads(content)) for _, content in waiting]

    async def arrived(self, destination: Destination, outgoing: Outgoing) -> None:
        """The server has it all."""
        row = destination.row
        row.sent_position = max(row.sent_position, outgoing.sent_position)
        row.sent_devices = max(row.sent_devices, outgoing.sent_devices)
        sent = set(outgoing.events)
        destination.late = [each for each in destination.late if each not in sent]
        if outgoing.missed:
            destination.missed = [each for each in destination.missed if each not in sent]
            destination.behind = bool(destination.missed) or row.wanted_position > row.sent_position
        elif not destination.behind:
            destination.queued = [each for each in destination.queued if each not in sent]
        for key, edu in outgoing.said:
            if destination.ephemeral.get(key) is edu:
                del destination.ephemeral[key]
        if outgoing.to_device:
            await self.rows.to_device_delivered(self.queries, outgoing.to_device)


def _edu(edu_type: str, content: Mapping[str, Any]) -> Edu:
    return {"edu_type": edu_type, "content": content}
